#!/usr/bin/env bash
# Builds the state engine for 64-bit ARM and runs it there (under qemu): what it saves has the same bytes as what this
# machine's engine saves, each restores what the other saved, and relocation gives the same files.
#
# usage: scripts/engine-arm64.sh ENGINE TARGETDIR
#
# Needs Rust's target aarch64-unknown-linux-musl, a C compiler for ARM and qemu; without one of them it says so and does nothing.
set -euo pipefail
engine=${1:?usage: scripts/engine-arm64.sh ENGINE TARGETDIR}
target=${2:?usage: scripts/engine-arm64.sh ENGINE TARGETDIR}
rust=aarch64-unknown-linux-musl
cd "$(dirname "$0")/.."

skip() {
  printf 'engine-arm64: SKIPPED: %s\n' "$1"
  exit 0
}
[ -d "$(rustc --print sysroot)/lib/rustlib/$rust" ] || skip "Rust cannot build for $rust here (rustup target add $rust)"
command -v aarch64-linux-gnu-gcc >/dev/null ||
  skip 'no C compiler for ARM (on Debian: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross)'
command -v qemu-aarch64-static >/dev/null || skip 'no qemu-aarch64-static (on Debian: apt-get install qemu-user-static)'

CC_aarch64_unknown_linux_musl=aarch64-linux-gnu-gcc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld \
  cargo build --locked --release --quiet --target "$rust" --manifest-path engine/Cargo.toml --target-dir "$target"
there=$target/$rust/release/phasesplit-state
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

native() { "$engine" "$@"; }
arm() { qemu-aarch64-static "$there" "$@"; }

fail() {
  printf 'engine-arm64: %s\n' "$1" >&2
  exit 1
}

# $1: where. A tree with every kind of entry, and the engine itself as a larger file. The times are the same in each.
grow() {
  mkdir -p "$1/sub/empty"
  cp "$engine" "$1/engine"
  printf 'text\n' >"$1/sub/file"
  ln "$1/sub/file" "$1/sub/twin"
  ln -s ../sub/file "$1/sub/link"
  mkfifo "$1/sub/pipe"
  truncate -s 3M "$1/holes"
  printf 'end' >>"$1/holes"
  chmod 0640 "$1/sub/file"
  find "$1" -exec touch -h -d '2001-02-03 04:05:06.789 UTC' {} +
}

# Everything that a state keeps of a tree.
describe() {
  (cd "$1" && find . -printf '%P %y %m %s %T@ %l\n' | grep -v '^ ' | LC_ALL=C sort && find . -type f -exec sha256sum {} + | LC_ALL=C sort)
}

grow "$work/tree"
printf 'x=1\n' >"$work/shell"
for run in native arm; do
  "$run" save --to "$work/$run" --build-dir "$work/tree" --shell "$work/shell" --package p --stage s
done
for file in layer.tar.zst manifest.zst; do
  cmp "$work/native/$file" "$work/arm/$file" || fail "$file is not the same on ARM"
done
describe "$work/tree" >"$work/want"
# $1: who restores, $2: whose state. A state goes back to the place where it was made.
restore() {
  rm -rf "$work/tree" "$work/shell"
  mkdir "$work/tree"
  "$1" restore --from "$work/$2" --build-dir "$work/tree" --shell "$work/shell"
  describe "$work/tree" | diff "$work/want" - || fail "$1 restores the state of $2 to another tree"
}
restore native arm
restore arm native

# Relocation: text, a gzip member, a symlink and a program with a path among its constants.
staged=/nix/store/1shm2c9fr4laqnfcm3ywqg0zd7xv58bq-hello-2.10
real=/nix/store/v0ql8xk3pjz6ng5dmfr1ys9hwa2c7b4i-hello-2.10
for run in native arm; do
  mkdir "$work/out-$run"
  printf '%s/bin\n' "$staged" | tee "$work/out-$run/text" | gzip -n >"$work/out-$run/packed.gz"
  ln -s "$staged/lib" "$work/out-$run/link"
  cp "$engine" "$work/out-$run/program"
  printf '%s\0' "$staged/share" >>"$work/out-$run/program"
  "$run" relocate --map "$staged=$real" --tree "$work/out-$run"
done
diff -r --no-dereference "$work/out-native" "$work/out-arm" || fail 'relocation gives other files on ARM'
grep -q "^$real/bin$" "$work/out-arm/text" || fail 'relocation did not relocate'
printf 'x' >>"$work/out-arm/text"
! diff -rq --no-dereference "$work/out-native" "$work/out-arm" >/dev/null || fail 'a planted difference was not seen: this compares nothing'
echo 'engine-arm64: the same states and the same relocation as on this machine'
