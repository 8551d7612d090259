# shellcheck shell=sh
# What deploys to AWS and Kubernetes.

provision() {
  rm -rf /usr/local/aws-cli
  unzip -q "$(file aws-cli)" -d "$work"
  "$work/aws/install" --update
  install -m 0755 "$(file kubectl)" /usr/local/bin/kubectl
  tar -x -f "$(file helm)" -C "$work"
  install -m 0755 "$work"/linux-*/helm /usr/local/bin/helm
  # One package for both distributions: what is in it is the same program.
  command -v ar >/dev/null || install_packages binutils
  cd "$work" || fail "there is no $work"
  ar x "$(file session-manager-plugin)"
  tar -x -f data.tar.*
  install -m 0755 usr/local/sessionmanagerplugin/bin/session-manager-plugin /usr/local/bin/
  cd /
}

check() {
  says "aws-cli/$(version aws-cli) " aws --version
  says "v$(version kubectl)" kubectl version --client
  says "v$(version helm)" helm version
  says "$(version session-manager-plugin)" session-manager-plugin --version
}
