# shellcheck shell=sh
# The last step of every image: nothing of this one machine is in it, and the next one is a new machine
# to cloud-init, which then runs its user-data.

own() { sha256sum "$@" 2>/dev/null | sha256sum | cut -c 1-64; }

provision() {
  printf 'image=%s\nstock=%s\narch=%s\ndigest=%s\nmachine=%s\n' "$image" "$stock" "$arch" "$digest" \
    "$(own /etc/machine-id)" >"$record"
  clean_packages
  rm -f /etc/ssh/ssh_host_* /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys
  rm -f /root/.bash_history /home/*/.bash_history
  # Empty, not gone: without the file systemd takes the next boot for the first of all.
  : >/etc/machine-id
  [ -L /var/lib/dbus/machine-id ] || rm -f /var/lib/dbus/machine-id
  ! command -v cloud-init >/dev/null || cloud-init clean --logs
  rm -rf /var/lib/cloud/instance /var/lib/cloud/instances /var/lib/cloud/sem
  rm -rf /var/log/journal /tmp/* /var/tmp/* /root/.cache /var/lib/dhcp/*.leases
  find /var/log -type f -exec truncate -s 0 {} +
}

check() {
  for fact in "image=$image" "stock=$stock" "arch=$arch" "digest=$digest"; do
    grep -qx "$fact" "$record" || fail "this is another image than $fact: $(paste -s -d ' ' "$record")"
  done
  if [ "$mode" = build ]; then
    [ ! -s /etc/machine-id ] || fail 'the machine has an id'
    for key in /etc/ssh/ssh_host_*; do
      [ ! -e "$key" ] || fail "$key is in the image"
    done
    return
  fi
  # It got an id of its own, and keys of its own if any.
  grep -qxE '[0-9a-f]{32}' /etc/machine-id || fail 'this machine has no id'
  ! grep -qx "machine=$(own /etc/machine-id)" "$record" || fail "this machine has its builder's id"
  for key in /etc/ssh/ssh_host_*; do
    [ ! -e "$key" ] || [ -n "$(find "$key" -newer "$record")" ] || fail "$key was in the image"
  done
}
