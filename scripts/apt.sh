#!/usr/bin/env bash
# apt.sh WHY PACKAGE...: installs those Debian packages that are missing, as root
# or by sudo, and says so first. Where it cannot, it says what to do and fails.
#
# Services that a package brings are not started: who needs one starts it.
set -euo pipefail

why=$1
shift
missing=()
for package in "$@"; do
  if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
    missing+=("$package")
  fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

command=(apt-get install -y --no-install-recommends "${missing[@]}")
refuse() {
  echo "$1 Needed for $why. Do this, then try again:" >&2
  echo "    sudo ${command[*]}" >&2
  exit 1
}
if ! command -v apt-get >/dev/null; then
  echo "Needed for $why, and this is neither Debian nor Ubuntu: install what these packages hold by hand: ${missing[*]}" >&2
  exit 1
fi
root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || refuse "Not root, and there is no sudo."
  # without a terminal sudo could only wait for a password that nobody types
  [ -t 0 ] || sudo -n true 2>/dev/null || refuse "sudo wants a password, and there is no terminal to ask on."
  root=(sudo)
fi

echo "Installing for $why: ${missing[*]}"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '"${root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
  "${root[@]}" chmod 755 "$policy"
fi
install() {
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive "${command[@]}" -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 >"$log" 2>&1
}
log=$(mktemp)
# A list of another source may be out of reach; whether these packages are to be had shows below.
"${root[@]}" apt-get update -qq -o DPkg::Lock::Timeout=300 >"$log" 2>&1 || true
if ! install; then
  tail -n 15 "$log" >&2
  rm -f "$log"
  refuse "The installation failed."
fi
rm -f "$log"
