# Ordinary hosts on the LAN (clients, a relay): a network namespace each, and
# system folders of their own, because DHCP clients write to /etc/resolv.conf,
# /run and /var/lib/dhcp, and those of this machine are none of their business.

host_files_up() {
  local folder=$STATE/hosts/$1
  [[ -d $folder ]] && return
  mkdir -p -m 700 "$STATE/hosts"
  mkdir -p "$folder"/{run/lock,lib}
  cp -a /etc "$folder/etc"
  rm -f "$folder/etc/resolv.conf" # often a link into /run
  : >"$folder/etc/resolv.conf"
}

host_down() {
  unplug "$1"
  rm -rf --one-file-system "$STATE/hosts/$1"
}

# host_exec HOST COMMAND…: becomes the command, so a signal reaches it.
host_exec() {
  local host=$1
  shift
  have_netns "$PREFIX-$host" || die "$host is not up in cluster '$NAME'"
  exec nsenter --net="/run/netns/$PREFIX-$host" unshare --mount --uts bash -c '
    set -e
    hostname "${1#client-}"
    mount --bind "$2/etc" /etc
    mount --bind "$2/run" /run
    if [[ -d /var/lib/dhcp ]]; then mount --bind "$2/lib" /var/lib/dhcp; fi
    mount -t sysfs sysfs /sys   # with the interfaces of this namespace
    shift 2
    exec "$@"' exec "$host" "$STATE/hosts/$host" "$@"
}
