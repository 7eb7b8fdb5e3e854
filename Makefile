# Two commands do it all: `make demo` and `make test`. Both need Rust (rustup), a C compiler, perl and make; `make test` needs
# Python and Go too, for what deploys Headcount, and Java 17 (a JDK) and Maven for the tests on real Kafka, Cassandra and,
# where it is not installed, PostgreSQL (which needs xz too): without these two those tests say so and pass, unless CI=true.
SHELL := bash
CARGO ?= cargo
# Built with the whole workspace, so that `make demo` and `make test` share what they can; but for the simulation, which
# would build its test tools into the program.
BUILD := $(CARGO) build --workspace --exclude simulation --locked --bin headcount
HEADCOUNT := $(or $(CARGO_TARGET_DIR),target)/debug/headcount

.DEFAULT_GOAL := help
.PHONY: help demo run engines demo-engines test lint unit deploy-check contract promtool format torture torture-engines simulate bench bench-stages bench-engines bench-peers release clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: tools ## real door counts of 2005, then a live campus, in one process; FOR=30s ends it by itself
	$(BUILD)
	$(HEADCOUNT) demo $(if $(FOR),--for $(FOR))

run: tools ## a server over ./data, nothing in it at first
	$(BUILD)
	$(HEADCOUNT) serve

engines: tools ## real Kafka and Cassandra on this machine until Ctrl-C; ENGINES="--brokers 3 --nodes 3" for clusters
	$(CARGO) run --package engines --locked -- up $(ENGINES)

demo-engines: tools ## a campus on real Kafka and Cassandra, two consumers; FOR=30s ends it by itself
	$(BUILD) --bin engines
	$(or $(CARGO_TARGET_DIR),target)/debug/engines run -- examples/engines.sh $(HEADCOUNT) $(FOR)

test: tools lint deploy-check unit contract ## everything CI runs: format, lints, every test, deployment files

lint: tools ## format and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings

unit: tools ## every test
	$(CARGO) test --workspace --locked

# Tools for deploy-check, at fixed versions and out of everybody's way.
KUSTOMIZE_VERSION := v5.7.1
KUSTOMIZE := target/tools/kustomize-$(KUSTOMIZE_VERSION)/kustomize
CHECKER := target/tools/python/bin/python

deploy-check: ## Dockerfile, compose, Prometheus and Kubernetes files, without running them
	@# Both at once: cold, one compiles for a minute and the other downloads.
	@$(MAKE) --silent --jobs=2 $(KUSTOMIZE) target/tools/python/ready
	@$(CHECKER) -B deploy/check $(KUSTOMIZE)

contract: tools target/tools/contract/ready ## a served store against its OpenAPI description, and the examples on it; SEED=2 for other data
	@# What `make unit` has built already.
	$(CARGO) test --workspace --locked --no-run --quiet
	@target/tools/contract/bin/python -B tests/contract $(HEADCOUNT)

promtool: ## the Prometheus configuration, by Prometheus' own tool, where it is installed
	promtool check config deploy/prometheus.yml

$(KUSTOMIZE):
	@command -v go >/dev/null || { echo "Go is missing (kustomize is built with it): install 1.22 or newer from https://go.dev/dl, then try again"; exit 1; }
	@echo "building kustomize $(KUSTOMIZE_VERSION), once"
	@CGO_ENABLED=0 GOBIN=$(abspath $(@D)) go install -ldflags '-s -w' sigs.k8s.io/kustomize/kustomize/v5@$(KUSTOMIZE_VERSION)

target/tools/python/ready: deploy/check/requirements.txt
target/tools/contract/ready: tests/contract/requirements.txt
target/tools/%/ready:
	@python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Python 3.11 or newer with venv is missing: apt-get install python3-venv (or your system's like), then try again"; exit 1; }
	@echo "installing the Python packages of $<, once"
	@python3 -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	@touch $@

format: ## format the code
	$(CARGO) fmt --all

torture: tools ## 1,000 kills of a server under load; about seven minutes
	HEADCOUNT_KILLS=1000 $(CARGO) test --workspace --locked --test it kill_9 -- --nocapture

torture-engines: tools ## 300 kills of consumers on real Kafka and Cassandra, and other faults as often as that; an hour or two
	HEADCOUNT_KILLS=300 CI=true $(CARGO) test --workspace --locked --test it both_engines -- --nocapture

simulate: tools ## ingest and store under seeded faults, until one is wrong; SEEDS=1000 FROM=5000 bound it, SEED=7 shows one run
	$(CARGO) run --locked --package simulation -- $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FROM),--from $(FROM))

bench: tools ## embedded ingest and reads, in a release build; BENCH=--quick for a short one
	$(CARGO) build --release --package headcount
	$(CARGO) run --release --package headcount-bench -- $(BENCH)

bench-stages: tools ## each stage by itself; BENCH=--quick for a short run, BENCH=fold for the groups of that name
	$(CARGO) bench --locked --package headcount-bench --bench stages -- $(BENCH)

bench-engines: tools ## the same program on real Kafka and Cassandra, beside the bare driver; BENCH=--quick for a short one
	$(CARGO) build --release --package headcount
	$(CARGO) build --release --package headcount-bench
	$(CARGO) run --package engines --locked -- run -- $(or $(CARGO_TARGET_DIR),target)/release/headcount-bench $(BENCH)

bench-peers: tools ## the same backlog by PostgreSQL and Kafka Streams too; BENCH=--quick for a short one, which is their test
	@CARGO="$(CARGO)" bench/peers/run.sh $(BENCH)

release: tools ## the program, optimised: target/release/headcount
	$(CARGO) build --release --package headcount

clean: ## remove what was built
	$(CARGO) clean

.PHONY: tools
tools:
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: install it from https://rustup.rs, then try again"; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: apt-get install build-essential (or your system's like), then try again"; exit 1; }
	@command -v perl >/dev/null || { echo "perl is missing (OpenSSL is built with it): apt-get install perl (or your system's like), then try again"; exit 1; }
