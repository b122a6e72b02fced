# A node: a host on the LAN with file system, process and host name namespaces
# of its own as well. Its containerd, kubelet and pods live and die with its
# first process, mounts included, so that ending this one process is a power
# cut, and nothing of the node is left behind.
#
# Inside, paths are those of an ordinary node (/run/containerd/containerd.sock,
# /var/lib/kubelet, …): some are fixed in Kubernetes' code, and two kubelets
# must not share them. What outlives a restart is in STATE/node-a.

# Runs as the node's first process, before anything else of it does.
# Its arguments: host name, the node's folder, the binaries' folder, pause.
node_boot='
set -e
hostname "$1"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/node /run/bin /run/lock /run/netns
mount --bind "$2" /run/node
mount --bind "$3" /run/bin
cp "$4" /run/init
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t tmpfs -o mode=755 tmpfs /var/log
for folder in lib/kubelet lib/containerd lib/cni lib/volumes log/pods; do
  mkdir -p "/run/node/var/$folder" "/var/$folder"
  mount --bind "/run/node/var/$folder" "/var/$folder"
done
mount --make-rshared /   # pods may see mounts that are made later
touch /run/booted
exec /run/init
'

# write_node_config NODE: the files that its programs read, in its folder.
write_node_config() {
  local node=$1 folder=$STATE/node-$1 file
  mkdir -p "$folder"/{pki,cni,manifests,var/lib/volumes}
  for file in "node-$node.crt" "node-$node.key" "node-$node.kubeconfig" ca.crt proxy.kubeconfig; do
    cp "$PKI/$file" "$folder/pki/${file/node-$node/node}"
  done
  # Pods get no name server: there is none, and the machine's own is out of
  # reach. An empty file makes look-ups fail at once.
  : >"$folder/resolv.conf"

  cat >"$folder/containerd.toml" <<EOF
version = 2
disabled_plugins = ["io.containerd.internal.v1.opt"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  disable_apparmor = true
  restrict_oom_score_adj = true   # lowering it takes a right that containers lack
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/run/node/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "$(snapshotter "$folder")"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "$(command -v runc)"
EOF

  # No masquerading: pods are known by their own address on the LAN, and every
  # host that has to answer them has a route.
  cat >"$folder/cni/10-pods.conflist" <<EOF
{"cniVersion": "1.0.0", "name": "pods", "plugins": [{
  "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "/run/ipam",
           "ranges": [[{"subnet": "$(node_pods "$node")"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
EOF

  # Nothing is evicted and no image is collected for want of disk: images come
  # from load-image and could not be pulled again.
  cat >"$folder/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: /run/node/pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: /run/node/pki/node.crt
tlsPrivateKeyFile: /run/node/pki/node.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
staticPodPath: /run/node/manifests
resolvConf: /run/node/resolv.conf
clusterDomain: cluster.local
cgroupDriver: cgroupfs
cgroupRoot: /$PREFIX/node-$node
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
localStorageCapacityIsolation: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 0%, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
EOF

  # conntrack: its sizes belong to the machine and cannot be set from here.
  cat >"$folder/proxy.yaml" <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: node-$node
clientConnection: {kubeconfig: /run/node/pki/proxy.kubeconfig}
clusterCIDR: $PODS.0.0/17
conntrack: {maxPerCore: 0}
EOF
}

# snapshotter FOLDER: overlayfs does not work on every file system (on another
# overlay, for one).
snapshotter() {
  local try=$1/overlay-try kind=native
  mkdir -p "$try"/{lower,upper,work,merged}
  if unshare --mount mount -t overlay -o "lowerdir=$try/lower,upperdir=$try/upper,workdir=$try/work" overlay "$try/merged" 2>/dev/null; then
    kind=overlayfs
  fi
  rm -rf "$try"
  echo "$kind"
}

# boot_node NODE: its network, its namespaces, containerd and the pause image.
boot_node() {
  local node=$1 child=
  make_cgroups "$node"
  node_network_up "$node"
  if ! alive "node-$node"; then
    write_node_config "$node"
    spawn "node-$node" nsenter --net="/run/netns/$PREFIX-node-$node" \
      unshare --mount --pid --uts --ipc --fork --kill-child --mount-proc \
      bash -c "$node_boot" boot "node-$node" "$STATE/node-$node" "$KUBE_DIR" "$PAUSE_DIR/pause"
    first_child() { child=$(pgrep -P "$SPAWNED") && [[ -e /proc/$child/root/run/booted ]]; }
    wait_for 10 first_child || { tail "$LOG/node-$node.log" >&2; die "node-$node did not boot"; }
    first_child
    write_pid "node-$node" "$child"
  fi
  start_containerd "$node"
}

start_containerd() {
  start_in_node "$1" "containerd-$1" containerd -c /run/node/containerd.toml
  wait_for 20 in_node "$1" ctr version || die "containerd-$1 does not answer, see $LOG/containerd-$1.log"
  in_node "$1" ctr -n k8s.io images import - <"$PAUSE_DIR/pause.tar" >/dev/null
}

start_kubelet() {
  # NodeRestriction lets a kubelet name its zone, and any label without a domain.
  start_in_node "$1" "kubelet-$1" /run/bin/kubelet --config /run/node/kubelet.yaml \
    --kubeconfig /run/node/pki/node.kubeconfig --cert-dir /run/node/pki \
    --hostname-override "node-$1" --node-ip "$(node_address "$1")" \
    --node-labels "rack=$1,topology.kubernetes.io/zone=$1"
}

start_kube-proxy() { start_in_node "$1" "kube-proxy-$1" /run/bin/kube-proxy --config /run/node/proxy.yaml; }

# end_node NODE shutdown|power-cut
end_node() {
  local port=$PREFIX-$1
  if [[ $2 == power-cut ]]; then
    # Nobody must hear the kernel close the dead node's connections.
    ip link set "$port" down
  else
    in_node "$1" bash -c 'kill -TERM -1' || true # all but the first process and this one
    only_init() { [[ $(in_node "$1" bash -c 'set -- /proc/[0-9]*; echo $#') -le 2 ]]; }
    wait_for 10 only_init "$1" || true
  fi
  stop "node-$1" KILL # takes all others with it
  rm -f "$RUN"/{containerd,kubelet,kube-proxy}-"$1".pid
  # As after a real restart: no pods' cgroups, no packet filter, no bridge.
  wait_for 10 remove_cgroups "$1"
  unplug "node-$1"
}

# in_node NODE COMMAND…: in its namespaces, as if logged in there.
in_node() {
  local init
  init=$(pid_of "node-$1") || die "node-$1 does not run"
  shift
  nsenter --target "$init" --all "$@"
}
