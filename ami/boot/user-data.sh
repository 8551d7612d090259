#!/bin/sh
# Boot of one runner: ask for the one-job credential, run that job, power off.
#
# Rules that this file keeps:
# - Three ends, none of which needs another: the deadline below, the exit trap, the dispatcher's
#   sweep. Everything that ends the machine first kills the unit ci-runner outright: a runner that
#   is told to stop in the middle of a job reports that job as a success. Whatever ends it in more than an
#   instant first kills all that the runner's user runs, in whatever unit.
# - No secret is in this file, in an argument list, in an environment or on a disk. Role keys and
#   metadata tokens go to curl by standard input, the runner's credential lives in tmpfs.
# - Once the runner runs, root reads and writes nothing that lies in a folder of its user's: a link or
#   a pipe that a job puts there meets nobody. systemd writes the runner's log into root's folder.
# - The job runs as the user ci, which can end neither the deadline nor this script. A pool that gives
#   its jobs sudo, Docker or root itself has no real bound but the sweep.
# - What ends the machine asks no process to stop: `poweroff --force` alone waits 90 seconds for one
#   that does not listen, which the first process of a container never does.
#
# A Tera template. The provisioner strips comments, blank lines and indentation; in a here-document,
# blank lines alone.

# Before anything else, so that nothing that hangs or fails below can outlive it.
systemd-run --quiet --collect --unit=ci-deadline --on-active={{ pool.max_lifetime_minutes }}min \
  /bin/sh -c 'systemctl kill --signal=SIGKILL ci-runner.service; systemctl poweroff --force --force' ||
  {
    echo 'ci: no systemd arms the deadline, so this machine ends'
    systemctl poweroff --force --force || poweroff -f || shutdown -h now
    exit 1
  }

set -eu
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

deployment='{{ names.name }}'
pool='{{ pool.name }}'
region='{{ region }}'
runner_url='{{ runner_url }}'
boot_timeout_s=$(({{ pool.boot_timeout_minutes }} * 60))
idle_timeout_s=$(({{ pool.idle_timeout_minutes }} * 60))
user={{ host.user }}
home={{ host.home }}
forge='{{ forge_url }}'
# Both are tmpfs: what lies there is gone with the machine and never on a volume. The first is root's
# alone, the second is the runner's, and root does not look into it again once the runner runs.
state=/run/ci
own=/run/ci-runner
log=$state/runner.log
mkdir -p "$state"
: >"$state/secrets"

# What the trap reports: where we are, and why we stop there.
phase=start
words=
# The mark that the end sends: a boot has failed until the runner had its job, or none came.
last_mark=failed

# A line on the console, and one to be shipped at the end, which a job may have left no room for.
say() {
  printf 'ci %s/%s: %s\n' "$deployment" "$pool" "$*"
  printf '%s %s\n' "$(date +%s%3N)" "$*" >>"$state/words" || :
}

# reached WORD: how far the machine is, how long after its kernel started, and what it had opened and
# received by then.
reached() {
  read -r up _ </proc/uptime
  opened=0 received=0
  while read -r of _ _ _ _ number _; do [ "$of" != Tcp: ] || opened=$number; done </proc/net/snmp
  while read -r of _ _ _ _ _ _ number _; do [ "$of" != IpExt: ] || received=$number; done </proc/net/netstat
  say "reached $1 after $up s, $opened connections, $received bytes"
}

fail() {
  words=$*
  exit 1
}

# The clock may jump when time is first synchronised; uptime does not.
now_s() {
  read -r up _ </proc/uptime
  echo "${up%%.*}"
}

metadata() {
  printf 'header = "X-aws-ec2-metadata-token: %s"\n' "$1" |
    curl -fsS -m 2 -K - "http://169.254.169.254/latest/meta-data/$2"
}

metadata_token() {
  curl -fsS -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' \
    http://169.254.169.254/latest/api/token
}

field() { printf '%s' "$1" | sed -n 's/.*"'"$2"'" *: *"\([^"]*\)".*/\1/p'; }

