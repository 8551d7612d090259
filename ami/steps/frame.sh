# shellcheck shell=sh
# What stands around the steps, on the machine that becomes an image and on the one that tries it.
#
# Rules that it keeps:
# - The deadline is armed before anything that can hang or fail. A machine that is started by the
#   dispatcher's own account for this is ended from outside too, by its tag with the time.
# - Nothing is installed whose checksum was not checked, and what is downloaded lies in memory: a block
#   that was ever written to the volume stays in the snapshot, and each boot of the image may read it.
# - There is no secret here: user-data can be read by whoever may describe the instance.
# - The last line said is the verdict. A machine that ends without one has failed.
#
# Above it stand the facts of this build: mode image stock arch digest deadline_minutes. Below it the
# distribution, then for each step its name, its tools, its script and `run_step`.

# Two timers, of which the second needs no orderly shutdown to get anywhere.
if ! systemd-run --quiet --collect --unit=ci-ami-deadline --on-active="${deadline_minutes}min" \
  systemctl poweroff ||
  ! systemd-run --quiet --collect --unit=ci-ami-deadline-forced \
    --on-active="$((deadline_minutes + 1))min" systemctl poweroff --force; then
  echo 'ci-ami RESULT fail step=deadline: no systemd arms it, so this machine ends'
  systemctl poweroff --force || poweroff -f || shutdown -h now
  exit 1
fi

set -eu
umask 022
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HOME=/root
export PATH HOME

step=start
words=
done=
tools=
work=/run/ci-ami
record=/etc/ci-image
toolcache=/opt/hostedtoolcache

# What is said reaches EC2's console where the distribution does not send it there by itself.
say() {
  printf 'ci-ami %s\n' "$*" >&3
  [ ! -w /dev/console ] || printf 'ci-ami %s\n' "$*" 2>/dev/null >/dev/console || :
}

fail() {
  words=$*
  exit 1
}

# Why the step stopped, on one line: what it says itself, or the last that a program said.
reason() {
  [ -n "$words" ] || words=$(tail -n 1 "$work/log" 2>/dev/null || :)
  printf '%s' "${words:-it stopped without a word}" | tr -c 'A-Za-z0-9 .,:;/_=()+@%~-' ' ' | cut -c 1-300
}

finish() {
  code=$?
  trap - EXIT
  trap '' INT TERM HUP
  if [ "$done" = yes ]; then
    say "RESULT ok digest=$digest"
  else
    tail -n 40 "$work/log" >&3 2>/dev/null || :
    say "RESULT fail step=$step: $(reason) (exit $code)"
  fi
  sync
  systemctl poweroff || systemctl poweroff --force || poweroff -f
}

exec 3>&1
trap finish EXIT
trap 'words="told to stop"; exit 143' INT TERM HUP
mkdir -p "$work"
# Half of the memory is the default; an engine's export templates need more for a minute.
mountpoint -q "$work" || mount -t tmpfs -o mode=0700,size=80% tmpfs "$work"
exec >"$work/log" 2>&1

# tool NAME VERSION URL ALGORITHM SUM: downloads and checks one for the step that follows.
tool() {
  tools="$tools $1=$2"
  [ "$mode" = build ] || return 0
  curl -fsSL --proto '=https' --connect-timeout 10 -m 900 --retry 4 --retry-delay 2 \
    --retry-all-errors --retry-max-time 1200 -o "$work/$1" "$3" ||
    fail "could not download $1 $2 from $3"
  printf '%s  %s\n' "$5" "$work/$1" | "$4sum" -c - >/dev/null ||
    fail "$1 $2 has another checksum than the pinned one"
}

# The checked file of a tool.
file() { printf '%s/%s' "$work" "$1"; }

# The version of a tool; nothing if it is none of this image's.
version() {
  for it in $tools; do
    case $it in "$1="*) echo "${it#*=}" ;; esac
  done
}

# The image's tools whose names begin so, in the image's order.
tools_named() {
  for it in $tools; do
    case $it in "$1"*) echo "${it%%=*}" ;; esac
  done
}

# run_step: what the step's script has just defined. In the finished image its check alone.
run_step() {
  if [ "$mode" = build ]; then
    provision
    find "$work" -mindepth 1 ! -name log -delete
  fi
  check
  say "step=$step ok"
}

# says WANTED PROGRAM ARGUMENT...: fails unless the program's answer holds the wanted words.
says() {
  wanted=$1
  shift
  answer=$("$@" 2>&1) || fail "$* failed: $(printf '%s' "$answer" | tail -n 1)"
  case $answer in
    *"$wanted"*) ;;
    *) fail "$* says $(printf '%s' "$answer" | head -n 1), which is not $wanted" ;;
  esac
}

# variable NAME VALUE: sets it for every job, in /etc/environment.
variable() {
  touch /etc/environment
  sed -i "/^$1=/d" /etc/environment
  printf '%s="%s"\n' "$1" "$2" >>/etc/environment
}

# path_first FOLDER: jobs find programs there before all others.
path_first() {
  old=$(sed -n 's/^PATH="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' /etc/environment 2>/dev/null | tail -n 1)
  old=${old:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
  old=$(printf '%s' "$old" | tr ':' '\n' | grep -vxF "$1" | paste -s -d : -)
  variable PATH "$1:$old"
}

# cached KIND VERSION NAME STRIP: unpacks a tool where the actions setup-go and setup-node look first.
cached() {
  place=$toolcache/$1/$2/$cache_arch
  rm -rf "$place" "$place.complete"
  install -d "$place"
  tar -x -f "$(file "$3")" -C "$place" --strip-components="$4" --no-same-owner
  touch "$place.complete"
}
case $arch in
  x86_64) cache_arch=x64 ;;
  *) cache_arch=$arch ;;
esac
