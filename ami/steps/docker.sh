# shellcheck shell=sh
# The distribution's Docker, which starts with the first use of its socket. Who may use that socket is
# root on the machine: pools with this image are for trusted repositories.

provision() {
  plugins=/usr/local/lib/docker/cli-plugins
  install_packages "$(package docker)" amazon-ecr-credential-helper
  install -d "$plugins"
  install -m 0755 "$(file docker-buildx)" "$plugins/docker-buildx"
  install -m 0755 "$(file docker-compose)" "$plugins/docker-compose"
  usermod --append --groups docker ci
  # containerd comes with Docker, which wants it.
  systemctl disable docker.service containerd.service
  systemctl enable docker.socket
}

check() {
  says "$(version docker-buildx)" docker buildx version
  says "$(version docker-compose)" docker compose version
  command -v docker-credential-ecr-login >/dev/null || fail "there is no helper for ECR's credentials"
  id -nG ci | tr ' ' '\n' | grep -qx docker || fail 'ci may not use Docker'
  says enabled systemctl is-enabled docker.socket
  for unit in docker.service containerd.service; do
    [ "$(systemctl is-enabled "$unit" || :)" = disabled ] || fail "$unit starts with the machine"
  done
  # What starts Docker with the first use has to bring the other too.
  systemctl show --property=Wants,Requires docker.service | grep -q containerd.service ||
    fail 'Docker would start without containerd'
}