# signed SERVICE SECONDS FILE CURL-ARGUMENT…: a request that this instance signs; the answer goes to
# FILE, the HTTP status to standard output. The role's keys are read each time: they rotate while a job
# runs.
signed() (
  service=$1
  seconds=$2
  file=$3
  shift 3
  token=$(metadata_token) || return 1
  keys=$(metadata "$token" 'iam/security-credentials/{{ host.role }}') || return 1
  printf 'user = "%s:%s"\nheader = "x-amz-security-token: %s"\n' \
    "$(field "$keys" AccessKeyId)" "$(field "$keys" SecretAccessKey)" "$(field "$keys" Token)" |
    curl -sS -m "$seconds" --connect-timeout 5 -o "$file" -w '%{http_code}' -K - \
      --aws-sigv4 "aws:amz:$region:$service" "$@"
)

# route BODY FILE SECONDS: asks the dispatcher. The API answers within 29 seconds or not at all.
route() {
  signed execute-api "$3" "$2" -H 'Content-Type: application/json' --data-binary "$1" "$runner_url"
}

# ship: what this machine said and the last of what its runner said, as one request. Whatever comes of it.
# A line of the runner's has no time that we could read, so all of them get this one's.
ship() {
  now_ms=$(date +%s%3N)
  {
    printf '{"logGroupName":"%s","logStreamName":"%s","logEvents":[\n' \
      '{{ names.machine_log_group }}' "$pool"
    {
      tail -n 200 "$state/words"
      tail -c 65536 "$log" 2>/dev/null | tail -n 300 | sed "s/^/$now_ms runner: /"
    } | grep -a -v -F -f "$state/secrets" | tr -d '\r' | tr -c '\n -~' ' ' | tr '"\134' "'/" |
      cut -c 1-500 | sort -s -n -k 1,1 |
      sed -e "s|^\([0-9]*\) \(.*\)|{\"timestamp\":\1,\"message\":\"${instance:-unknown} \2\"},|" -e '$s/,$//'
    echo ']}'
  } >"$state/events"
  signed logs 10 /dev/null -H 'Content-Type: application/x-amz-json-1.1' \
    -H 'X-Amz-Target: Logs_20140328.PutLogEvents' --data-binary @"$state/events" '{{ logs_url }}' \
    >/dev/null 2>&1
}

# mark WORD TEXT: tells the dispatcher; never fatal. TEXT loses what JSON would have to escape.
mark() {
  text=$(printf '%s' "${2-}" | tr -c 'A-Za-z0-9 .,:;/_=()+@-' ' ' | cut -c 1-500)
  route "{\"mark\":\"$1\",\"text\":\"$text\"}" /dev/null 8 >/dev/null 2>&1 || :
}

kill_runner() {
  systemctl kill --signal=SIGKILL ci-runner.service >/dev/null 2>&1 || :
{% if not host.is_root %}
  # What a job can have started elsewhere: under a user manager that lingers, whoever its processes are;
  # and anywhere, by the real user, since a program that is setuid has another effective one. What forks
  # meanwhile meets the next round. pkill would read command lines, at which a process can keep it waiting.
  uid=$(id -u "$user" 2>/dev/null) || return 0
  systemctl kill --signal=SIGKILL "user-$uid.slice" >/dev/null 2>&1 || :
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    grep -s -l "^Uid:.${uid}[^0-9]" /proc/[0-9]*/status | tr -dc '0-9\n' |
      while read -r pid; do kill -KILL "$pid" 2>/dev/null || :; done
  done
{% endif %}
}

