#!/usr/bin/env bash
# For work on the pages: the server, and Vite in front of it, which reloads
# what changes. Both end together.
set -euo pipefail
cd "$(dirname "$0")/.."

trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM HUP
scripts/with-engine.sh bin/mlride serve &
npm --prefix frontend run dev &
wait -n
