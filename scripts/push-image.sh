#!/usr/bin/env bash
# push-image.sh REFERENCE BYTES: makes an image of a shell and so many random
# bytes, which no engine has yet, and puts it into the registry that the
# reference names. The engine forgets it again. For tests.
set -euo pipefail
cd "$(dirname "$0")/.."
reference=$1
bytes=$2
engine() { scripts/with-engine.sh node scripts/engine-api.mjs "$@"; }

work=$(mktemp -d "${TMPDIR:-/tmp}/mlride-push.XXXXXX")
trap 'rm -rf "$work"' EXIT
busybox=$(command -v busybox)
mkdir -p "$work/root"/{bin,etc,root,tmp}
chmod 1777 "$work/root/tmp"
cp "$busybox" "$work/root/bin/busybox"
for command in $("$busybox" --list); do
  [ "$command" = busybox ] || ln -s busybox "$work/root/bin/$command"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$work/root/etc/passwd"
echo 'root:x:0:' >"$work/root/etc/group"
head -c "$bytes" /dev/urandom >"$work/root/etc/random"
tar -C "$work/root" --owner=0 --group=0 --numeric-owner -cf "$work/root.tar" .
engine import "$reference" "$work/root.tar" 'CMD ["sh"]' 'ENV PATH=/bin'
engine push "$reference"
engine remove "$reference"