finish() {
  code=$?
  set +e
  trap - EXIT
  trap '' INT TERM HUP
  kill_runner
  reached end
  say "ends in phase $phase (exit $code) $words"
  # Where no word of a script reaches EC2's console by itself, and none reaches the dispatcher.
  [ ! -w /dev/console ] || printf 'ci %s: %s\n' "$phase" "$words" 2>/dev/null >/dev/console
  ship &
  mark "$last_mark" "$phase: ${words:-exit $code}"
  # For the marks that are still on their way.
  wait
  systemctl poweroff --force --force || poweroff -f || shutdown -h now
}
trap finish EXIT
trap 'words="told to stop"; exit 143' INT TERM HUP

reached boot
boot_end_s=$(($(now_s) + boot_timeout_s))
# pause SECONDS: before the next try; ends the boot when its time is over.
pause() {
  [ "$(now_s)" -lt "$boot_end_s" ] || fail "boot timeout of $boot_timeout_s s reached: $words"
  sleep "$1"
}

phase=image
# What the image has to have, before anything is asked for. A curl that can't sign would reach nobody,
# so this stands on the console.
for program in systemctl install sed{% if install %} sha256sum{% endif %}{% if host.sudo %} sudo{% endif %}{% if host.metadata_is_closed %} ip{% endif %}; do
  command -v "$program" >/dev/null || fail "the image has no $program"
done
curl --help all 2>/dev/null | grep -q -e --aws-sigv4 ||
  fail "the image needs curl 7.75 or newer, which signs, and has $(curl --version 2>&1 | head -n 1 || :)"
{% if forge_kind == "forgejo" %}
# The server ends this runner's registration only from Forgejo 15 on, so the program itself has to
# stop after one job; it waits for that job without limit, and the idle timeout below is the only one.
program=forgejo-runner
task='one-job --wait'
{% else %}
program=gitea-runner
task=daemon
{% endif %}
{% if not install %}
# gitea-runner was act_runner once.
runner=$(command -v "$program"{% if forge_kind != "forgejo" %} || command -v act_runner{% endif %}) ||
  fail "the image has no $program"
{% endif %}

phase=identity
token=
until token=$(metadata_token) && instance=$(metadata "$token" instance-id); do
  words='metadata service does not answer'
  pause 1
done
say "instance $instance"

{% if host.metadata_is_closed %}
phase=metadata
# What lies there is the machine's role, which this pool gives no job. Root's own processes alone get there
# from now on: no other user's, and nothing that is forwarded for a container. systemd-networkd takes away
# every rule that is neither its own nor the kernel's, whenever it starts or reads its files again.
only_root() {
  {
    ip "$1" rule add pref 100 to "$2" iif lo uidrange 0-0 protocol kernel goto 32766 &&
      ip "$1" rule add pref 101 to "$2" protocol kernel prohibit
  } || fail "ip can't close $2 to jobs"
}
only_root -4 169.254.169.254
[ ! -e /proc/net/if_inet6 ] || only_root -6 fd00:ec2::254

{% endif %}
phase=user
id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
install -d -m 0700 -o "$user" "$own" "$home" "$home/work"
{% if not host.is_root %}
# They would start something of the user's after all of it was killed.
# The package of one that is not there may bring the file, and dpkg stops at one that is there already.
for starts in crontab at; do
  command -v "$starts" >/dev/null || continue
  refuses=/etc/${starts%tab}.deny
  { echo "$user" >>"$refuses" && chmod 0644 "$refuses"; } || say "$refuses can't be written"
done
{% endif %}
{% if host.sudo %}
echo "$user ALL=(ALL:ALL) NOPASSWD: ALL" >/etc/sudoers.d/ci-runner
chmod 0440 /etc/sudoers.d/ci-runner
{% endif %}

{% if forge_ca %}
phase=ca
# The forge's own CA, for the runner and for git alike. Where there is neither tool, the image has it.
anchors=/etc/pki/ca-trust/source/anchors
update='update-ca-trust extract'
if ! command -v update-ca-trust >/dev/null; then
  anchors=/usr/local/share/ca-certificates
  update='update-ca-certificates'
