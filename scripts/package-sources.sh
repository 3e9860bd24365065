#!/usr/bin/env bash
# Prints the lines of the system's own package sources, without those of third
# parties: what images are built from where no registry can be reached.
set -euo pipefail

apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u |
  while read -r origin line; do
    case $origin in Debian | Ubuntu) ;; *) continue ;; esac
    keys=/usr/share/keyrings/${origin,,}-archive-keyring.gpg
    [ ! -e "$keys" ] || line="[signed-by=$keys] $line"
    echo "deb $line"
  done
