#!/usr/bin/env bash
# Makes sure that a container engine answers: the one that DOCKER_HOST names or
# that runs already. Else, on Debian and Ubuntu, installs docker.io as root or
# by sudo and starts it. It keeps running afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

# 0 it answers, 3 it is there and may not be used, else no
ask() {
  local status=0
  scripts/with-engine.sh node scripts/engine-api.mjs ping 2>/dev/null || status=$?
  return $status
}
answer=0
ask || answer=$?
[ $answer -ne 0 ] || exit 0

if [ -n "${DOCKER_HOST:-}" ]; then
  echo "DOCKER_HOST is $DOCKER_HOST, and no engine answers there. Start it, or unset DOCKER_HOST." >&2
  exit 1
fi
may_not() {
  echo "An engine is running, and $(id -un) may not use it. Do this, then try again:" >&2
  echo "    sudo usermod -aG docker $(id -un)" >&2
  exit 1
}
[ $answer -ne 3 ] || may_not

root=()
[ "$(id -u)" -eq 0 ] || root=(sudo)
if ! command -v dockerd >/dev/null; then
  echo "No container engine answers and none is installed. Docker is installed now (about 15 s) and then started."
  scripts/apt.sh "the container engine" docker.io iptables
  [ "$(id -u)" -eq 0 ] || sudo usermod -aG docker "$(id -un)"
elif ! command -v iptables >/dev/null && command -v apt-get >/dev/null; then
  scripts/apt.sh "the container engine's networks" iptables
fi

log=/var/log/mlride-dockerd.log
if [ -d /run/systemd/system ]; then
  echo "Starting the container engine: systemctl start docker"
  "${root[@]}" systemctl start docker
  log="journalctl -u docker"
else
  echo "Starting the container engine: dockerd, which goes on running; its log is $log"
  "${root[@]}" sh -c "exec setsid dockerd </dev/null >>'$log' 2>&1" &
  disown
fi

deadline=$((SECONDS + 60))
while answer=0; ask || answer=$?; [ $answer -ne 0 ]; do
  [ $answer -ne 3 ] || may_not
  if [ $SECONDS -ge $deadline ]; then
    echo "The container engine does not answer after 60 s. See $log" >&2
    [ ! -r "$log" ] || tail -n 15 "$log" >&2
    exit 1
  fi
  sleep 0.2
done
echo "The container engine answers."
