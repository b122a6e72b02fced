# Shared by the Makefile's scripts: where caches are, and how binaries are built. Sourced, not run.

# Everything built lives outside the checkout, so that a fresh clone starts warm.
export DFP_CACHE=${DFP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dhcp-failover}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$DFP_CACHE/target}

say() { printf '\n== %s\n' "$*" >&2; }

workspace_version() { sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml; }

# The machine's own target by name: with it, flags reach our crates but not build scripts and macros.
rust_target() { rustc -vV | sed -n 's/^host: //p'; }

static_dir() { echo "$CARGO_TARGET_DIR/$(rust_target)/release"; }

# Builds packages as static binaries.
build_static() {
  local packages=()
  for package; do packages+=(--package "$package"); done
  RUSTFLAGS='-C target-feature=+crt-static' cargo build --quiet --locked --release \
    --target "$(rust_target)" "${packages[@]}" >&2
  for package; do
    ! keeps_marks "$(static_dir)/$package" ||
      { echo "$package was built with the feature \`on\` of crates/marks, which only the simulator may have" >&2; return 1; }
  done
}

# Whether a binary keeps marks of rules (crates/marks/src/set.rs).
keeps_marks() { grep --quiet --fixed-strings --binary-files=text 'this binary keeps rule marks.' "$1"; }

# Waits until a pair's condition Ready is true: until_ready NAMESPACE PAIR SECONDS.
until_ready() {
  kubectl -n "$1" wait --for=condition=Ready --timeout="$3s" "dfp/$2" >/dev/null ||
    { kubectl -n "$1" get "dfp/$2" -o yaml >&2; return 1; }
}

# Waits until one server of a pair reports a state: until_state NAMESPACE PAIR ROLE STATE SECONDS.
until_state() {
  kubectl -n "$1" wait --for="jsonpath={.status.$3.state}=$4" --timeout="$5s" "dfp/$2" >/dev/null ||
    { kubectl -n "$1" get "dfp/$2" -o yaml >&2; return 1; }
}

# A client takes or renews a lease with udhcpc: lease CLUSTER CLIENT. Prints what it got.
lease() {
  local said
  said=$(e2e/cluster/client "$1" "$2" exec timeout 60 udhcpc -f -n -q -t 10 -T 2 -i eth0 2>&1) ||
    { echo "$said" >&2; return 1; }
  printf '  %-8s %s\n' "$2" "$(grep -o 'lease of .*' <<<"$said")"
}
