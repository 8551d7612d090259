#!/bin/sh
# A runner as far as the boot file can tell: it says that it has a job, runs it, and notes whether anybody
# asks it to stop, which is what would turn a real one's job green.
trap 'echo "told to stop" >>/state/job; exit 0' TERM INT HUP
echo 'level=info msg="runner: i-0, with version: lab, declare successfully"'
while [ -e /state/no-job ]; do sleep 1; done
echo 'level=info msg="task 7 repo is labadmin/app https://github.com http://forge.lab:3000"'
# As a child that is waited for, so that a signal is heard at once.
sh /state/job.sh >>/state/job 2>&1 &
wait $!
echo "job ended with $?" >>/state/job
