# shellcheck shell=sh
# What most jobs take for granted. curl is in every stock image, and in Amazon's it is the small one,
# which the full one's package refuses to stand beside.

provision() {
  install_packages git jq nftables tar unzip zstd "$(package xz)"
  tar -x -f "$(file git-lfs)" -C "$work"
  install -m 0755 "$work/git-lfs-$(version git-lfs)/git-lfs" /usr/local/bin/git-lfs
  git lfs install --system --skip-repo
}

check() {
  for program in curl git jq nft tar unzip xz zstd; do
    command -v "$program" >/dev/null || fail "there is no $program"
  done
  says "git-lfs/$(version git-lfs)" git lfs version
  # Machines sign their requests with it.
  says --aws-sigv4 curl --help all
}
