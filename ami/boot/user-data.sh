#!/bin/sh
# Boot of one runner: ask for the one-job credential, run that job, power off.
#
# Rules that this file keeps:
# - Three ends, none of which needs another: the deadline below, the exit trap, the dispatcher's
#   sweep. Everything that ends the machine first kills the unit ci-runner outright: a runner that
#   is told to stop in the middle of a job reports that job as a success.
# - No secret is in this file, in an argument list, in an environment or on a disk. Role keys and
#   metadata tokens go to curl by standard input, the runner's credential lives in tmpfs.
# - The job runs as the user ci, which can end neither the deadline nor this script. A pool whose
#   image puts ci into the docker group gives its jobs root: there only the sweep is a real bound.
#
# A Tera template. The provisioner strips comment and blank lines, so no line of a here-document may
# be one.

# Before anything else, so that nothing that hangs or fails below can outlive it.
systemd-run --quiet --collect --unit=ci-deadline --on-active={{ pool.max_lifetime_minutes }}min \
  /bin/sh -c 'systemctl kill --signal=SIGKILL ci-runner.service; systemctl poweroff --force' ||
  {
    echo 'ci: no systemd arms the deadline, so this machine ends'
    systemctl poweroff --force || poweroff -f || shutdown -h now
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
home=/home/ci
# tmpfs: what lies here is gone with the machine and never on a volume.
state=/run/ci
log=$state/log/runner.log

# What the trap reports: where we are, and why we stop there.
phase=start
words=
# The mark that the end sends: a boot has failed until the runner had its job, or none came.
last_mark=failed

say() { printf 'ci %s/%s: %s\n' "$deployment" "$pool" "$*"; }

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
  curl -fsS -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
    http://169.254.169.254/latest/api/token
}

field() { printf '%s' "$1" | sed -n 's/.*"'"$2"'" *: *"\([^"]*\)".*/\1/p'; }

# route BODY FILE SECONDS: asks the dispatcher, signed as this instance; the answer goes to FILE, the
# HTTP status to standard output. The API answers within 29 seconds or not at all. The role's keys are
# read each time: they rotate while a job runs.
route() (
  token=$(metadata_token) || return 1
  role=$(metadata "$token" iam/security-credentials/) || return 1
  keys=$(metadata "$token" "iam/security-credentials/$role") || return 1
  printf 'user = "%s:%s"\nheader = "x-amz-security-token: %s"\n' \
    "$(field "$keys" AccessKeyId)" "$(field "$keys" SecretAccessKey)" "$(field "$keys" Token)" |
    curl -sS -m "$3" --connect-timeout 5 -o "$2" -w '%{http_code}' -K - \
      --aws-sigv4 "aws:amz:$region:execute-api" -H 'Content-Type: application/json' \
      --data-binary "$1" "$runner_url"
)

# mark WORD TEXT: tells the dispatcher; never fatal. TEXT loses what JSON would have to escape.
mark() {
  text=$(printf '%s' "${2-}" | tr -c 'A-Za-z0-9 .,:;/_=()+@-' ' ' | cut -c 1-300)
  route "{\"mark\":\"$1\",\"text\":\"$text\"}" /dev/null 8 >/dev/null 2>&1 || :
}

kill_runner() { systemctl kill --signal=SIGKILL ci-runner.service >/dev/null 2>&1 || :; }

finish() {
  code=$?
  trap - EXIT
  trap '' INT TERM HUP
  kill_runner
  say "ends in phase $phase (exit $code) $words"
  # Where no word of a script reaches EC2's console by itself, and none reaches the dispatcher.
  [ ! -w /dev/console ] || say "$phase: $words" 2>/dev/null >/dev/console || :
  mark "$last_mark" "$phase: ${words:-exit $code}"
  # For the marks that are still on their way.
  wait
  rm -rf "$state"
  systemctl poweroff --force || poweroff -f || shutdown -h now
}
trap finish EXIT
trap 'words="told to stop"; exit 143' INT TERM HUP

boot_end_s=$(($(now_s) + boot_timeout_s))
# pause SECONDS: before the next try; ends the boot when its time is over.
pause() {
  [ "$(now_s)" -lt "$boot_end_s" ] || fail "boot timeout of $boot_timeout_s s reached: $words"
  sleep "$1"
}

phase=image
# What the image has to have, before anything is asked for. A curl that can't sign would reach nobody,
# so this stands on the console.
for program in systemctl install sed{% if install %} dnf sha256sum{% endif %}; do
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

phase=user
id ci >/dev/null 2>&1 || useradd --create-home --shell /bin/bash ci
install -d -m 0700 -o ci "$state" "$state/log" "$home" "$home/work"

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
sed -n 's/^runner //p' "$state/answer" >"$state/.runner"
[ -s "$state/.runner" ] || fail 'the answer holds no runner document'
{% if pool.clone_token %}
phase=clone-token
forge='{{ forge_url }}'
clone_token=$(sed -n 's/^clone-token //p' "$state/answer")
case $clone_token in
  *[!A-Za-z0-9._-]*) fail 'the answer holds no usable clone token' ;;
