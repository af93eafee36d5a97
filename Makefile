# Tidegate. `make demo` shows it, `make test` proves it; both install what they need.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help
help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## installs missing Debian packages (as root); starts no service
	@.ci/deps

# By this profile the compiler lays out the gate (docs/DECISIONS.md). It is of one compiler; another builds without,
# and so does who has flags of his own.
PROFILE := proxy/profile/$(shell rustc -vV 2>/dev/null | \
    awk '/^release/ { r = $$2 } /^commit-hash/ { c = substr($$2, 1, 9) } /^host/ { h = $$2 } END { print r "-" c "-" h }').profdata
BY_PROFILE := $(if $(RUSTFLAGS)$(CARGO_ENCODED_RUSTFLAGS),,$(wildcard $(PROFILE)))
# No warning for each function that has changed since.
QUIETLY := -Cllvm-args=-no-pgo-warn-mismatch
# What runs often has a section of its own.
HOT_TOGETHER := -Clink-arg=-Wl,-z,keep-text-section-prefix

.PHONY: build
build: deps ## builds the programs, in release
ifeq ($(BY_PROFILE),)
	@echo 'built without $(PROFILE): a key may take some 5 % longer'
	cargo build --release --workspace --bins
else
	CARGO_ENCODED_RUSTFLAGS=$$'-Cprofile-use=$(CURDIR)/$(BY_PROFILE)\x1f$(QUIETLY)\x1f$(HOT_TOGETHER)' \
	    cargo build --release --workspace --bins
	@grep -aoE '_ZN[[:alnum:]_$$.]*tidegate_proxy[[:alnum:]_$$.]*17h[0-9a-f]{16}E' $(BY_PROFILE) | \
	    grep -qFf - <(nm $(TARGET)/release/tidegate-proxy) || \
	    echo '$(BY_PROFILE) is of a gate with other dependencies: `make profile` makes it anew'
endif

.PHONY: profile
profile: build ## measures what runs for a key, for the next build; for another compiler, or when much has changed
	@.ci/profile $(PROFILE)
	@# cargo knows the file's name and not what is in it.
	@cargo clean --release

CARGO_DEB := $(TARGET)/tools/bin/cargo-deb
CARGO_DEB_VERSION := 3.8.0

# It only copies and compresses, and is not worth the time to optimize it.
$(CARGO_DEB):
	CARGO_PROFILE_RELEASE_OPT_LEVEL=0 cargo install cargo-deb --version $(CARGO_DEB_VERSION) --locked --quiet \
	    --no-default-features --root $(TARGET)/tools

.PHONY: deb-tool
deb-tool: $(CARGO_DEB)

.PHONY: deb
deb: build $(CARGO_DEB) ## Debian packages of proxy, agent and video, in target/debian
	@rm -f $(TARGET)/debian/tidegate-*.deb
	@.ci/deb $(TARGET)/release $(TARGET)/debian
	@echo 'Built: $(TARGET)/debian/tidegate-proxy_*.deb for the gate, tidegate-agent_*.deb for each host; install with apt(8)'
	@if command -v lintian >/dev/null; then \
	    lintian --fail-on error,warning $(TARGET)/debian/tidegate-*.deb; \
	else \
	    echo 'SKIPPED lintian: it is not installed'; \
	fi

.PHONY: demo
demo: build ## the whole story on a throwaway device, in front of your eyes (DEMO_STAY=1 stays up)
	@$(TARGET)/release/demo

.PHONY: test
test: deps $(CARGO_DEB) ## every test; those with devices need root
	cargo build --workspace --bins
	cargo test --workspace

.PHONY: bench
bench: build ## measures direct ssh, ssh -J and Tidegate in turns; writes target/bench/bench.json
	@$(TARGET)/release/bench

.PHONY: torture
torture: deps ## kills whatever can die ROUNDS=500 times, and compares; SEED= and ROUND= play it again
	cargo build --workspace --bins
	@ROUNDS=$(ROUNDS) SEED=$(SEED) ROUND=$(ROUND) $(TARGET)/debug/torture

SECONDS_EACH := $(if $(filter command line environment,$(origin SECONDS)),$(SECONDS),30)

.PHONY: fuzz
fuzz: deps ## runs each fuzz target for SECONDS=30
	@fuzz/run $(SECONDS_EACH)

.PHONY: lint
lint: ## format, lints, documentation, dependencies
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps
	@if command -v cargo-deny >/dev/null; then \
	    cargo deny --offline check bans licenses sources; \
	else \
	    echo 'SKIPPED cargo deny: it is not installed'; \
	fi
	@if command -v cargo-audit >/dev/null && [ -d "$${CARGO_HOME:-$$HOME/.cargo}/advisory-db" ]; then \
	    cargo audit --no-fetch; \
	else \
	    echo 'SKIPPED cargo audit: it or its database is not installed'; \
	fi

.PHONY: clean
clean: ## removes what was built
	cargo clean
	rm -rf .demo
