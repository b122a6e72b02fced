# Where ../build keeps what it builds. To be sourced; sets BIN_CACHE, KUBE_DIR,
# HELM_DIR, PAUSE_DIR and PAUSE_IMAGE.

CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BIN_CACHE=${DFP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dhcp-failover}/bin

# Debian keeps some tools where a user's PATH does not look.
PATH=$PATH:/usr/sbin:/sbin

# cache_dir PART: its folder, named by a hash of everything it is made from.
cache_dir() {
  local sum
  sum=$(cd "$CLUSTER_DIR" && { uname -m; cat build "$1"/*; } | sha256sum)
  printf '%s/%s-%s\n' "$BIN_CACHE" "$1" "${sum:0:16}"
}

KUBE_DIR=$(cache_dir kube)
HELM_DIR=$(cache_dir helm)
PAUSE_DIR=$(cache_dir pause)
PAUSE_IMAGE=docker.io/dhcp-failover/pause:1
