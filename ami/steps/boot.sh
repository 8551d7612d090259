# shellcheck shell=sh
# The files that every boot of the image finds: those of ami/boot/baked, laid over the root. Above this
# stand the calls that lay them.

provision() {
  bake
  # What nothing of a job needs and each boot would wait for: updates, which belong into a new image, and
  # a journal on the volume, which nobody reads when the machine is gone.
  for unit in apt-daily.timer apt-daily-upgrade.timer man-db.timer motd-news.timer \
    unattended-upgrades.service snapd.service snapd.socket snapd.seeded.service dnf-makecache.timer; do
    systemctl disable "$unit" 2>/dev/null || :
  done
  install -d /etc/systemd/journald.conf.d
  printf '[Journal]\nStorage=volatile\n' >/etc/systemd/journald.conf.d/ci.conf
}

check() {
  baked
  grep -qx Storage=volatile /etc/systemd/journald.conf.d/ci.conf || fail 'the journal goes to the volume'
}

# lay MODE PATH: the file's bytes come packed by standard input.
lay() {
  install -d "$(dirname "$2")"
  base64 -d | gzip -d >"$2"
  chmod "$1" "$2"
  chown root:root "$2"
  # A unit that says where it belongs is started from there.
  case $2 in
    /etc/systemd/system/*.*) ! grep -qx '\[Install\]' "$2" || systemctl enable "${2##*/}" ;;
  esac
}

# laid SHA256 MODE PATH: fails unless the file is as it was laid.
laid() {
  [ "$(stat -c %U:%a "$3")" = "root:$2" ] || fail "$3 is not as it was baked"
  printf '%s  %s\n' "$1" "$3" | sha256sum -c - >/dev/null || fail "$3 is not as it was baked"
}
