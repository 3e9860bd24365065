#!/usr/bin/env bash
# with-engine.sh COMMAND...: runs the command so that it may use the engine.
#
# Whoever was put into the group docker a moment ago has it only from the next
# sign-in on. Until then `sg` lends the group to one command.
set -euo pipefail

user=$(id -un)
if [ "$(id -u)" -ne 0 ] && [ -z "${DOCKER_HOST:-}" ] &&
  [[ " $(id -nG "$user") " == *" docker "* ]] && [[ " $(id -nG) " != *" docker "* ]]; then
  exec sg docker -c "exec $(printf '%q ' "$@")"
fi
exec "$@"