fi
mkdir -p "$anchors"
cat >"$anchors/ci-forge.crt" <<'END'
{{ forge_ca }}
END
chmod 0644 "$anchors/ci-forge.crt"
$update >/dev/null || fail "the forge's CA could not be installed"
{% endif %}
phase=credential
reached credential
delay_s=1
while :; do
  status=$(route '{"ask":"credential"}' "$state/answer" 30) || status=000
  case $status in
    200) break ;;
    410) fail "refused: $(head -c 200 "$state/answer")" ;;
    *) words="the runner route answered $status" ;;
  esac
  say "$words; asks again in $delay_s s"
  pause "$delay_s"
  [ "$delay_s" -ge 8 ] || delay_s=$((delay_s * 2))
done
words=
reached registered
credential=$(sed -n 's/^runner //p' "$state/answer")
[ -n "$credential" ] || fail 'the answer holds no runner document'
printf '%s\n' "$credential" >"$own/.runner"
# No line with one of these is shipped.
sed -n -e 's/^clone-token //p' -e 's/.*"token" *: *"\([^"]*\)".*/\1/p' "$state/answer" | sed '/^$/d' \
  >"$state/secrets"
{% if pool.clone_token %}
phase=clone-token
clone_token=$(sed -n 's/^clone-token //p' "$state/answer")
case $clone_token in
  *[!A-Za-z0-9._-]*) fail 'the answer holds no usable clone token' ;;
