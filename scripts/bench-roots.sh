#!/usr/bin/env bash
# What `phasesplit roots` takes with many roots: as links and small files alone, in memory where there is room, so that it is
# phasesplit that is measured and not Nix or a disk. Each number of roots is four times the one before: the ratio says how
# the time grows with them.
#
# variables:
#   PHASESPLIT_BENCH_PACKAGES  the least number of packages, of ten states each (default 50)
#   PHASESPLIT_BENCH_ROUNDS    how often each thing is measured; the median counts (default 5)
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
least=${PHASESPLIT_BENCH_PACKAGES:-50}
rounds=${PHASESPLIT_BENCH_ROUNDS:-5}
phasesplit=$PWD/target/release/phasesplit

work=$(mktemp -d --tmpdir="$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
trap 'rm -rf -- "$work"' EXIT

# world PACKAGES: two chains of five layers for each.
world() {
  local store=$work/$1/store package build key hash state below
  mkdir -p "$store"
  for ((package = 0; package < $1; package++)); do
    printf -v key 'p%d-1.0-%012x' "$package" "$package"
    local links=$work/$1/state/phasesplit/roots/packages/$key
    mkdir -p "$links"
    below=
    for ((build = 0; build < 10; build++)); do
      printf -v hash '%032d' $((package * 10 + build))
      state=$store/$hash-p$package-1.0-phase-build
      mkdir "$state"
      printf '{}' >"$state/info.json"
      printf '12345' >"$state/layer.tar.zst"
      if [[ $below ]]; then printf %s "$below" >"$state/parent"; fi
      ln -s "$state" "$links/build@$hash"
      if ((build % 5 == 4)); then below=; else below=$state; fi
    done
  done
}

# The median of a command's seconds: seconds PACKAGES WORD...
seconds() {
  local packages=$1 round start
  shift
  for ((round = 0; round < rounds; round++)); do
    start=$EPOCHREALTIME
    XDG_STATE_HOME=$work/$packages/state XDG_CONFIG_HOME=$work/none HOME=$work NIX_STORE_DIR=$work/$packages/store \
      NIX_STATE_DIR=$work/none "$phasesplit" roots "$@" >/dev/null
    awk -v start="$start" -v end="$EPOCHREALTIME" 'BEGIN { printf "%.4f\n", end - start }'
  done | sort -n | awk '{ line[NR] = $1 } END { print line[int((NR + 1) / 2)] }'
}

sizes=("$least" $((least * 4)) $((least * 16)))
for packages in "${sizes[@]}"; do world "$packages"; done
printf '%-34s' roots
for packages in "${sizes[@]}"; do printf '%16d' $((packages * 10)); done
printf '\n'
for words in list 'list --json' 'prune --keep-last 4 --dry-run' 'prune --max-size 10K --dry-run'; do
  printf '%-34s' "$words"
  before=
  for packages in "${sizes[@]}"; do
    read -ra word <<<"$words"
    now=$(seconds "$packages" "${word[@]}")
    ratio=
    if [[ $before ]]; then ratio=$(awk -v now="$now" -v before="$before" 'BEGIN { printf "x %.1f", now / before }'); fi
    printf '%16s' "$(awk -v now="$now" 'BEGIN { printf "%.3f s", now }') $ratio"
    before=$now
  done
  printf '\n'
done
