#!/usr/bin/env bash
# What saving and restoring states costs, against tar|zstd, crane's way and cp -a, in one run and on real trees.
#
# crane's way: a tar of the files newer than a stamp, through zstd; a restore unpacks the parents' archives one upon the
# other. What tar|zstd and cp -a know no shorter way for costs them as much as a full save.
#
# variables:
#   PHASESPLIT_BENCH_TREES    which trees (default: linux cmake cargo; scripts/bench-state/trees.sh)
#   PHASESPLIT_BENCH_ROUNDS   how often each thing is measured; the median counts (default 5)
#   PHASESPLIT_BENCH_LAYERS   how long the chain is (default 20; 0: no chain)
#   PHASESPLIT_BENCH_LINUX    a Linux source tree or its tar.xz, instead of Debian's package
#   PHASESPLIT_STATE          the engine (default: the one that `make engine` builds)
#   TMPDIR                    where the trees lie: 8 GB for linux (default: /dev/shm, if it has that much). On a disk the
#                             file system shows more than the programs do: ext4 takes 0.2 ms to make a file soon after
#                             as many were removed
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
root=$PWD
# shellcheck source=scripts/nix-env.sh
. scripts/nix-env.sh
# shellcheck source=scripts/bench-state/trees.sh
. scripts/bench-state/trees.sh
read -ra trees <<<"${PHASESPLIT_BENCH_TREES:-linux cmake cargo}"
rounds=${PHASESPLIT_BENCH_ROUNDS:-5}
layers=${PHASESPLIT_BENCH_LAYERS:-20}
engine=${PHASESPLIT_STATE:-$root/target/$(rustc -vV | sed -n 's/^host: //p')/release/phasesplit-state}
[[ -x $engine ]] || { say "$engine is missing: run make engine first"; exit 4; }

if [[ ! ${TMPDIR:-} ]] && (($(df --output=avail -BG /dev/shm 2>/dev/null | tail -n 1 | tr -dc 0-9 | sed 's/^$/0/') >= 8)); then
  TMPDIR=/dev/shm
fi
work=$(TMPDIR=${TMPDIR:-/tmp} mktemp -d)
trap 'chmod -R u+w -- "$work"; rm -rf -- "$work"' EXIT
results=$work/results
: >"$results"
printf 'x=1\n' >"$work/shell"

# measure WHAT WHO FILES COMMAND...: costs of a command, and bytes of the files that it made (blank-separated, may be none).
measure() {
  local what=$1 who=$2 files=$3 bytes=0
  shift 3
  # What was written before is not to be paid for now.
  sync
  python3 "$root/scripts/bench-state/measure.py" "$work/line" -- "$@"
  # shellcheck disable=SC2086 # several files
  if [[ $files ]]; then bytes=$(du -cb -- $files | tail -n 1 | cut -f 1); fi
  printf '%s %s %s %s %s\n' "$tree" "$what" "$who" "$(cat "$work/line")" "$bytes" >>"$results"
  rm -- "$work/line"
}

# Appends to every hundredth file; $2 says which.
change() {
  find "$1" -type f -print0 | LC_ALL=C sort -z | awk -v RS='\0' -v ORS='\0' -v at="$2" 'NR % 100 == at % 100' |
    xargs -0 sh -c 'chmod u+w "$@" && printf "changed\n" | tee -a "$@" >/dev/null' sh
}

# Each directory anew, and the shell state that a restore would not replace gone.
empty() { local dir; rm -f -- "$work/restored-shell"; for dir; do rm -rf -- "$dir" && mkdir -- "$dir"; done; }