esac
# Written by the shell itself: the token stands in no argument list and, by the include, on no disk.
if [ -n "$clone_token" ]; then
  printf '[url "%s://ci:%s@%s/"]\n\tinsteadOf = %s/\n' \
    "${forge%%://*}" "$clone_token" "${forge#*://}" "$forge" >"$state/gitconfig"
  printf '[include]\n\tpath = %s/gitconfig\n' "$state" >"$home/.gitconfig"
  chown ci: "$state/gitconfig" "$home/.gitconfig"
else
  say 'no clone token is set: jobs reach public repositories only'
fi
clone_token=
{% endif %}
smoke_test=$(grep -cx smoke-test "$state/answer" || :)
rm -f "$state/answer"

phase=runner
{% if install %}
# A stock image: the pinned runner by checksum, git for the job's checkout, and the distribution's Node
# for actions in JavaScript, of which checkout is one.
set --
command -v git >/dev/null || set -- git
command -v node >/dev/null || set -- "$@" {{ install.node }}
[ $# = 0 ] || timeout 300 dnf -q -y install "$@" || fail "could not install $*"
if ! command -v "$program" >/dev/null; then
  file={{ install.file }}
  until curl -fsSL --proto '=https' -m 120 -o "/root/$file" "{{ install.url }}"; do
    words="could not download $file"
    pause 2
  done
  echo '{{ install.sha256 }} ' "/root/$file" | sha256sum -c - >/dev/null ||
    fail "$file has another checksum than the pinned one"
  install -m 0755 "/root/$file" "/usr/local/bin/$program"
  rm -f "/root/$file"
fi
runner=$(command -v "$program")
{% endif %}

# shutdown_timeout is the second shield: a runner that is told to stop all the same lets its job end
# (one-job does not know it: there the unit's KillSignal is the only shield).
# timeout lies behind the deadline, because a job that the runner cancels itself may turn green too.
# fetch_timeout: a forge gives a job away with its answer, and takes one that nobody heard of back after
# ten minutes. A busy Gitea took ten seconds to answer (measured); by default a runner waits for five.
cat >"$state/config.yaml" <<END
log:
  level: info
runner:
  file: .runner
  capacity: 1
  timeout: {{ pool.max_lifetime_minutes * 2 }}m
  shutdown_timeout: {{ pool.max_lifetime_minutes }}m
  fetch_timeout: 30s
  fetch_interval: 1s
  fetch_interval_max: 1s
cache:
  enabled: false
host:
  workdir_parent: $home/work
END
chown ci: "$state/.runner" "$state/config.yaml"

work="$runner $task --config $state/config.yaml"
# A smoke test: a look at what a job would find, in the runner's place. No job is asked for.
if [ "$smoke_test" = 1 ]; then
  phase=smoke-test
  cat >"$state/look" <<'END'
forge=$(curl -sS -m 10 -o /dev/null -w '%{http_code}' '{{ forge_url }}/api/v1/version' 2>"$HOME/curl") ||
  forge=000
docker=no
if command -v docker >/dev/null; then
  docker=unusable
  timeout 10 docker version >/dev/null 2>&1 && docker=usable
fi
version() { command -v "$1" >/dev/null && "$@" 2>&1 | head -n 1 | tr -d ';' | cut -c 1-40 || echo none; }
echo "forge=$forge;user=$(id -un);docker=$docker;curl=$(version curl --version);path=$PATH"
[ ! -s "$HOME/curl" ] || echo "said=$(head -n 1 "$HOME/curl" | tr -d ';' | cut -c 1-80)"
echo "systemd=$(version systemctl --version);git=$(version git --version);node=$(version node --version)"
echo "runner=$(version "$1" --version)"
END
  chown ci: "$state/look"
  work="sh $state/look $runner"
fi

# KillSignal: whoever stops this unit, also the shutdown of the machine, kills runner and job
# outright. OOMPolicy: a job that runs out of memory fails by itself and is reported by its runner.
systemd-run --quiet --collect --unit=ci-runner --uid=ci --working-directory="$state" \
  --property=KillSignal=SIGKILL --property=OOMPolicy=continue \
  /bin/sh -c "exec env -i HOME=$home LANG=C.UTF-8 PATH=$PATH USER=ci \
    $work >>$log 2>&1"
if [ "$smoke_test" = 1 ]; then
  look_end_s=$(($(now_s) + 60))
  while systemctl is-active ci-runner.service >/dev/null 2>&1 && [ "$(now_s)" -lt "$look_end_s" ]; do
    sleep 1
  done
  found=$(tr '\n' ';' <"$log") || fail 'the look at it said nothing'
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
  say 'job started'
  mark started &
}

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
  sleep 1
done
# A job shorter than one look shows only now.
[ "$phase" = job ] || ! has_job || started
[ "$phase" = job ] || fail "the runner ended without a job: $(tail -n 1 "$log" 2>/dev/null)"
words='ended'