esac
# Written by the shell itself: the token stands in no argument list, and on no disk. git is told by a helper,
# since it hands an address with a token in it to its own programs as an argument.
if [ -n "$clone_token" ]; then
  host=${forge#*://}
  printf 'username=ci\npassword=%s\n' "$clone_token" >"$own/token"
  printf '[credential "%s"]\n\thelper = "!cat %s/token; :"\n' \
    "${forge%%://*}://${host%%/*}" "$own" >"$home/.gitconfig"
  chown "$user": "$own/token" "$home/.gitconfig"
else
  say 'no clone token is set: jobs reach public repositories only'
fi
clone_token=
{% endif %}
smoke_test=$(grep -cx smoke-test "$state/answer" || :)
rm -f "$state/answer"

phase=runner
{% if install %}
# A stock image: git for the job's checkout, Node for actions in JavaScript, of which checkout is one,
# Docker where the pool asks for it, and the pinned runner.
# fetch FILE URL SHA256: into root's home.
fetch() {
  until curl -fsSL --proto '=https' -m 120 -o "/root/$1" "$2"; do
    words="could not download $1"
    pause 2
  done
  echo "$3  /root/$1" | sha256sum -c - >/dev/null ||
    fail "$1 has another checksum than the pinned one"
}
set --
command -v git >/dev/null || set -- git
{% if install.node.package %}
command -v node >/dev/null || set -- "$@" {{ install.node.package }}
{% endif %}
{% if host.docker %}
command -v docker >/dev/null || set -- "$@" {{ install.docker }}
{% endif %}
{% if install.manager == "dnf" %}
[ $# = 0 ] || timeout 300 dnf -q -y install "$@" || fail "could not install $*"
{% else %}
# The daily upgrade starts with the machine too, and would hold apt's locks against the job.
systemctl stop apt-daily.timer apt-daily-upgrade.timer >/dev/null 2>&1 || :
if [ $# != 0 ]; then
  # An upgrade that is at work is waited for, since it must not be torn; the lists have a lock of their
  # own, for which apt does not wait.
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
  until timeout 120 apt-get -qq update; do
    words='could not read the lists of packages'
    pause 3
  done
  words=
  timeout 300 apt-get -qq -y -o DPkg::Lock::Timeout=120 --no-install-recommends install "$@" >/dev/null ||
    fail "could not install $*"
fi
{% endif %}
{% if install.node.file %}
if ! command -v node >/dev/null; then
  fetch {{ install.node.file }} {{ install.node.url }} {{ install.node.sha256 }}
  tar -xzf /root/{{ install.node.file }} -C /usr/local --strip-components=1 --no-same-owner
fi
{% endif %}
if ! command -v "$program" >/dev/null; then
  fetch {{ install.file }} {{ install.url }} {{ install.sha256 }}
  install -m 0755 /root/{{ install.file }} "/usr/local/bin/$program"
fi
runner=$(command -v "$program")
{% endif %}
{% if host.docker %}
command -v docker >/dev/null || fail 'the image has no docker'
# The daemon itself starts with the first use, which waits for it: a job that has none is not kept.
systemctl start docker.socket 2>/dev/null || systemctl start docker.service || fail 'Docker does not start'
usermod -a -G docker "$user"
{% endif %}

# shutdown_timeout is the second shield: a runner that is told to stop all the same lets its job end
# (one-job does not know it: there the unit's KillSignal is the only shield).
# timeout lies behind the deadline, because a job that the runner cancels itself may turn green too.
# fetch_timeout: a forge gives a job away with its answer, and takes one that nobody heard of back after
# ten minutes. A busy Gitea took ten seconds to answer (measured); by default a runner waits for five.
# envs reach containers too.
cat >"$own/config.yaml" <<END
log:
  level: info
cache:
  enabled: false
host:
  workdir_parent: $home/work
runner:
  file: .runner
  capacity: 1
  timeout: {{ pool.max_lifetime_minutes * 2 }}m
  shutdown_timeout: {{ pool.max_lifetime_minutes }}m
  fetch_timeout: 30s
  fetch_interval: 1s
  fetch_interval_max: 1s
  envs:
END
# The image's variables, each as a word of the shell, with the quotes around a value taken off, as PAM
# does.
image_env() {
  sed -n -e 's/^[[:blank:]]*\(export[[:blank:]]\)*[[:blank:]]*//' -e 's/[[:blank:]]*$//' \
    -e 's/^\([A-Za-z_][A-Za-z0-9_]*=\)"\(.*\)"$/\1\2/' \
    -e "s/^\([A-Za-z_][A-Za-z0-9_]*=\)'\(.*\)'\$/\1\2/" -e "$1" /etc/environment 2>/dev/null || :
}
# The folder of tools, by the runner's configuration, and where runner 1.0 looks for it, whatever that says.
tools={% if host.tools %}'{{ host.tools }}'{% else %}$(image_env 's/^RUNNER_TOOL_CACHE=//p' | tail -n 1){% endif %}

if [ -n "$tools" ]; then
  printf "    RUNNER_TOOL_CACHE: '%s'\n" "$(printf '%s' "$tools" | sed "s/'/''/g")" >>"$own/config.yaml"
  ln -sfn "$tools" "$home/work/tool_cache"
fi
{% if host.container_env %}
cat >>"$own/config.yaml" <<'END'
{% for one in host.container_env %}
    {{ one.name }}: '{{ one.value }}'
{% endfor %}
END
{% endif %}
chown "$user": "$own/.runner" "$own/config.yaml"

work="$runner $task --config $own/config.yaml"
# A smoke test: a look at what a job would find, in the runner's place. No job is asked for.
if [ "$smoke_test" = 1 ]; then
  phase=smoke-test
  cat >/run/ci-look <<'END'
forge=$(curl -sS -m 10 -o /dev/null -w '%{http_code}' '{{ forge_url }}/api/v1/version' 2>"$HOME/curl") ||
  forge=000
docker=no
if command -v docker >/dev/null; then
  docker=unusable
  timeout 10 docker version >/dev/null 2>&1 && docker=usable
fi
version() { command -v "$1" >/dev/null && "$@" 2>&1 | head -n 1 | tr -d ';' | cut -c 1-40 || echo none; }
metadata=open
curl -s -m 2 -o /dev/null http://169.254.169.254/ || metadata=closed
echo "forge=$forge;user=$(id -un);docker=$docker;metadata=$metadata;curl=$(version curl --version);path=$PATH"
[ ! -s "$HOME/curl" ] || echo "said=$(head -n 1 "$HOME/curl" | tr -d ';' | cut -c 1-80)"
echo "systemd=$(version systemctl --version);git=$(version git --version);node=$(version node --version)"
echo "runner=$(version "$1" --version)"
END
  chmod 0755 /run/ci-look
  work="/bin/sh /run/ci-look $runner"
fi

# Exactly this is the environment of a job on the machine itself, beside what the runner adds: the
# runner's own is copied into every job.
{
  echo '#!/bin/sh'
  echo "set -- LANG=C.UTF-8 'PATH=$PATH'"
  image_env "s/'/'\\\\''/g; s/^[A-Za-z_][A-Za-z0-9_]*=.*/set -- \"\$@\" '&'/p"
{% if host.env %}
  cat <<'END'
set -- "$@"{% for one in host.env %} '{{ one.name }}={{ one.value }}'{% endfor %}

END
{% endif %}
  echo "exec env -i \"\$@\" HOME=$home USER=$user $work"
} >/run/ci-start
chmod 0755 /run/ci-start

# KillSignal: whoever stops this unit, also the shutdown of the machine, kills runner and job
# outright. OOMPolicy: a job that runs out of memory fails by itself and is reported by its runner.
systemd-run --quiet --collect --unit=ci-runner --uid="$user" --working-directory="$own" \
  --property=KillSignal=SIGKILL --property=OOMPolicy=continue \
  --property=StandardOutput=append:"$log" --property=StandardError=append:"$log" /bin/sh /run/ci-start
reached online
if [ "$smoke_test" = 1 ]; then
  look_end_s=$(($(now_s) + 60))
  while systemctl is-active ci-runner.service >/dev/null 2>&1 && [ "$(now_s)" -lt "$look_end_s" ]; do
    sleep 1
  done
  found=$(head -c 2000 "$log" | tr '\n' ';') || fail 'the look at it said nothing'
  found=$(sed -n 's/.* reached \([a-z]*\) after \(.*\) s, \(.*\) connections, \(.*\) bytes/\1=\2 \3 \4;/p' \
    "$state/words" | tr -d '\n')$found
  say "smoke test: $found"
  # Said again in case nobody heard it. Whoever asked for the machine has it ended; ten minutes are enough
  # for EC2 to take it back, where that is what is tried.
  while [ "$(now_s)" -lt "$((look_end_s + 600))" ]; do
    mark found "$found"
    last_mark=ending
    sleep 5
  done
  fail 'nobody ended the machine of this smoke test'
fi
mark online &
say "runner $runner started"

# One job and the runner exits. A runner with a job is left alone, however long that takes: its end
# is the deadline's business.
# forgejo-runner fetches one before it can read it, and says the first line only of one that it could.
has_job() { grep -q -e 'task [0-9][0-9]* repo is' -e 'fetched one task from' "$log" 2>/dev/null; }
started() {
  phase=job
  last_mark=ending
  reached job
  mark started &
}

# forge_rpc METHOD BODY: as the runner, whose credential goes to curl by standard input.
forge_rpc() {
  printf 'header = "x-runner-uuid: %s"\nheader = "x-runner-token: %s"\n' \
    "$(field "$credential" uuid)" "$(field "$credential" token)" |
    curl -sS -m 4 -K - -H 'Content-Type: application/json' --data-binary "$2" \
      "$forge/api/actions/runner.v1.RunnerService/$1"
}

# The forge's id of the job. Its line stands before anything that the job can have caused to be said.
job_id() {
  sed -n '/task [0-9][0-9]* repo is/{s/.*task \([0-9][0-9]*\) repo is.*/\1/p;q;}' "$log" 2>/dev/null || :
}

# log_lines: how many lines the job's log has at the forge, which is a question that changes nothing.
log_lines() { forge_rpc UpdateLog "{\"taskId\":\"$1\",\"index\":\"0\",\"rows\":[]}" 2>&1; }

# Once a job has its result, or was cancelled, the forge knows its one-job runner no more. One that goes on
# all the same, for half a minute, is held up by what its job left, or was never told.
ask_at_s=0
over_at_s=
over() {
  [ "$phase" = job ] && [ "$(now_s)" -ge "$ask_at_s" ] || return 0
  ask_at_s=$(($(now_s) + 15))
  job=$(job_id)
  [ -n "$job" ] || return 0
  case $(log_lines "$job") in
    *'unregistered runner'*) : "${over_at_s:=$(($(now_s) + 30))}" ;;
    *) over_at_s= ;;
  esac
  [ -z "$over_at_s" ] || [ "$(now_s)" -lt "$over_at_s" ] || {
    words='the job is over at the forge, and its runner was not'
    exit 0
  }
}
{% if pool.capacity != "on-demand" %}

# Spot: EC2 says two minutes ahead when it takes this machine back. A job that ends until then has its own
# result. One that still runs 15 seconds before is killed outright and reported as failed, which takes a
# second; nobody else would tell the forge for ten minutes.
look_at_s=0
kill_at_s=
notice() {
  notice=$(printf 'header = "X-aws-ec2-metadata-token: %s"\n' "$token" |
    curl -s -m 2 -w ' %{http_code}' -K - http://169.254.169.254/latest/meta-data/spot/instance-action) ||
    return 1
  case $notice in
    *' 200') return 0 ;;
    *' 401') token=$(metadata_token) || : ;;
  esac
  return 1
}

