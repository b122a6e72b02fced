# Starting and stopping the cluster's processes by process id. Never by name:
# another cluster, or the machine's own containerd, has the same names.

# A pid file holds the id and the start time (in clock ticks since boot), so an
# id that the kernel has given to another process since is not taken for ours.
start_time() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra stat <<<"${stat##*) }" # the name before may hold spaces and brackets
  [[ ${stat[0]} != [ZX] ]] || return 1
  echo "${stat[19]}"
}

write_pid() { echo "$2 $(start_time "$2")" >"$RUN/$1.pid"; }

# pid_of COMPONENT: its process id; fails if it does not run.
pid_of() {
  local pid started
  read -r pid started 2>/dev/null <"$RUN/$1.pid" || return 1
  [[ -n $started && $(start_time "$pid") == "$started" ]] || return 1
  echo "$pid"
}

alive() { pid_of "$1" >/dev/null; }

# spawn COMPONENT COMMAND…: in the background, its output in the log folder;
# sets SPAWNED to its process id.
spawn() {
  local name=$1
  shift
  (
    # Hand nothing on: a daemon that holds the caller's pipe or our lock open
    # would make the caller, or the next command, wait for ever.
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      if ((fd > 2)); then exec {fd}>&-; fi
    done
    exec setsid "$@" </dev/null >>"$LOG/$name.log" 2>&1
  ) &
  SPAWNED=$!
}

start() {
  alive "$1" && return
  spawn "$@"
  write_pid "$1" "$SPAWNED"
}

# start_in_node NODE COMPONENT COMMAND…: inside the node's namespaces.
start_in_node() {
  local node=$1 name=$2 init child=
  shift 2
  alive "$name" && return
  init=$(pid_of "node-$node")
  spawn "$name" nsenter --target "$init" --all "$@"
  # To enter a process namespace nsenter must fork; ours is its child.
  first_child() { child=$(pgrep -P "$SPAWNED"); }
  wait_for 5 first_child || { tail "$LOG/$name.log" >&2; die "$name did not start"; }
  first_child
  write_pid "$name" "$child"
}

# stop COMPONENT [SIGNAL]: ends it and waits for that, by force after 5 s: an API
# server waits a minute for its watchers to go.
stop() {
  local pid
  if pid=$(pid_of "$1"); then
    kill -s "${2:-TERM}" "$pid"
    wait_for 5 not alive "$1" || { kill -s KILL "$pid"; wait_for 10 not alive "$1"; }
  fi
  rm -f "$RUN/$1.pid"
}

# kill_strays: Kubernetes processes of this cluster that no pid file tells of,
# because someone removed the state folder: our binary, with a path below STATE.
kill_strays() {
  local file pid
  for file in $(grep -lsF -- "$STATE/" /proc/[0-9]*/cmdline); do
    pid=${file//[!0-9]/}
    if [[ $(readlink "/proc/$pid/exe") == "$BIN_CACHE"/kube-*/kube* ]]; then kill -KILL "$pid"; fi
  done
}

not() { ! "$@"; }
