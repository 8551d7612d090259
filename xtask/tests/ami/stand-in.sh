#!/bin/sh
# stand-in.sh TOOL VERSION FILE: makes a small file in the form in which TOOL's vendor publishes the real
# one. Its programs say the version that they stand for, in the words of the real ones.
set -eu

tool=$1
version=$2
file=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# program PATH WORDS: one that says the words, whatever it is asked.
program() {
  mkdir -p "$(dirname "$1")"
  printf '#!/bin/sh\necho "%s"\n' "$2" >"$1"
  chmod 0755 "$1"
}

# plugin WORDS: one that Docker's command line takes for a plugin of its own.
plugin() {
  cat >file <<END
#!/bin/sh
case \$1 in
  docker-cli-plugin-metadata) echo '{"SchemaVersion":"0.1.0","Vendor":"stand-in"}' ;;
  *) echo "$1" ;;
esac
END
  chmod 0755 file
}

case $tool in
  gitea-runner)
    # In a machine of the lab it runs jobs as the lab's runner does.
    cat >file <<END
#!/bin/sh
case \$1 in
  --version) echo "gitea-runner version v$version" ;;
  *) exec /usr/local/lib/lab/lab internal gitea-runner "\$@" ;;
esac
END
    chmod 0755 file
    ;;
  forgejo-runner) program file "forgejo-runner version v$version" ;;
  docker-buildx) plugin "github.com/docker/buildx v$version stand-in" ;;
  docker-compose) plugin "Docker Compose version v$version" ;;
  kubectl) program file "Client Version: v$version" ;;
  git-lfs)
    program "git-lfs-$version/git-lfs" "git-lfs/$version (GitHub; linux amd64; stand-in)"
    tar -czf file "git-lfs-$version"
    ;;
  node-*)
    program "node-v$version-linux-x64/bin/node" "v$version"
    program "node-v$version-linux-x64/lib/npm" 11.0.0
    ln -s ../lib/npm "node-v$version-linux-x64/bin/npm"
    ln -s ../lib/npm "node-v$version-linux-x64/bin/npx"
    tar -cJf file "node-v$version-linux-x64"
    ;;
  go-*)
    program go/bin/go "go version go$version linux/amd64"
    program go/bin/gofmt ''
    tar -czf file go
    ;;
  helm)
    program linux-amd64/helm "version.BuildInfo{Version:v$version}"
    tar -czf file linux-amd64
    ;;
  aws-cli)
    # Its installer copies what is beside it and links two programs, and refuses a second time without
    # --update.
    program aws/dist/aws "aws-cli/$version Python/3 Linux stand-in"
    cat >aws/install <<'END'
#!/bin/sh
set -eu
[ "${1-}" = --update ] || [ ! -e /usr/local/aws-cli ] || exit 1
mkdir -p /usr/local/aws-cli/v2/current/bin
cp "$(dirname "$0")/dist/aws" /usr/local/aws-cli/v2/current/bin/aws
ln -sfn /usr/local/aws-cli/v2/current/bin/aws /usr/local/bin/aws
END
    chmod 0755 aws/install
    zip -q -r file.zip aws
    mv file.zip file
    ;;
  session-manager-plugin)
    program usr/local/sessionmanagerplugin/bin/session-manager-plugin "$version"
    tar -czf data.tar.gz ./usr
    tar -czf control.tar.gz -T /dev/null
    echo 2.0 >debian-binary
    ar rc file debian-binary control.tar.gz data.tar.gz
    ;;
  godot)
    program "Godot_v$version-stable_linux.x86_64" "$version.stable.official.stand-in"
    zip -q file.zip ./*
    mv file.zip file
    ;;
  godot-templates)
    mkdir templates
    echo "$version.stable" >templates/version.txt
    for template in web_nothreads_release.zip linux_release.x86_64 windows_release_x86_64.exe android_debug.apk; do
      echo "$template" >"templates/$template"
    done
    zip -q -r file.zip templates
    mv file.zip file
    ;;
  *)
    echo "there is no stand-in for $tool: make one here" >&2
    exit 1
    ;;
esac
mkdir -p "$(dirname "$file")"
mv file "$file"
