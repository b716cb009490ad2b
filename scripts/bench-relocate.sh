#!/usr/bin/env bash
# Relocation of a tree in memory: GB/s, beside what only looks for the same text, or rewrites it without looking further.
# The tree: programs, libraries, text and archives of this machine, with a staged path in one file of twenty.
# usage: bench-relocate.sh [MEGABYTES] [ROUNDS]     (default: 1500 of them, the best of 3)
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
megabytes=${1:-1500}
rounds=${2:-3}
engine=${PHASESPLIT_STATE:-$PWD/target/$(rustc -vV | sed -n 's/^host: //p')/release/phasesplit-state}
[[ -x $engine ]] || { echo "bench-relocate: $engine is missing: run make first" >&2; exit 4; }
memory=/dev/shm
[[ -d $memory && -w $memory ]] || memory=${TMPDIR:-/tmp}
work=$(mktemp -d "$memory/bench-relocate.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
memmem=$(cargo bench --locked --manifest-path engine/Cargo.toml --target-dir target --bench memmem --no-run --message-format json 2>/dev/null |
  sed -n 's/.*"executable":"\([^"]*memmem[^"]*\)".*/\1/p')
[[ -x $memmem ]] || { echo "bench-relocate: cargo bench --bench memmem --no-run fails" >&2; exit 4; }

name=hello-2.10
staged=1shm2c9fr4laqnfcm3ywqg0zd7xv58bq
real=v0ql8xk3pjz6ng5dmfr1ys9hwa2c7b4i
maps=(--map "/nix/store/$staged-$name=/nix/store/$real-$name"
  --map "/nix/store/7zxv2fwql0jd9bkc5yr3nsm8ipgh41va-$name-dev=/nix/store/gk5w0h2q9mzyc7dxs1nfrv3lb8jp4i6a-$name-dev")

# $1: directory; stops at the size. What is compressed is measured apart.
copy_files() {
  # find is cut off where awk has enough.
  { find /usr/bin /usr/include /usr/lib /usr/share /usr/libexec -xdev -type f -readable -size +0 ! -size +64M \
    ! -name '*.gz' ! -name '*.xz' ! -name '*.bz2' ! -name '*.zst' ! -name '*.zip' ! -name '*.jar' ! -name '*.jmod' ! -name ct.sym ! -name '*.whl' \
    -printf '%s %p\0' 2>/dev/null || :; } |
    awk -v RS='\0' -v ORS='\0' -v limit="$((megabytes * 1000000))" \
      '{ sum += $1; if (sum > limit) exit; sub(/^[0-9]+ /, ""); print }' |
    tar --null --files-from=- --create --sparse-version=1.0 2>/dev/null | tar --extract --directory "$1" --no-same-permissions
  chmod -R u+w "$1"
}

# Puts the staged path at the end of one file of twenty.
plant() {
  find "$1" -type f | awk 'NR % 20 == 0' | while read -r file; do
    printf '\n# /nix/store/%s-%s/lib\n' "$staged" "$name" >>"$file"
  done
}

# Runs a command; its wall and processor time in seconds in wall and cpu. What it says goes to a file: grep and the others
# are fast with a /dev/null, and would stop at the first line.
timed() {
  local TIMEFORMAT='%R %U %S' user system
  { time "$@" >"$work/out" 2>"$work/err"; } 2>"$work/time" || [[ $1 == grep ]] || { cat "$work/err" >&2; exit 3; }
  read -r wall user system <"$work/time"
  cpu=$(awk -v a="$user" -v b="$system" 'BEGIN { print a + b }')
}

# $1: what to call it; the rest: a command. The best of the rounds, as GB/s and as a share of the first one's.
report() {
  local label=$1 i best='' best_cpu=''
  shift
  for ((i = 0; i < rounds; i++)); do
    timed "$@"
    if [[ -z $best ]] || awk -v a="$wall" -v b="$best" 'BEGIN { exit !(a < b) }'; then best=$wall best_cpu=$cpu; fi
  done
  [[ -n ${first-} ]] || first=$best
  awk -v label="$label" -v wall="$best" -v cpu="$best_cpu" -v bytes="$bytes" -v first="$first" \
    'BEGIN { printf "%-34s %7.2f s %7.2f s CPU %7.2f GB/s   %.2f x\n", label, wall, cpu, bytes / 1e9 / wall, wall / first }'
}

fresh() { rm -rf "$work/tree"; cp -a "$work/plain" "$work/tree"; }
first_run() { fresh; timed "$engine" relocate "${maps[@]}" --tree "$work/tree"; }

mkdir "$work/plain" "$work/packed"
copy_files "$work/plain"
# Headers and modules, as no path is planted in them yet, to be packed further down.
mkdir "$work/text"
{ find "$work/plain" -type f \( -name '*.h' -o -name '*.py' -o -name '*.pm' \) -print0 || :; } |
  head -zn 4000 | tar --null --files-from=- --create 2>/dev/null | tar --extract --directory "$work/text" --transform 's,.*/,,'
plant "$work/plain"
bytes=$(find "$work/plain" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
printf '%s files, %s bytes, %s cores; seconds are the best of %s runs, x is the time against relocate, nothing to do\n' \
  "$(find "$work/plain" -type f | wc -l)" "$bytes" "$(nproc)" "$rounds"
first_run
awk -v wall="$wall" -v cpu="$cpu" -v bytes="$bytes" \
  'BEGIN { printf "%-34s %7.2f s %7.2f s CPU %7.2f GB/s\n", "relocate, 1 file of 20 rewritten", wall, cpu, bytes / 1e9 / wall }'
report 'relocate, nothing to do' "$engine" relocate "${maps[@]}" --tree "$work/tree"
report 'scan' "$engine" scan "${maps[@]}" "$work/tree"
report 'read and memmem, all cores' "$memmem" "$work/tree" "$staged"
report 'grep -rcF, one core' grep -rcF "$staged" "$work/tree"
# A pass of sed over everything, as packages do it with find and xargs, one process for each core.
# shellcheck disable=SC2016
report 'sed -i, all cores' bash -c 'find "$1" -type f -print0 | xargs -0 -n 200 -P "$(nproc)" sed -i "s/$2/$3/g"' \
  sed "$work/tree" "$staged" "$real"
rm -rf "$work/tree"

# Compressed, with nothing to be found.
for tool in xz zstd bzip2 gzip; do
  case $tool in
    xz) pack=(xz -T0 -2) ;;
    zstd) pack=(zstd -q) ;;
    *) pack=("$tool") ;;
  esac
  command -v "$tool" >/dev/null || continue
  rm -rf "$work/packed"
  mkdir "$work/packed"
  for part in a b c d; do
    tar --create --directory "$work/text" . | "${pack[@]}" >"$work/packed/$part.tar.$tool"
  done
  bytes=$((4 * $(tar --create --directory "$work/text" . | wc -c)))
  unset first
  report "scan in 4 .tar.$tool (unpacked bytes)" "$engine" scan "${maps[@]}" "$work/packed"
done
