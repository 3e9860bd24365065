#!/usr/bin/env bash
# The whole product as its users have it: starts bin/mlride with an empty data
# folder and a port of its own, runs the browser tests and the examples against
# it, stops it, and removes what it made in the engine.
#
#   scripts/e2e.sh            everything
#   scripts/e2e.sh examples   only the examples
#   scripts/e2e.sh browser    only the browser tests
#
# E2E_ONLY=images.spec.ts runs one file of the browser tests. They have a real
# registry of their own: E2E_REGISTRY is its host:port, in which what stands
# under slow/ comes slowly; scripts/push-image.sh puts images there.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}

# A test must not depend on how the caller's own server is set up.
for name in ${!MLRIDE_@}; do unset "$name"; done
engine() { scripts/with-engine.sh node scripts/engine-api.mjs "$@"; }

work=$(mktemp -d "${TMPDIR:-/tmp}/mlride-e2e.XXXXXX")
instance=e2e-$$-$RANDOM
export MLRIDE_INSTANCE=$instance
export MLRIDE_DATA=$work/data
export MLRIDE_FIREWALL=off # the machine's own stays as it is
export MLRIDE_LISTEN=127.0.0.1:0
export MLRIDE_APPS_LISTEN=127.0.0.1:0
# A machine for tests may have little free disk; that is not what is tested.
export MLRIDE_HOST_RESERVE=disk=0
# A name of its own: an installation on this machine keeps its Python to start from.
export MLRIDE_STARTER_IMAGE=mlride-starter:test
STARTER=busybox scripts/starter-image.sh

server=
registry=
proxy=
# Ends a process that was started here, and waits for its end.
finish_one() {
  if [ -n "$1" ] && kill -0 "$1" 2>/dev/null; then
    kill -TERM "$1" && wait "$1" || true
  fi
}
finish() {
  local status=$?
  trap - EXIT
  finish_one "$server"
  finish_one "$proxy"
  finish_one "$registry"
  engine clean "$instance" || status=1
  [ -z "${E2E_REGISTRY:-}" ] || engine forget "$E2E_REGISTRY" || status=1
  if [ $status -ne 0 ]; then
    echo "--- the server's log, last lines:" >&2
    tail -n 40 "$work/log" >&2 || true
  fi
  rm -rf "$work"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# Waits until a file holds a line that sed finds, and prints what it finds.
await_line() {
  local deadline=$((SECONDS + 60)) found
  until found=$(sed -n "$2" "$1" | head -n 1) && [ -n "$found" ]; do
    [ $SECONDS -lt $deadline ] || { echo "Nothing told within 60 s: $1" >&2; return 1; }
    sleep 0.05
  done
  echo "$found"
}

# A real registry on a loopback port, which an engine on this machine uses
# without any setting, and a slow line in front of it.
start_registry() {
  local port tries
  command -v docker-registry >/dev/null || { echo "The browser tests need docker-registry: make test-deps." >&2; return 1; }
  mkdir "$work/registry"
  # A port may be taken between its choice and its use.
  for tries in 1 2 3; do
    port=$(node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); });')
    printf 'version: 0.1\nlog:\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: 127.0.0.1:%s\n' \
      "$work/registry" "$port" >"$work/registry.yml"
    docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
    registry=$!
    until curl -sf -o /dev/null "http://127.0.0.1:$port/v2/"; do
      kill -0 "$registry" 2>/dev/null || break
      sleep 0.05
    done
    if kill -0 "$registry" 2>/dev/null; then break; fi
    registry=
  done
  [ -n "$registry" ] || { echo "The registry did not start:" >&2; tail -n 5 "$work/registry.log" >&2; return 1; }
  node scripts/slow-registry.mjs "127.0.0.1:$port" >"$work/proxy.out" 2>"$work/proxy.err" &
  proxy=$!
  E2E_REGISTRY=$(await_line "$work/proxy.out" '/./p')
  export E2E_REGISTRY
  # A catalogue of what is to be had here.
  scripts/push-image.sh "$E2E_REGISTRY/catalogue/tools:1-slim" 1000
  printf '[{"name": "Tools", "reference": "%s/catalogue/tools:1-slim", "description": "A shell and its tools.", "minMemory": "64MiB", "port": 8080}]\n' \
    "$E2E_REGISTRY" >"$work/catalogue.json"
  export MLRIDE_CATALOGUE=$work/catalogue.json
  export MLRIDE_IMAGE_CHECK=1m # how soon a new image under an old tag is noticed; there is no sooner
  # One with Jupyter in it, where somebody has made it; it is large, so only for those who want it.
  if [[ ${E2E_ONLY:-live} == live* ]] && engine has mlride-jupyter:test; then
    export E2E_JUPYTER=$E2E_REGISTRY/team/jupyter:test
    engine tag mlride-jupyter:test "$E2E_JUPYTER"
    engine push "$E2E_JUPYTER"
    engine remove "$E2E_JUPYTER"
  fi
}
if [ "$what" != examples ]; then start_registry; fi

scripts/with-engine.sh bin/mlride serve >"$work/out" 2>"$work/log" &
server=$!
deadline=$((SECONDS + 30))
until url=$(sed -n 's|^listening on \(http://.*\)$|\1|p' "$work/out") && [ -n "$url" ]; do
  kill -0 "$server" 2>/dev/null || { echo "The server ended before it listened." >&2; exit 1; }
  [ $SECONDS -lt $deadline ] || { echo "The server did not listen within 30 s." >&2; exit 1; }
  sleep 0.05
done
echo "e2e: the server of instance $instance is at $url"

# The server listens at once and takes in its image to start from a moment later.
await_image() {
  local account='{"query": "mutation { register(input: {username: \"e2e-waits\", email: \"e2e-waits@example.com\", password: \"pine-lamp-river-42\"}) { user { id } } }"}'
  local ready='{"query": "{ images(where: {status: [READY]}) { totalCount } }"}'
  local ask=(curl -sS --max-time 10 -b "$work/jar" -c "$work/jar" -H 'Content-Type: application/json' "$url/graphql" -d)
  local deadline=$((SECONDS + 30))
  "${ask[@]}" "$account" >/dev/null
  until [[ $("${ask[@]}" "$ready") == *'"totalCount":'[1-9]* ]]; do
    [ $SECONDS -lt $deadline ] || { echo "The server has no image that is ready after 30 s." >&2; exit 1; }
    sleep 0.05
  done
}

if [ "$what" != examples ]; then
  E2E_URL=$url npm --prefix frontend run e2e -- ${E2E_ONLY:+"$E2E_ONLY"}
fi
if [ "$what" != browser ]; then
  await_image
  before=$(engine containers "$instance")
  echo "e2e: examples/journey.mjs" && node examples/journey.mjs "$url"
  echo "e2e: examples/journey.py" && python3 examples/journey.py "$url"
  echo "e2e: examples/curl.sh" && examples/curl.sh "$url"
  # What an example has seen REMOVED is gone from the engine too.
  after=$(engine containers "$instance")
  if [ "$after" != "$before" ]; then
    echo "The examples removed their containers, and the engine has others than before: $after" >&2
    exit 1
  fi
fi

kill -TERM "$server"
status=0
wait "$server" || status=$?
server=
if [ $status -ne 0 ]; then
  echo "The server ended with $status after SIGTERM, not 0." >&2
  exit 1
fi
echo "e2e: passed, and the server stopped cleanly."
