#!/usr/bin/env bash
# Shows that nothing but its own folder changes the state engine: built from a copy of that folder elsewhere, beside another
# version of phasesplit, it is the same bytes; with a changed word in its own code it is not.
#
# usage: scripts/engine-bytes.sh ENGINE TARGETDIR, with the RUSTFLAGS that ENGINE was built with below TARGETDIR
set -euo pipefail
engine=${1:?usage: scripts/engine-bytes.sh ENGINE TARGETDIR}
target=${2:?usage: scripts/engine-bytes.sh ENGINE TARGETDIR}
checkout=$(cd "$(dirname "$0")/.." && pwd)
host=$(rustc -vV | sed -n 's/^host: //p')
# Not below the target folder: cargo would take the files of one copy for those of the other.
copies=$(mktemp -d)
kept=$copies/engine
# The builds below go where the engine is.
cp "$engine" "$kept"
put_back() {
  cp "$kept" "$engine"
  rm -rf "$copies"
}
trap put_back EXIT

# $1: where, below the copies. Copies the checkout as far as the engine could see it.
copy() {
  mkdir -p "$copies/$1/engine" "$copies/$1/src"
  cp -r "$checkout"/engine/{Cargo.toml,Cargo.lock,src,benches} "$copies/$1/engine/"
  sed 's/^version = .*/version = "99.98.97"/' "$checkout/Cargo.toml" >"$copies/$1/Cargo.toml"
  echo 'compile_error!("the engine needs no phasesplit");' >"$copies/$1/src/lib.rs"
}

# $1: where. Prints the hash of the engine built there.
hash_of() {
  cargo build --locked --release --quiet --target "$host" --manifest-path "$copies/$1/engine/Cargo.toml" --target-dir "$target"
  sha256sum <"$target/$host/release/phasesplit-state"
}

fail() {
  printf 'engine-bytes: %s\n' "$1" >&2
  exit 1
}

here=$(sha256sum <"$engine")
copy another/place
[ "$(hash_of another/place)" = "$here" ] ||
  fail 'the engine has other bytes where it is built elsewhere: its store path, and so every state, would change for nothing'
copy changed
sed -i 's/saves and restores the build directory/saves and brings back the build directory/' "$copies/changed/engine/src/main.rs"
[ "$(hash_of changed)" != "$here" ] || fail 'a change of its code was not seen: this comparison compares nothing'
echo 'engine-bytes: the same elsewhere and beside another version; another where its code is'
