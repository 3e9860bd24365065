#!/usr/bin/env bash
# Makes sure that the engine holds the image that everybody can start from:
# the one that MLRIDE_STARTER_IMAGE names, mlride-starter:latest by default,
# which the server offers as a public image.
#
# With STARTER=busybox a shell of 2 MB is taken, in a second; tests do so. Else
# a small Python: pulled, or where no registry can be reached built here from
# the system's packages; where that cannot be done either, the shell of 2 MB.
# Without any the server starts all the same, and images can be pulled there.
set -euo pipefail
cd "$(dirname "$0")/.."

name=${MLRIDE_STARTER_IMAGE:-mlride-starter:latest}
python=python:3.12-slim
pull_seconds=90

engine() { scripts/with-engine.sh node scripts/engine-api.mjs "$@"; }
there() { engine has "$name"; }
! there || exit 0

# One at a time for each user: the second then finds what the first has made.
exec 9>"${TMPDIR:-/tmp}/mlride-starter-image-$(id -u).lock"
flock 9
! there || exit 0

# The engine gets an image only when its tar file is whole, so that an
# interruption leaves nothing but this folder, which goes.
work=$(mktemp -d "${TMPDIR:-/var/tmp}/mlride-starter.XXXXXX")
root=()
if [ "$(id -u)" -ne 0 ] && command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
  root=(sudo)
fi
trap '"${root[@]}" rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

pull_python() {
  local from reason
  # The mirrors that the server is told of serve here too.
  for from in ${MLRIDE_REGISTRY_MIRRORS:+$(tr ',' '\n' <<<"$MLRIDE_REGISTRY_MIRRORS" | sed 's|^ *https\?://||; s|/* *$|/library/|')} ''; do
    echo "Starter image: pulling $from$python (at most $pull_seconds s)."
    if reason=$(engine pull "$from$python" "$pull_seconds" 2>&1); then
      engine tag "$from$python" "$name"
      return
    fi
    echo "Starter image: not to be had. $reason"
  done
  return 1
}

build_python() {
  command -v apt-get >/dev/null || return 1
  local suite log="$work/log"
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  [ -n "$suite" ] || return 1
  echo "Starter image: building one with Python from the system's packages, once (about a minute and a half)."
  scripts/apt.sh "building the starter image" mmdebstrap || return 1
  scripts/package-sources.sh >"$work/sources.list"
  [ -s "$work/sources.list" ] || { echo "Starter image: no package source of Debian or Ubuntu is set up."; return 1; }
  # python3-venv, because people install packages; ca-certificates, because they fetch them.
  if ! "${root[@]}" mmdebstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$suite" "$work/root.tar" "$work/sources.list" </dev/null >"$log" 2>&1; then
    echo "Starter image: the build failed:"
    tail -n 5 "$log"
    return 1
  fi
  "${root[@]}" chmod 644 "$work/root.tar"
  engine import "$name" "$work/root.tar" 'CMD ["python3"]' 'ENV LANG=C.UTF-8' \
    'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
}

build_busybox() {
  local busybox command
  scripts/apt.sh "the smallest starter image" busybox-static || return 1
  busybox=$(command -v busybox) || return 1
  mkdir -p "$work/root"/{bin,etc,root,tmp}
  chmod 1777 "$work/root/tmp"
  cp "$busybox" "$work/root/bin/busybox"
  for command in $("$busybox" --list); do
    [ "$command" = busybox ] || ln -s busybox "$work/root/bin/$command"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$work/root/etc/passwd"
  echo 'root:x:0:' >"$work/root/etc/group"
  tar -C "$work/root" --owner=0 --group=0 --numeric-owner -cf "$work/root.tar" .
  engine import "$name" "$work/root.tar" 'CMD ["sh"]' 'ENV PATH=/bin'
}

started=$SECONDS
case ${STARTER:-python} in
busybox) build_busybox ;;
python)
  pull_python || build_python || {
    echo "Starter image: a shell of 2 MB instead. (docker rmi $name has a later start try again.)"
    build_busybox
  } || {
    echo "Starter image: none could be had. The server starts without; pull an image on its page." >&2
    exit 0
  }
  ;;
*)
  echo "STARTER takes python or busybox, not ${STARTER}." >&2
  exit 2
  ;;
esac
echo "Starter image: $name is ready after $((SECONDS - started)) s."
