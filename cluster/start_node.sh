#!/usr/bin/env bash
# A small cluster of machines that share a folder, without a cloud or Kubernetes. On each of them:
#   cluster/start_node.sh head /shared        # on one; makes ~/.ray/auth_token, to be copied to the others and to users
#   cluster/start_node.sh worker /shared      # on each further one; finds the head, and that it sees the same folder
#   cluster/start_node.sh stop                # on each; ends this node and no other process of Ray
# What follows the folder goes to `ray start`: --num-gpus=4, --labels=ray.io/market-type=on-demand, ... The node writes its
# log and its process number to $URM_RAY_NODE (~/.urm_ray/node).
set -euo pipefail
export RAY_AUTH_MODE=token
state=${URM_RAY_NODE:-$HOME/.urm_ray/node}

fail() {
  echo "error: $*" >&2
  exit 1
}

# Process numbers are given again, after a restart of the machine too.
runs() {
  [ -s "$state/pid" ] && tr '\0' ' ' < "/proc/$(cat "$state/pid")/cmdline" 2> /dev/null | grep -q "ray start --block"
}

stop_node() {
  runs || { echo "no node runs here ($state)"; return; }
  local pid
  pid=$(cat "$state/pid")
  kill -TERM "$pid"
  for _ in $(seq 300); do
    runs || { rm -f "$state/pid"; echo "the node has ended"; return; }
    sleep 0.2
  done
  fail "process $pid did not end within a minute; see $state/log"
}

need_token() {
  [ -n "${RAY_AUTH_TOKEN:-}" ] && return
  local file=${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}
  if [ "$1" = head ] && [ ! -s "$file" ] && [ -z "${RAY_AUTH_TOKEN_PATH:-}" ]; then
    ray get-auth-token --generate > /dev/null
  fi
  [ -s "$file" ] || fail "there is no token in $file: copy that of the head"
  if [ -O "$file" ]; then chmod 600 "$file"; fi
}

# The node's process outlives this script; Ray ends all of the node with it.
start_node() {
  mkdir -p "$state"
  ulimit -n 65536 2>/dev/null || true
  : > "$state/log"
  setsid nohup ray start --block --disable-usage-stats "$@" > "$state/log" 2>&1 < /dev/null &
  local pid=$!
  echo $pid > "$state/pid"
  until grep -q "Ray runtime started" "$state/log"; do
    kill -0 $pid 2> /dev/null || { cat "$state/log" >&2; rm -f "$state/pid"; fail "Ray did not start"; }
    sleep 0.2
  done
}

command=${1:-}
[ "$command" = stop ] && { stop_node; exit; }
case $command in head | worker) ;; *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
[ $# -ge 2 ] || fail "name the folder that all machines share"
shared=$2
shift 2
[ -d "$shared" ] && [ -w "$shared" ] || fail "$shared is no folder that $(id -un) may write to"
runs && fail "a node runs here already, process $(cat "$state/pid"); stop it first"
need_token "$command"

mark=$shared/.urm_ray_head
if [ "$command" = head ]; then
  rm -f "$mark"
  start_node --head --dashboard-host=127.0.0.1 "$@"
  address=$(sed -n "s/.*ray start --address='\([^']*\)'.*/\1/p" "$state/log" | head -n 1)
  [ -n "$address" ] || fail "Ray did not say where it listens; see $state/log"
  echo "$address" > "$mark.new" && mv "$mark.new" "$mark"
  echo "the head listens at $address; on each further machine: cluster/start_node.sh worker $shared"
else
  [ -s "$mark" ] || fail "$mark is not there: start the head first, and mount its $shared here"
  address=$(cat "$mark")
  timeout 5 bash -c "exec 3<> /dev/tcp/${address%:*}/${address##*:}" 2> /dev/null ||
    fail "no head answers at $address, which $mark names: is it up, and may this machine reach it?"
  said=$(timeout 60 ray health-check --address "$address" 2>&1) ||
    fail "the head at $address turns this machine away (has it another token, or version?): $(tail -n 1 <<< "$said")"
  start_node --address="$address" "$@"
  echo "joined $address"
fi
