# shellcheck shell=sh
# Node, for jobs and for actions in JavaScript, of which checkout is one. The last version that an image
# names is its `node`.

provision() {
  for name in $(tools_named node-); do
    cached node "$(version "$name")" "$name" 1
    for program in node npm npx; do
      ln -sf "$toolcache/node/$(version "$name")/$cache_arch/bin/$program" "/usr/local/bin/$program"
    done
  done
}

check() {
  for name in $(tools_named node-); do
    place=$toolcache/node/$(version "$name")/$cache_arch
    [ -e "$place.complete" ] || fail "$name is not in the tool cache"
    says "v$(version "$name")" "$place/bin/node" --version
    last=$name
  done
  says "v$(version "$last")" node --version
  npm --version >/dev/null || fail 'npm does not run'
}
