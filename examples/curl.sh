#!/usr/bin/env bash
# The API by curl alone: a query by GET, mutations by POST, a subscription as
# server-sent events. Makes an account and a container, and removes the container.
#
#   examples/curl.sh [URL]         default http://127.0.0.1:8080
set -euo pipefail
site=${1:-http://127.0.0.1:8080}

jar=$(mktemp)
id=
watcher=
finish() {
  [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
  # Nothing is left behind, also when something went wrong half way.
  [ -z "$id" ] || post "{\"query\": \"mutation { removeContainer(id: \\\"$id\\\") { container { id } } }\"}" >/dev/null || true
  rm -f "$jar"
}
trap finish EXIT

# post JSON: sends one operation, prints the answer, fails if it tells an error.
post() {
  local answer
  answer=$(curl -sS --max-time 30 -b "$jar" -c "$jar" -H 'Content-Type: application/json' -d "$1" "$site/graphql")
  if [[ $answer == *'"errors"'* || $answer != *'"data"'* ]]; then
    echo "curl.sh: the server answered: $answer" >&2
    return 1
  fi
  echo "$answer"
}

# field NAME: the first value of that name in the JSON on standard input.
field() {
  local value
  value=$(grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4)
  [ -n "$value" ] || { echo "curl.sh: there is no $1 in the answer" >&2; return 1; }
  echo "$value"
}

echo "# what the server is: a query by GET"
curl -sS --max-time 30 -G --data-urlencode 'query={ serverInfo { version registrationOpen engineState } }' "$site/graphql"
echo

name=curl-$RANDOM$RANDOM
password=$(head -c 12 /dev/urandom | base64)
echo "# a new account; the cookie that signs in goes into the jar"
post "{
  \"query\": \"mutation (\$input: RegisterInput!) { register(input: \$input) { user { username role } } }\",
  \"variables\": {\"input\": {\"username\": \"$name\", \"email\": \"$name@example.com\", \"password\": \"$password\"}}
}"

echo "# an image that is ready"
images=$(post '{"query": "{ images(first: 1, where: {status: [READY]}) { edges { node { id reference } } } }"}')
echo "$images"
image=$(field id <<<"$images")

echo "# a container of it"
made=$(post "{
  \"query\": \"mutation (\$input: CreateContainerInput!) { createContainer(input: \$input) { container { id name status } } }\",
  \"variables\": {\"input\": {\"name\": \"$name\", \"imageId\": \"$image\"}}
}")
echo "$made"
id=$(field id <<<"$made")

echo "# what becomes of it, as server-sent events"
exec 3< <(exec curl -sSN --max-time 120 -b "$jar" -H 'Content-Type: application/json' -H 'Accept: text/event-stream' \
  -d "{\"query\": \"subscription { containerChanged(id: \\\"$id\\\") { kind container { status statusMessage } } }\"}" "$site/graphql")
watcher=$!

# until_says WORD: prints events until one holds the word.
until_says() {
  local line
  while IFS= read -r line <&3; do
    [[ $line != data:* ]] || echo "$line"
    [[ $line != *"\"$1\""* ]] || return 0
    [[ $line != *'"FAILED"'* && $line != *'"LOST"'* && $line != *'"errors"'* ]] || return 1
  done
  echo "curl.sh: the events ended before $1" >&2
  return 1
}
until_says RUNNING

echo "# stop it, without waiting long for its program"
post "{\"query\": \"mutation { stopContainer(id: \\\"$id\\\", timeout: \\\"1s\\\") { container { status } } }\"}"
until_says EXITED

echo "# remove it"
post "{\"query\": \"mutation { removeContainer(id: \\\"$id\\\") { container { status } } }\"}"
until_says REMOVED
id=
