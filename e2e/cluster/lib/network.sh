# The LAN: a bridge of this machine, with a network namespace for each host on it.

# mac_of HOST: a fixed address for each, so that a host keeps it over restarts.
mac_of() {
  local sum
  sum=$(printf '%s/%s' "$NAME" "$1" | sha256sum)
  echo "52:54:${sum:0:2}:${sum:2:2}:${sum:4:2}:${sum:6:2}"
}

# port_of HOST INTERFACE: the bridge's end of its cable. An interface's name has
# 15 letters at most, so all but the nodes' are a hash; `ip link` shows the rest as alias.
port_of() {
  local sum
  case $1 in
  node-*) echo "$PREFIX-${1#node-}" ;;
  *)
    sum=$(printf '%s/%s/%s' "$NAME" "$1" "$2" | sha256sum)
    echo "dfp${sum:0:10}"
    ;;
  esac
}

have_link() { ip link show "$1" >/dev/null 2>&1; }
have_netns() { [[ -e /run/netns/$1 ]]; }

make_bridge() {
  have_link "$1" || ip link add "$1" type bridge mcast_snooping 0
  ip link set "$1" up
}

# plug HOST INTERFACE BRIDGE [MAC]: a namespace for the host if it has none, and a cable.
plug() {
  local netns=$PREFIX-$1 port
  port=$(port_of "$1" "$2")
  if ! have_netns "$netns"; then
    ip netns add "$netns"
    ip -n "$netns" link set lo up
  fi
  have_link "$port" ||
    ip link add "$port" type veth peer name "$2" address "${4:-$(mac_of "$1/$2")}" netns "$netns"
  ip link set "$port" alias "$PREFIX $1 $2" master "$3" up
  ip -n "$netns" link set "$2" up
}

# unplug HOST: ends what runs in its namespace, and removes that.
unplug() {
  local netns=$PREFIX-$1 pids
  have_netns "$netns" || return 0
  for _ in {1..50}; do
    pids=$(ip netns pids "$netns")
    [[ -n $pids ]] || break
    xargs -r kill -KILL <<<"$pids" 2>/dev/null || true
    sleep 0.1
  done
  # Cables first: should a process hold the namespace after all, it would keep
  # them, and their names would block the next start.
  ip -n "$netns" -o link show type veth 2>/dev/null | awk -F': |@' '{print $2}' |
    xargs -r -n 1 ip -n "$netns" link del 2>/dev/null || true # a dead pod's goes by itself
  ip netns del "$netns"
}

# hosts [PREFIX]: all that are plugged in, such as `client-x` or `relay`.
hosts() {
  local path
  for path in "/run/netns/$PREFIX-${1:-}"*; do
    if [[ -e $path ]]; then echo "${path#"/run/netns/$PREFIX-"}"; fi
  done
}

# Where br_netfilter is loaded, frames between the LAN's hosts go through this
# machine's firewall as if it forwarded them, and Docker's or ufw's says DROP.
bridge_rule=(FORWARD -i "LAN" -o "LAN" -m comment --comment "dhcp-failover" -j ACCEPT)
let_bridge_pass() {
  local bridge=$1 rule
  [[ $(cat /proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null) == 1 ]] || return 0
  command -v iptables >/dev/null && iptables -S FORWARD 2>/dev/null | grep -q '^-P FORWARD DROP' || return 0
  rule=("${bridge_rule[@]//LAN/$bridge}")
  iptables -C "${rule[@]}" 2>/dev/null || iptables -I "${rule[@]}"
}
forget_bridge_rule() {
  command -v iptables >/dev/null || return 0
  iptables -D "${bridge_rule[@]//LAN/$1}" 2>/dev/null || true
}

lan_up() {
  local node
  make_bridge "$LAN_BRIDGE"
  ip addr replace "$HOST/24" dev "$LAN_BRIDGE"
  let_bridge_pass "$LAN_BRIDGE"
  # The API server calls webhooks in pods. This machine forwards nothing itself.
  for node in "${NODES[@]}"; do
    ip route replace "$(node_pods "$node")" via "$(node_address "$node")"
  done
}

node_network_up() {
  local node=$1 other netns=$PREFIX-node-$1
  plug "node-$node" eth0 "$LAN_BRIDGE"
  ip -n "$netns" addr replace "$(node_address "$node")/24" dev eth0
  for other in "${NODES[@]}"; do
    [[ $other == "$node" ]] || ip -n "$netns" route replace "$(node_pods "$other")" via "$(node_address "$other")"
  done
  ip -n "$netns" route replace "$FAR.0/24" via "$RELAY"
  # kube-proxy turns a service's address into a pod's only after the kernel has
  # found some route to it. There is no default route: nothing leaves this machine.
  ip -n "$netns" route replace "$SERVICES.0/20" via "$HOST"
  nsenter --net="/run/netns/$netns" sysctl -qw net.ipv4.ip_forward=1
}

remove_bridge() {
  if have_link "$1"; then ip link del "$1"; fi
  forget_bridge_rule "$1"
}
