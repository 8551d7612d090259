#!/bin/sh
# Makes the roots that the tests boot: `roots.sh FOLDER`. Debian 12 has the systemd of Amazon Linux 2023 (252)
# and a curl (7.88) that is older than its own; Debian 13 has newer ones than Ubuntu 24.04.
set -eu
folder=$1
packages=systemd,systemd-sysv,dbus,curl,ca-certificates,python3,iproute2,sudo,git,passwd,procps,libpam-systemd,polkitd,cron,at
for suite in bookworm trixie; do
  [ ! -e "$folder/$suite/made" ] || continue
  rm -rf "${folder:?}/$suite"
  mkdir -p "$folder"
  mmdebstrap --quiet --variant=minbase --include="$packages" "$suite" "$folder/$suite"
  units=$folder/$suite/etc/systemd/system
  cat >"$units/lab-cloud.service" <<'END'
[Unit]
Description=The cloud around this machine
[Service]
ExecStartPre=/bin/ip address add 169.254.169.254/32 dev lo
ExecStart=/usr/bin/python3 /state/cloud.py
StandardOutput=append:/state/cloud.log
StandardError=append:/state/cloud.log
END
  # As cloud-init runs it: KillMode, output and order.
  cat >"$units/user-data.service" <<'END'
[Unit]
Description=The boot file
After=lab-cloud.service
Wants=lab-cloud.service
[Service]
Type=oneshot
RemainAfterExit=yes
KillMode=process
TimeoutSec=0
ExecStartPre=/bin/sh -c 'for i in $(seq 100); do [ ! -e /state/cloud-is-up ] || exit 0; sleep 0.1; done; exit 1'
ExecStart=/bin/sh /state/user-data.sh
StandardOutput=append:/state/console.log
StandardError=append:/state/console.log
END
  mkdir -p "$units/multi-user.target.wants"
  ln -sf ../user-data.service "$units/multi-user.target.wants/user-data.service"
  printf '127.0.0.1 localhost forge.lab i-0123456789abcdef0\n' >"$folder/$suite/etc/hosts"
  install -m 0755 /dev/null "$folder/$suite/usr/local/bin/gitea-runner"
  mkdir -p "$folder/$suite/state"
  touch "$folder/$suite/made"
done
