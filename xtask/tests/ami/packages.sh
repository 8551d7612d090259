#!/bin/sh
# packages.sh ROOT FOLDER: fetches what the images' steps ask of Debian, with all that it needs over the Debian
# in ROOT, and makes FOLDER a layer for that Debian in which apt finds it without any network: a repository,
# and the list of sources that names it alone. A step that asks for something else fails there.
set -eu

root=$1
folder=$2
packages='amazon-ecr-credential-helper binutils docker.io git jq libfontconfig1 nftables tar unzip xz-utils zstd'

cp /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" apt-get -qq update
# shellcheck disable=SC2086  # words
chroot "$root" apt-get -qq -y --no-install-recommends --download-only install $packages >/dev/null

repository=$folder/srv/packages
rm -rf "${folder:?}"
mkdir -p "$repository" "$folder/etc/apt" "$folder/etc/dpkg/dpkg.cfg.d"
for deb in "$root"/var/cache/apt/archives/*.deb; do
  # An epoch's colon would be read as part of an address.
  file=$(dpkg-deb --field "$deb" Package).deb
  cp "$deb" "$repository/$file"
  {
    dpkg-deb --field "$deb"
    echo "Filename: ./$file"
    echo "Size: $(stat -c %s "$deb")"
    echo "SHA256: $(sha256sum "$deb" | cut -d ' ' -f 1)"
    echo
  } >>"$repository/Packages"
done
echo 'deb [trusted=yes] file:/srv/packages ./' >"$folder/etc/apt/sources.list"
# Machines of a test are not there to survive a power cut.
echo force-unsafe-io >"$folder/etc/dpkg/dpkg.cfg.d/test"
