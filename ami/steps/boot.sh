# shellcheck shell=sh
# What nothing of a job needs and each boot would wait for: updates, which belong into a new image, and a
# journal on the volume, which nobody reads when the machine is gone.

provision() {
  for unit in apt-daily.timer apt-daily-upgrade.timer man-db.timer motd-news.timer \
    unattended-upgrades.service snapd.service snapd.socket snapd.seeded.service dnf-makecache.timer; do
    systemctl disable "$unit" 2>/dev/null || :
  done
  install -d /etc/systemd/journald.conf.d
  printf '[Journal]\nStorage=volatile\n' >/etc/systemd/journald.conf.d/ci.conf
}

check() {
  grep -qx Storage=volatile /etc/systemd/journald.conf.d/ci.conf || fail 'the journal goes to the volume'
}
