#!/usr/bin/env bash
# Makes sure that the engine holds mlride-jupyter:test, a Debian with a real
# Jupyter that the tests of internal/gateway open. It is built once from the
# system's packages, in about two minutes, and stays in the engine.
set -euo pipefail
cd "$(dirname "$0")/.."

name=mlride-jupyter:test
engine() { scripts/with-engine.sh node scripts/engine-api.mjs "$@"; }
! engine has "$name" || exit 0

# One at a time for each user: the second then finds what the first has made.
exec 9>"${TMPDIR:-/tmp}/mlride-jupyter-image-$(id -u).lock"
flock 9
! engine has "$name" || exit 0

scripts/apt.sh "building the image with Jupyter" mmdebstrap
work=$(mktemp -d "${TMPDIR:-/var/tmp}/mlride-jupyter.XXXXXX")
root=()
[ "$(id -u)" -eq 0 ] || root=(sudo)
trap '"${root[@]}" rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
scripts/package-sources.sh >"$work/sources.list"
[ -s "$work/sources.list" ] || { echo "Jupyter: no package source of Debian or Ubuntu is set up." >&2; exit 1; }
echo "Jupyter: building $name from the system's packages, once (about two minutes)."
"${root[@]}" mmdebstrap --variant=minbase --include=jupyter-notebook,python3-ipykernel,procps \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook='chroot "$1" useradd --create-home --uid 1000 --shell /bin/bash user' \
  "$suite" "$work/root.tar" "$work/sources.list" </dev/null >"$work/log" 2>&1 || {
  echo "Jupyter: the build failed:" >&2
  tail -n 20 "$work/log" >&2
  exit 1
}
"${root[@]}" chmod 644 "$work/root.tar"
engine import "$name" "$work/root.tar" 'CMD ["sleep","infinity"]' 'ENV LANG=C.UTF-8' \
  'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
