#!/bin/sh
# Makes what Docker in the lab's machines is: `make.sh FOLDER`. In it are then
#   programs/       Debian's docker.io with what it needs and this machine lacks, unpacked and not installed:
#                   no daemon starts here, and nothing of this machine changes
#   store/data      Docker's folder with two images, without their files
#   store/layers    the files of the images' layers, one folder each
# The images are Debian as mmdebstrap makes it: postgres:15 behaves as the image of that name where workflows
# can tell, and ci-job:1 is plain, with what a step needs to ask a database, and curl.
set -eu

folder=$1
own=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)
suite=bookworm

fail() {
  echo "Docker for the lab's machines: $*" >&2
  exit 1
}

programs() {
  debs=$folder/debs
  mkdir -p "$debs/partial" "$folder/programs/usr"
  set -- -qq -y --no-install-recommends --download-only -o "Dir::Cache::archives=$debs" \
    install docker.io iptables
  apt-get "$@" >/dev/null 2>&1 || { apt-get -qq update && apt-get "$@" >/dev/null; } ||
    fail 'apt-get could not fetch docker.io'
  for deb in "$debs"/*.deb; do
    # Where the machine has all of it installed, there is none.
    [ ! -e "$deb" ] || dpkg --extract "$deb" "$folder/programs"
  done
  # What update-alternatives would do.
  for name in iptables ip6tables; do
    [ -e "/usr/sbin/$name" ] || ln -sf "$name-nft" "$folder/programs/usr/sbin/$name"
  done
  rm -rf "$debs"
}

# root NAME PACKAGES OPTION…: a file system with these packages, as an archive.
root() {
  name=$1 packages=$2
  shift 2
  mmdebstrap --quiet --variant=essential --include="$packages" \
    --dpkgopt=force-unsafe-io --dpkgopt=force-confold \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' "$@" "$suite" "$folder/$name.tar" ||
    fail "mmdebstrap made no $name"
}

# What the image postgres:15 starts: a new database each time, by the variables that everybody knows. Without a
# password it does not start, as that one.
serve_postgres() {
  cat <<'END'
#!/bin/sh
set -eu
[ -n "${POSTGRES_PASSWORD-}" ] || {
  echo 'POSTGRES_PASSWORD is not set, so this database does not start' >&2
  exit 1
}
user=${POSTGRES_USER-postgres}
data=/var/lib/postgresql/data
programs=/usr/lib/postgresql/15/bin

as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

install -d -o postgres -g postgres -m 0700 "$data"
password=$(mktemp)
chown postgres "$password"
printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
as_postgres "$programs/initdb" --pgdata="$data" --no-sync --username="$user" --pwfile="$password" \
  --auth-local=trust --auth-host=scram-sha-256 >/dev/null
rm -f "$password"
echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
if [ "${POSTGRES_DB-postgres}" != postgres ]; then
  echo "CREATE DATABASE \"$POSTGRES_DB\"" |
    as_postgres "$programs/postgres" --single -D "$data" postgres >/dev/null
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups \
  "$programs/postgres" -D "$data" -c 'listen_addresses=*' -c unix_socket_directories=/tmp -c fsync=off
END
}

roots() {
  serve_postgres >"$folder/serve-postgres"
  chmod 0755 "$folder/serve-postgres"
  root job postgresql-client-15,curl
  # shellcheck disable=SC2016  # the hook's own variable
  root postgres postgresql-15 \
    --essential-hook='mkdir -p "$1/etc/postgresql-common"' \
    --essential-hook='echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"' \
    --customize-hook="copy-in $folder/serve-postgres /usr/local/bin"
}

# In namespaces of its own. Importing starts no container.
store() {
  mount --make-rprivate /
  programs=$folder/programs
  work=$folder/work
  mkdir -p "$work"
  mount -t tmpfs -o size=4g,mode=755 tmpfs "$work"
  mkdir "$work/usr-upper" "$work/usr-work" "$work/docker" "$work/run"
  mount -t overlay -o "lowerdir=$programs/usr:/usr,upperdir=$work/usr-upper,workdir=$work/usr-work" overlay /usr
  mount -t tmpfs tmpfs /run
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  DOCKER_HOST=unix:///run/docker.sock
  export PATH DOCKER_HOST
  unset DOCKER_CONTEXT DOCKER_CONFIG
  dockerd --data-root "$work/docker" --host "$DOCKER_HOST" --bridge none --iptables=false --ip6tables=false \
    --storage-driver overlay2 >"$folder/dockerd.log" 2>&1 &
  daemon=$!
  waited=0
  until docker version >/dev/null 2>&1; do
    waited=$((waited + 1))
    if [ "$waited" -ge 150 ] || ! kill -0 "$daemon" 2>/dev/null; then
      tail -n 5 "$folder/dockerd.log" >&2
      fail 'the daemon does not start here'
    fi
    sleep 0.2
  done
  docker import "$folder/job.tar" ci-job:1 >/dev/null
  docker import --change 'CMD ["/usr/local/bin/serve-postgres"]' --change 'EXPOSE 5432' \
    "$folder/postgres.tar" postgres:15 >/dev/null
  kill "$daemon"
  wait "$daemon" || :
  mkdir -p "$folder/store/layers"
  for diff in "$work/docker/overlay2"/*/diff; do
    layer=${diff%/diff}
    cp -a "$diff" "$folder/store/layers/${layer##*/}"
    rm -rf "$diff"
  done
  cp -a "$work/docker" "$folder/store/data"
}

if [ "${2-}" = store ]; then
  store
  exit 0
fi
[ "$(id -u)" = 0 ] || fail 'it needs root'
for program in apt-get dpkg mmdebstrap unshare; do
  command -v "$program" >/dev/null || fail "this machine has no $program"
done
rm -rf "${folder:?}"
mkdir -p "$folder"
programs
roots
unshare --mount --net --pid --uts --ipc --fork --mount-proc --kill-child sh "$own/make.sh" "$folder" store
rm -rf "$folder/job.tar" "$folder/postgres.tar" "$folder/serve-postgres" "$folder/work"
