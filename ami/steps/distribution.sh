# shellcheck shell=sh
# What differs by distribution, and nowhere else.

case $stock in
  al2023)
    # Packages come from the repository's version that the image names: who builds again gets the same.
    install_packages() { dnf -q -y --setopt=install_weak_deps=False install "$@"; }
    clean_packages() {
      dnf -q clean all
      rm -rf /var/cache/dnf
    }
    ;;
  ubuntu)
    # A service that its package starts would leave its state and its keys in the image. Ubuntu updates its
    # lists by itself when it first boots, and while it does nobody else may: for five minutes at most.
    install_packages() {
      printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
      chmod 0755 /usr/sbin/policy-rc.d
      export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
      tries=0
      until apt-get -qq -o Acquire::Retries=3 -o APT::Update::Error-Mode=any update; do
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || fail "there are no lists of packages: $(tail -n 1 "$work/log")"
        sleep 5
      done
      apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 --no-install-recommends \
        install "$@"
      rm -f /usr/sbin/policy-rc.d
    }
    clean_packages() {
      apt-get -qq clean
      rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
    }
    ;;
  *) fail "there is no distribution $stock" ;;
esac

# package THING: what this distribution calls it.
package() {
  case $stock-$1 in
    ubuntu-xz) echo xz-utils ;;
    ubuntu-docker) echo docker.io ;;
    ubuntu-fontconfig) echo libfontconfig1 ;;
    *) echo "$1" ;;
  esac
}
