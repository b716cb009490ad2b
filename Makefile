# phasesplit: build, try, test, measure. `make` alone builds target/release/phasesplit.
#
# The state engine is built first, static and without the machine's paths in it, because every state
# depends on its store path; then phasesplit, which embeds it (build.rs).

SHELL := bash
CARGO ?= cargo
TARGET := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
CARGO_HOME ?= $(HOME)/.cargo
# The engine is a workspace of its own, so that it has its own lock file; its builds share our folder.
IN_ENGINE := --manifest-path engine/Cargo.toml --target-dir target
ENGINE := target/$(TARGET)/release/phasesplit-state
PROGRAM := target/release/phasesplit
# crt-static needs an explicit --target, or procedural macros fail to build.
ENGINE_FLAGS := -C target-feature=+crt-static --remap-path-prefix=$(CARGO_HOME)=/cargo --remap-path-prefix=$(CURDIR)=/phasesplit

.PHONY: all engine build setup tools demo test test-mutation test-state test-shell test-kills test-engine test-arm64 test-machines fuzz bench bench-state bench-relocate bench-image bench-cache bench-roots lint clean

all: build

engine:
	RUSTFLAGS='$(ENGINE_FLAGS)' $(CARGO) build --locked --release --target $(TARGET) $(IN_ENGINE)

build: engine
	PHASESPLIT_STATE_BIN='$(CURDIR)/$(ENGINE)' $(CARGO) build --locked --release --bin phasesplit

# Installs what is missing on Debian; elsewhere it says what is missing.
setup:
	scripts/setup-debian.sh --for-tests

# Without what only tests use.
tools:
	scripts/setup-debian.sh

demo: tools build
	scripts/demo.sh '$(CURDIR)/$(PROGRAM)'

# The tests run with the static engine: what they prove is then true of what is shipped.
test: setup build
	result=0; $(CARGO) test --locked --no-fail-fast $(IN_ENGINE) || result=1; \
	. scripts/nix-env.sh && PHASESPLIT_STATE='$(CURDIR)/$(ENGINE)' $(CARGO) test --locked --no-fail-fast || result=1; \
	exit $$result

# Changes every attribute of small packages and compares split with unsplit (tests/mutation). `all` of the changes, or how
# many; tests/mutation/settings.rs names the other variables.
PHASESPLIT_MUTATIONS ?= all

test-mutation: setup build
	. scripts/nix-env.sh && PHASESPLIT_STATE='$(CURDIR)/$(ENGINE)' PHASESPLIT_MUTATIONS='$(PHASESPLIT_MUTATIONS)' \
	  $(CARGO) test --locked --test mutation -- --ignored --nocapture

# Save and restore as the identity, on so many generated trees and edits (engine/src/round_trip/generated.rs); in memory
# where there is a file system for that, since each case makes and removes hundreds of files.
PHASESPLIT_CASES ?= 2000
IN_MEMORY := $(shell [ -w /dev/shm ] && echo TMPDIR=/dev/shm)

test-state:
	$(IN_MEMORY) PROPTEST_CASES='$(PHASESPLIT_CASES)' $(CARGO) test --locked $(IN_ENGINE) --lib -- round_trip::generated

# Generated programs, cut into stages at random places and run whole (tests/shell_generated): so many, and which.
PHASESPLIT_SHELLS ?= 5000
PHASESPLIT_SHELLS_SEED ?= 1

test-shell: engine
	$(IN_MEMORY) PHASESPLIT_STATE='$(CURDIR)/$(ENGINE)' PHASESPLIT_SHELLS='$(PHASESPLIT_SHELLS)' \
	  PHASESPLIT_SHELLS_SEED='$(PHASESPLIT_SHELLS_SEED)' $(CARGO) test --locked --test shell_generated -- --nocapture

# Kills build, roots prune, roots gc and cache push so many times at random moments (tests/random_kills). A seed makes the same
# choices again.
PHASESPLIT_KILLS ?= 200
PHASESPLIT_KILLS_SEED ?=

test-kills: setup build
	. scripts/nix-env.sh && PHASESPLIT_STATE='$(CURDIR)/$(ENGINE)' PHASESPLIT_KILLS='$(PHASESPLIT_KILLS)' \
	  PHASESPLIT_KILLS_SEED='$(PHASESPLIT_KILLS_SEED)' $(CARGO) test --locked --test random_kills -- --nocapture

# The same bytes from another folder and beside another version of phasesplit.
test-engine: engine
	RUSTFLAGS='$(ENGINE_FLAGS)' scripts/engine-bytes.sh '$(CURDIR)/$(ENGINE)' '$(CURDIR)/target'

# The engine on 64-bit ARM, under qemu: the same states as on this machine. Says so where it cannot be built or run.
test-arm64: engine
	scripts/engine-arm64.sh '$(CURDIR)/$(ENGINE)' '$(CURDIR)/target'

# Builders and caches on machines with other versions of Nix, which it makes where they are missing (target/machines, 400 MB).
test-machines: setup build
	scripts/machines.sh || echo 'the tests of machines will be skipped'
	. scripts/nix-env.sh && PHASESPLIT_STATE='$(CURDIR)/$(ENGINE)' $(CARGO) test --locked --test machines -- --nocapture

# Each target of engine/fuzz/ for so long (CONTRIBUTING.md).
FUZZ_SECONDS ?= 60

fuzz:
	scripts/fuzz.sh '$(FUZZ_SECONDS)'

bench: setup build
	scripts/bench.sh

# Saving and restoring against tar|zstd, crane's way and cp -a; the variables are named in the script.
bench-state: setup engine
	scripts/bench-state.sh

# Relocation of a tree in memory, in GB/s, beside grep, sed and a plain search.
bench-relocate: engine
	scripts/bench-relocate.sh

# The image of a closure against what buildah and tar make of it; the variables are named in the script.
bench-image: setup build
	scripts/bench-image.sh

# Asking a binary cache for 1,000 paths beside plain questions and nix path-info; needs nginx.
bench-cache: engine
	scripts/bench-cache.sh

# `roots list` and `prune` with 500, 2,000 and 8,000 roots.
bench-roots: build
	scripts/bench-roots.sh

lint:
	$(CARGO) fmt --check && $(CARGO) fmt --check --manifest-path engine/Cargo.toml
	$(CARGO) fmt --check --manifest-path engine/fuzz/Cargo.toml
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets $(IN_ENGINE) -- -D warnings
	shellcheck -x .ci/run scripts/*.sh tests/nix/real/fetch.sh tests/machines/*.sh
	find nix-lib/host -name '*.sh' -exec shellcheck -s bash -x {} +
	cat nix-lib/runtime/*.sh | shellcheck -s bash -S warning -
	cat nix-lib/runtime/*.sh nix-lib/shell/enter.sh | shellcheck -s bash -S warning -e SC2218 -
	shellcheck -s bash -S warning -e SC2154 nix-lib/shell/shell.sh

clean:
	$(CARGO) clean
