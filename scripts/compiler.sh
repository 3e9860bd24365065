#!/usr/bin/env bash
# Makes sure that there is a C compiler: SQLite is built by one.
set -euo pipefail
cd "$(dirname "$0")/.."

# A compiler without the C library's headers is no use either.
works() {
  echo '#include <stdlib.h>' | "${CC:-gcc}" -E -x c - >/dev/null 2>&1
}
works || scripts/apt.sh "a C compiler, which builds SQLite" gcc libc6-dev
works || { echo "The C compiler ${CC:-gcc} does not work: unset CC, or have it name one that does." >&2; exit 1; }
