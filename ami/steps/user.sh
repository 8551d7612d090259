# shellcheck shell=sh
# The user that jobs run as. It may add versions to the tool cache, and change none that are there.

provision() {
  id ci >/dev/null 2>&1 || useradd --create-home --shell /bin/bash ci
  install -d -m 0700 -o ci -g ci /home/ci
  install -d -o ci -g ci "$toolcache" "$toolcache/go" "$toolcache/node"
  variable RUNNER_TOOL_CACHE "$toolcache"
}

check() {
  [ "$(stat -c %U:%a /home/ci)" = ci:700 ] || fail '/home/ci is not for ci alone'
  ! id -nG ci | tr ' ' '\n' | grep -qxE 'root|sudo|wheel|adm' || fail 'ci has rights of an administrator'
  grep -qx "RUNNER_TOOL_CACHE=\"$toolcache\"" /etc/environment || fail 'jobs have no tool cache'
}
