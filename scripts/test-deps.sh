#!/usr/bin/env bash
# Makes sure that everything is there that `make test` runs against: a C
# compiler, a container engine that answers, a registry, a browser with fonts
# for both languages, and what the examples are written for. Nothing is done
# where all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

packages=()
need() { command -v "$1" >/dev/null || packages+=("$2"); }
need dockerd docker.io
need iptables iptables
need docker-registry docker-registry
need busybox busybox-static
need python3 python3
need curl curl
need mmdebstrap mmdebstrap
# An image is made of the system's own apt and Python, to see that both install
# packages in a container.
[ -x /usr/bin/python3 ] || packages+=(python3)
compgen -G '/usr/share/python-wheels/pip-*.whl' >/dev/null || packages+=(python3-pip-whl)
need "${CHROMIUM:-chromium}" chromium
need fc-list fontconfig
if ! command -v fc-list >/dev/null || [ -z "$(fc-list :lang=zh family)" ]; then
  packages+=(fonts-noto-cjk)
fi
[ ${#packages[@]} -eq 0 ] || scripts/apt.sh "the tests" "${packages[@]}"
scripts/compiler.sh
scripts/engine.sh
scripts/jupyter-image.sh
