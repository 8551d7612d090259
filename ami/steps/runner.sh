# shellcheck shell=sh
# The forges' runners, where boot looks for them. gitea-runner was act_runner once. forgejo-runner is in
# the image once its checksum is pinned.

provision() {
  install -m 0755 "$(file gitea-runner)" /usr/local/bin/gitea-runner
  ln -sf gitea-runner /usr/local/bin/act_runner
  [ -z "$(version forgejo-runner)" ] ||
    install -m 0755 "$(file forgejo-runner)" /usr/local/bin/forgejo-runner
}

check() {
  says "$(version gitea-runner)" gitea-runner --version
  says "$(version gitea-runner)" act_runner --version
  [ -z "$(version forgejo-runner)" ] || says "$(version forgejo-runner)" forgejo-runner --version
}
