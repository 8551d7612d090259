#!/bin/sh
# amazon.sh FOLDER NAME...: a repository of empty packages with these names, for dnf. Whoever asks it for
# another name gets none.
set -eu

folder=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$folder"
for name in "$@"; do
  cat >"$work/$name.spec" <<END
Name: $name
Version: 1
Release: 1.amzn2023
Summary: A stand-in
License: none
BuildArch: noarch
%description
A stand-in.
%files
END
  rpmbuild --quiet -bb --define "_topdir $work" --define "_rpmdir $folder" "$work/$name.spec"
done
createrepo_c --quiet "$folder"
