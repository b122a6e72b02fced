# What every command here starts with: `source lib/cluster.sh; load_cluster NAME`.
# Sets the names, addresses and folders of one cluster, so that several can run
# side by side on a machine.

source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

CHECKOUT=$(cd "$CLUSTER_DIR/../.." && pwd)

say() { printf '%s: %s\n' "${0##*/}" "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

load_cluster() {
  NAME=$1
  [[ $NAME =~ ^[a-z0-9]{1,8}$ ]] || die "a cluster's name is 1 to 8 of a-z and 0-9, not '$NAME'"
  ((EUID == 0)) || die "root is needed, for network namespaces and mounts"

  # Not in the checkout: whichever clone calls finds the same cluster, also the
  # one that a deleted clone left running.
  STATE=${DFP_STATE:-/var/lib/dhcp-failover}/$NAME
  RUN=$STATE/run LOG=$STATE/log PKI=$STATE/pki
  PREFIX=dfp-$NAME                       # of network namespaces, cgroups and interfaces
  LAN_BRIDGE=$PREFIX-lan FAR_BRIDGE=$PREFIX-far
  KUBECONFIG_COPY=                       # in the checkout, for people

  case $NAME in
  demo)
    LAN=10.77.0 FAR=10.76.0 LAN_BRIDGE=dfp-lan
    KUBECONFIG_COPY=$CHECKOUT/.cluster/kubeconfig
    ;;
  test) LAN=10.78.0 FAR=10.79.0 ;;
  esac
  # Another name, or other networks: given at `up`, known from then on.
  LAN=${DFP_LAN:-${LAN:-}} FAR=${DFP_FAR:-${FAR:-}}
  NODES=(${DFP_NODES:-a b})              # also given at `up`; at most a, b and c
  if [[ -e $STATE/settings ]]; then source "$STATE/settings"; fi
  local network='^10\.(0|[1-9][0-9]?)\.[0-9]{1,3}$'
  [[ $LAN =~ $network && $FAR =~ $network ]] ||
    die "cluster '$NAME' needs two networks, such as DFP_LAN=10.80.0 DFP_FAR=10.81.0 (the second number below 100)"

  # All else follows from the LAN's second number, so no two clusters share a
  # network or, on the loopback address, a port.
  local number=${LAN#10.}
  number=${number%.*}
  HOST=$LAN.1                            # this machine's address on the LAN; the control plane's
  RELAY=$LAN.200                         # the relay's leg on the LAN
  PODS=10.$((number + 100))              # .1.0/24 for node a, .2.0/24 for node b
  SERVICES=10.$((number + 100)).128      # 10.x.128.0/20
  ETCD_PORT=$((23000 + number)) ETCD_PEER_PORT=$((24000 + number))
  API=https://$HOST:6443
  KUBECONFIG=$STATE/kubeconfig
  export KUBECONFIG PATH=$KUBE_DIR:$HELM_DIR:$PATH

  # A machine behind a proxy must not send the cluster's own traffic there.
  export NO_PROXY="${NO_PROXY:+$NO_PROXY,}10.0.0.0/8,127.0.0.0/8" no_proxy="${no_proxy:+$no_proxy,}10.0.0.0/8,127.0.0.0/8"
}

# lock: one change to a cluster at a time. Released when the script ends, since
# `start` (process.sh) does not hand the file on to what it starts.
lock() {
  exec {LOCK}>"/run/lock/dhcp-failover-$NAME.lock"
  flock -n "$LOCK" || { say "waiting for another command on cluster '$NAME'"; flock "$LOCK"; }
}

# wait_for SECONDS COMMAND…: until it succeeds; false if it has not by then.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 0.2
  done
}

components() {
  local part
  printf '%s\n' etcd kube-{apiserver,controller-manager,scheduler}
  for part in node containerd kubelet kube-proxy; do printf '%s\n' "${NODES[@]/#/$part-}"; done
}
node_number() { case $1 in a) echo 1 ;; b) echo 2 ;; c) echo 3 ;; esac; }
node_address() { echo "$LAN.1$(node_number "$1")"; }
node_pods() { echo "$PODS.$(node_number "$1").0/24"; }
