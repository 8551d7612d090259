# shellcheck shell=sh
# Go, two lines of it. The last version that the image names is its `go`.

provision() {
  for name in $(tools_named go-); do
    cached go "$(version "$name")" "$name" 1
    go=$toolcache/go/$(version "$name")/$cache_arch
  done
  ln -sf "$go/bin/go" "$go/bin/gofmt" /usr/local/bin/
  # Where Go is found on many machines, so that a path written into a workflow works here too.
  ln -sfn "$go" /usr/local/go
  path_first /usr/local/go/bin
}

check() {
  for name in $(tools_named go-); do
    place=$toolcache/go/$(version "$name")/$cache_arch
    [ -e "$place.complete" ] || fail "$name is not in the tool cache"
    says "go$(version "$name") " "$place/bin/go" version
    last=$name
  done
  says "go$(version "$last") " go version
  grep -q '^PATH="/usr/local/go/bin:' /etc/environment || fail 'jobs do not find Go'
}