one_round() {
  local round=$1
  rm -rf -- "$work"/{one,same,changed}
  measure save-full phasesplit "$work/one" "$engine" save --to "$work/one" "${common[@]}"
  measure save-full 'tar|zstd' "$work/one.tar.zst" tar --format=posix -C "$build" -cf - . '|' zstd -q -1 -T0 '>' "$work/one.tar.zst"
  rm -rf -- "$work/copy"
  measure save-full cp '' cp -a -- "$build" "$work/copy"

  empty "$work/out"
  measure restore-one 'tar|zstd' '' zstd -q -dc "$work/one.tar.zst" '|' tar -C "$work/out" -xf -
  empty "$work/out"
  measure restore-one cp '' cp -a -- "$work/copy/." "$work/out"
  empty "$build"
  measure restore-one phasesplit '' "$engine" restore --from "$work/one" "${restored[@]}"

  local known=(--parent "$work/one" --listing "$work/listing")
  measure save-unchanged phasesplit "$work/same" "$engine" save --to "$work/same" "${common[@]}" "${known[@]}"
  sleep 0.02
  touch "$work/stamp"
  measure save-unchanged crane "$work/new.tar.zst" "${newer[@]}" '>' "$work/new.tar.zst"
  change "$build" "$round"
  measure save-1% phasesplit "$work/changed" "$engine" save --to "$work/changed" "${common[@]}" "${known[@]}"
  measure save-1% crane "$work/new.tar.zst" "${newer[@]}" '>' "$work/new.tar.zst"
}

# A chain in which each layer changes one file in a hundred, as states and as crane's archives.
make_chain() {
  local layer parent
  parent=()
  for ((layer = 0; layer < layers; layer++)); do
    ((layer == 0)) || change "$build" "$layer"
    "$engine" save --to "$work/chain.$layer" "${common[@]}" "${parent[@]}"
    if ((layer == 0)); then find "$build" -mindepth 1 -print0; else find "$build" -mindepth 1 -newer "$work/stamp" -print0; fi |
      tar --format=posix --null --no-recursion -cf - -T - 2>/dev/null | zstd -q -1 -T0 >"$work/chain.$layer.tar.zst"
    sleep 0.02
    touch "$work/stamp"
    parent=(--parent "$work/chain.$layer")
  done
  "$engine" save --to "$work/snapshot" "${common[@]}"
  tar --format=posix -C "$build" -cf - . | zstd -q -1 -T0 >"$work/snapshot.tar.zst"
}

chain_round() {
  local last=$((layers - 1)) layer unpack=''
  empty "$build"
  measure "restore-$layers-layers" phasesplit "$(echo "$work"/chain.*[0-9])" "$engine" restore --from "$work/chain.$last" "${restored[@]}"
  empty "$build"
  measure "restore-$layers-layers" snapshot "$work/snapshot" "$engine" restore --from "$work/snapshot" "${restored[@]}"
  for ((layer = 0; layer < layers; layer++)); do unpack+="zstd -q -dc $work/chain.$layer.tar.zst | tar -C $work/out -xf - && "; done
  empty "$work/out"
  measure "restore-$layers-layers" crane "$(echo "$work"/chain.*.tar.zst)" sh -c "${unpack}true"
  empty "$work/out"
  measure "restore-$layers-layers" 'tar|zstd' "$work/snapshot.tar.zst" zstd -q -dc "$work/snapshot.tar.zst" '|' tar -C "$work/out" -xf -
}

one_tree() {
  tree=$1
  build=$work/build
  # The options that every save and every restore here has.
  common=(--build-dir "$build" --shell "$work/shell" --package bench --stage bench)
  restored=(--build-dir "$build" --shell "$work/restored-shell" --listing "$work/listing")
  newer=(find "$build" -mindepth 1 -newer "$work/stamp" -print0 '|' tar --format=posix --null --no-recursion -P -cf - -T - '|' zstd -q -1 -T0)
  empty "$build"
  "make_$tree" "$build" || { say "$tree is left out"; return; }
  local round
  say "$tree: $(find "$build" | wc -l) entries, $(du -s --apparent-size -BM "$build" | cut -f 1); load $(cut -d ' ' -f 1 /proc/loadavg)"
  for ((round = 1; round <= rounds; round++)); do one_round "$round"; done
  if ((layers > 0)); then
    make_chain
    for ((round = 1; round <= rounds; round++)); do chain_round; done
  fi
  rm -rf -- "$work"/{out,copy,one,same,changed,snapshot,chain.*,*.tar.zst}
}

for tree in "${trees[@]}"; do one_tree "$tree"; done
awk -f scripts/bench-state/table.awk "$results"
