# A cgroup for each node, /dfp-NAME/node-a, in which its kubelet makes those of
# its pods. Two kubelets under one root would remove each other's.

cgroup_v2() { [[ $(stat -fc %T /sys/fs/cgroup) == cgroup2fs ]]; }

# cgroup_roots: the one of v2, or one per controller of v1 (and hybrid).
cgroup_roots() {
  if cgroup_v2; then
    echo /sys/fs/cgroup
  else
    findmnt -rno TARGET -t cgroup,cgroup2 | grep '^/sys/fs/cgroup/'
  fi
}

# v2: a cgroup has the controllers that its parent passes on.
pass_controllers_on() {
  local controller
  for controller in $(cat "$1/cgroup.controllers"); do
    echo "+$controller" >"$1/cgroup.subtree_control" || true
  done 2>/dev/null
}

# v2: only a cgroup without processes of its own can pass controllers on (but
# the real root always can). In a container, "/" is full of processes.
empty_cgroup_root() {
  local pid
  [[ -e /sys/fs/cgroup/cgroup.type ]] || return 0
  mkdir -p /sys/fs/cgroup/init
  while read -r pid; do
    echo "$pid" >/sys/fs/cgroup/init/cgroup.procs || true # it may have ended
  done </sys/fs/cgroup/cgroup.procs 2>/dev/null
}

# make_cgroups NODE
make_cgroups() {
  local root parent child
  if cgroup_v2; then empty_cgroup_root; fi
  for root in $(cgroup_roots); do
    for child in "$PREFIX" "$PREFIX/node-$1"; do
      parent=$root/$(dirname "$child")
      if [[ -e $parent/cgroup.subtree_control ]]; then pass_controllers_on "$parent"; fi
      mkdir -p "$root/$child"
      # v1: a new cpuset is empty, and no process can enter it.
      if [[ -e $root/cpuset.mems && -e $root/cgroup.clone_children ]]; then
        cat "$parent/cpuset.cpus" >"$root/$child/cpuset.cpus"
        cat "$parent/cpuset.mems" >"$root/$child/cpuset.mems"
      fi
    done
  done
}

# remove_cgroups [NODE]: with those of its pods; without a name, all of the cluster's.
remove_cgroups() {
  local root cgroup
  for root in $(cgroup_roots); do
    cgroup=$root/$PREFIX${1:+/node-$1}
    [[ ! -d $cgroup ]] || find "$cgroup" -depth -type d -exec rmdir {} + || return 1
  done
}
