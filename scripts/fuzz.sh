#!/usr/bin/env bash
# Fuzzes the state engine: each target of engine/fuzz/ for so many seconds, from its corpus on. Fails on the first crash, and says
# where the input is. What it finds on the way to more code it keeps in engine/fuzz/work and continues from there next time.
#
# usage: scripts/fuzz.sh SECONDS [TARGET...]
#
# Instruments with the stable compiler what libFuzzer needs to see (the flags that cargo-fuzz gives, without its
# sanitizers), so that it runs wherever the tests do. `cargo +nightly fuzz run TARGET` adds the address sanitizer.
set -euo pipefail
seconds=${1:?usage: scripts/fuzz.sh SECONDS [TARGET...]}
targets=("${@:2}")
[ "${#targets[@]}" -gt 0 ] || targets=(restore manifest relocate)
cd "$(dirname "$0")/../engine/fuzz"

# libfuzzer-sys compiles libFuzzer.
command -v c++ >/dev/null || {
  echo 'fuzz: a C++ compiler is missing (on Debian: apt-get install g++)' >&2
  exit 1
}
host=$(rustc -vV | sed -n 's/^host: //p')
flags='--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks'
# With a target given, build scripts and macros go without the flags.
RUSTFLAGS=$(tr '\n' ' ' <<<"$flags") cargo build --locked --release --target "$host"

for target in "${targets[@]}"; do
  mkdir -p "work/$target" artifacts
  log=work/$target.log
  echo "fuzz: $target, $seconds s"
  # 512 MiB for inputs of at most 64 KiB: more memory than that is a finding, and so is an input that takes 30 s.
  if ! "target/$host/release/$target" "work/$target" "corpus/$target" -dict="$target.dict" -max_total_time="$seconds" \
    -max_len=65536 -rss_limit_mb=512 -timeout=30 -artifact_prefix="artifacts/$target-" -print_final_stats=1 >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "fuzz: $target failed; the input is in engine/fuzz/artifacts (see engine/fuzz/$log)" >&2
    exit 1
  fi
  sed -n 's/^stat::\(number_of_executed_units\|new_units_added\|peak_rss_mb\): */  \1 /p' "$log"
done
