# phasesplit: build, try, test, measure. `make` alone builds target/release/phasesplit.
#
# The state engine is built first, static and without the machine's paths in it, because every state
# depends on its store path; then phasesplit, which embeds it (build.rs).

SHELL := bash
CARGO ?= cargo
TARGET := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
CARGO_HOME ?= $(HOME)/.cargo
ENGINE := target/$(TARGET)/release/phasesplit-state
PROGRAM := target/release/phasesplit
# crt-static needs an explicit --target, or procedural macros fail to build.
ENGINE_FLAGS := -C target-feature=+crt-static --remap-path-prefix=$(CARGO_HOME)=/cargo --remap-path-prefix=$(CURDIR)=/phasesplit

.PHONY: all engine build setup demo test test-mutation bench lint clean

all: build

engine:
	PHASESPLIT_STATE_BIN= RUSTFLAGS='$(ENGINE_FLAGS)' $(CARGO) build --locked --release --target $(TARGET) --bin phasesplit-state

build: engine
	PHASESPLIT_STATE_BIN='$(CURDIR)/$(ENGINE)' $(CARGO) build --locked --release --bin phasesplit

# Installs what is missing on Debian; elsewhere it says what is missing.
setup:
	scripts/setup-debian.sh

demo: setup build
	scripts/demo.sh '$(CURDIR)/$(PROGRAM)'

# The tests run with the static engine: what they prove is then true of what is shipped.
test: setup build
	. scripts/nix-env.sh && PHASESPLIT_STATE='$(CURDIR)/$(ENGINE)' $(CARGO) test --locked --no-fail-fast

# Changes every attribute of small packages and compares split with unsplit (tests/mutation). `all` of the changes, or how
# many; tests/mutation/settings.rs names the other variables.
PHASESPLIT_MUTATIONS ?= all

test-mutation: setup build
	. scripts/nix-env.sh && PHASESPLIT_STATE='$(CURDIR)/$(ENGINE)' PHASESPLIT_MUTATIONS='$(PHASESPLIT_MUTATIONS)' \
	  $(CARGO) test --locked --test mutation -- --ignored --nocapture

bench: setup build
	scripts/bench.sh

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	shellcheck -x .ci/run scripts/*.sh tests/nix/real/fetch.sh
	find nix-lib/host -name '*.sh' -exec shellcheck -s bash -x {} +
	cat nix-lib/runtime/*.sh | shellcheck -s bash -S warning -
	cat nix-lib/runtime/*.sh nix-lib/shell/enter.sh | shellcheck -s bash -S warning -e SC2218 -
	shellcheck -s bash -S warning -e SC2154 nix-lib/shell/shell.sh

clean:
	$(CARGO) clean