interrupted() {
  kill_runner
  words='EC2 took this Spot machine back'
  last_mark=ending
  job=$(job_id)
  [ -n "$job" ] || exit 0
  phase=job
  last_mark=interrupted
  now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  # Ours is the last line.
  lines=$(field "$(log_lines "$job")" ackIndex)
  forge_rpc UpdateLog "{\"taskId\":\"$job\",\"index\":\"${lines:-0}\",\"noMore\":true,\"rows\":[{\"time\":\"$now\",\"content\":\"##[error]interrupted: $words\"}]}" >/dev/null || :
  case $(forge_rpc UpdateTask "{\"state\":{\"id\":\"$job\",\"result\":\"RESULT_FAILURE\",\"stoppedAt\":\"$now\",\"steps\":[]}}" 2>&1) in
    # It had its own result a moment before.
    *'unregistered runner'*) last_mark=ending ;;
    *'"code"'* | curl:*) words="$words, and the forge could not be told" ;;
  esac
  exit 0
}

spot() {
  if [ -z "$kill_at_s" ]; then
    [ "$(now_s)" -ge "$look_at_s" ] || return 0
    look_at_s=$(($(now_s) + 5))
    notice || return 0
    at=$(field "$notice" time)
    # Without a time that can be read: two minutes, less what a look may be late.
    at_s=$(date -u -d "$at" +%s 2>/dev/null) || at_s=$(($(date +%s) + 110))
    left_s=$((at_s - $(date +%s) - 15))
    [ "$left_s" -le 105 ] || left_s=105
    kill_at_s=$(($(now_s) + left_s))
    say "EC2 takes this Spot machine back at $at"
    # No job is to begin here any more.
    [ "$phase" = job ] || interrupted
  fi
  [ "$(now_s)" -lt "$kill_at_s" ] || interrupted
}
{% endif %}

idle_end_s=$(($(now_s) + idle_timeout_s))
while systemctl is-active ci-runner.service >/dev/null 2>&1; do
  if [ "$phase" = runner ]; then
    if has_job; then
      started
    elif [ "$(now_s)" -ge "$idle_end_s" ]; then
      last_mark=ending
      fail "no job within $idle_timeout_s s"
    fi
  fi
  over
{% if pool.capacity != "on-demand" %}
  spot
{% endif %}
  sleep 1
done
# A job shorter than one look shows only now.
[ "$phase" = job ] || ! has_job || started
[ "$phase" = job ] || fail "the runner ended without a job: $(tail -c 300 "$log" 2>/dev/null | tail -n 1)"
words='ended'
