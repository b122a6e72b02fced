# The list of commands. CI calls the same ones (.ci/run).
SHELL := bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.PHONY: help demo demo-down test unit disk lint generated sim search holes mutants fuzz images e2e interop bench

help: ## this list
	grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: ## a cluster, the operator, a pair, clients, a failover; stays up
	e2e/demo/up

demo-down: ## removes the demo
	e2e/demo/down

test: ## everything that CI runs
	e2e/test

unit: ## tests of the crates, without network or cluster
	source e2e/lib.sh
	cargo test --quiet --locked --workspace --exclude e2e --exclude interop --exclude powercut

disk: ## the lease store on a file system whose power is cut; needs root and /dev/fuse
	e2e/disk/run

lint: ## format, clippy, docs, shell
	source e2e/lib.sh
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --quiet --locked --workspace --all-targets -- -D warnings

generated: ## every checked-in file that comes from code
	source e2e/lib.sh
	cargo run --quiet --locked -p operator -- generate
	servers=$$(cargo run --quiet --locked -p dhcp-pod -- metrics-reference)
	operator=$$(cargo run --quiet --locked -p operator -- metrics-reference)
	printf '%s\n%s\n' "$$servers" "$$operator" > docs/metrics.md
	echo ./docs/metrics.md
	cargo update --quiet --workspace --manifest-path fuzz/Cargo.toml
	echo ./fuzz/Cargo.lock

sim: ## plays seeds until stopped
	source e2e/lib.sh
	cargo run --quiet --locked --release -p sim -- --seeds 18446744073709551615

search: ## everything that may befall a small pair, breadth first: twenty million states, in an hour and two gigabytes
	source e2e/lib.sh
	cargo run --quiet --locked --release -p sim -- --search --depth 12 --states 20000000

holes: ## known holes of the protocol, each shown to break an invariant once its countermeasure is taken out
	sim/holes/run

mutants: ## rules of the protocol, each broken by a patch: plays seeds until the simulator notices
	sim/mutants/run

fuzz: ## octets of any kind at each border, until something breaks; MINUTES=5 for each target in turn
	fuzz/run

images: ## both images, as files
	images/build

e2e: ## the tests on a real cluster
	e2e/cluster-tests

bench: ## figures: exchanges per second of a pair, events per second of the simulator
	source e2e/lib.sh
	bench/pair
	cargo run --quiet --locked --release -p sim -- --seeds 2000
