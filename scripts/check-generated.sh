#!/usr/bin/env bash
# Generates everything anew and fails if a file changes: what is committed must
# be what the schema and the tables say.
set -euo pipefail
cd "$(dirname "$0")/.."

fingerprint() {
  find go.mod go.sum ent graph/generated frontend/src/gql -type f -exec sha256sum {} + | sort -k 2
}
before=$(fingerprint)
make --no-print-directory generate
if ! drift=$(diff <(echo "$before") <(fingerprint)); then
  echo "Generated files have drifted. Run make generate, and commit what it changes:" >&2
  awk '/^[<>]/ {print "    " $3}' <<<"$drift" | sort -u >&2
  exit 1
fi
echo "Generated files are up to date."
