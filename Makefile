# Two commands do it all: `make demo` and `make test`. Both need Rust (rustup), a C compiler, perl and make; nothing else.
# Tests on real Kafka and Cassandra need Java 17 and Maven too; without them they say so and pass, unless CI=true.
SHELL := bash
CARGO ?= cargo
# Built with the whole workspace, so that `make demo` and `make test` share what they can.
BUILD := $(CARGO) build --workspace --locked --bin headcount
HEADCOUNT := $(or $(CARGO_TARGET_DIR),target)/debug/headcount

.DEFAULT_GOAL := help
.PHONY: help demo run engines test lint unit format torture bench release clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: tools ## real door counts of 2005, then a live campus, in one process; FOR=30s ends it by itself
	$(BUILD)
	$(HEADCOUNT) demo $(if $(FOR),--for $(FOR))

run: tools ## a server over ./data, nothing in it at first
	$(BUILD)
	$(HEADCOUNT) serve

engines: tools ## real Kafka and Cassandra on this machine until Ctrl-C; ENGINES="--brokers 3 --nodes 3" for clusters
	$(CARGO) run --package engines --locked -- up $(ENGINES)

test: tools lint unit ## everything CI runs: format, lints, every test

lint: tools ## format and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings

unit: tools ## every test
	$(CARGO) test --workspace --locked

format: ## format the code
	$(CARGO) fmt --all

torture: tools ## 1,000 kills of a server under load; about seven minutes
	HEADCOUNT_KILLS=1000 $(CARGO) test --workspace --locked --test it kill_9 -- --nocapture

bench: tools ## embedded ingest and reads, in a release build; BENCH=--quick for a short one
	$(CARGO) build --release --package headcount
	$(CARGO) run --release --package headcount-bench -- $(BENCH)

release: tools ## the program, optimised: target/release/headcount
	$(CARGO) build --release --package headcount

clean: ## remove what was built
	$(CARGO) clean

.PHONY: tools
tools:
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: install it from https://rustup.rs, then try again"; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: apt-get install build-essential (or your system's like), then try again"; exit 1; }
	@command -v perl >/dev/null || { echo "perl is missing (OpenSSL is built with it): apt-get install perl (or your system's like), then try again"; exit 1; }
