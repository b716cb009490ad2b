#!/usr/bin/env bash
# What an image of a closure costs, against buildah and tar|gzip, in one run: the first image, the next one with one path
# changed, and the same again.
#
# buildah makes a layer of all paths from scratch and commits it to a layout, which needs no container. What it and
# tar|gzip know no shorter way for costs them as much as the first image.
#
# variables:
#   PHASESPLIT_BENCH_TREE     the largest path of the closure (default: the C compiler's directory)
#   PHASESPLIT_BENCH_PARTS    how many smaller paths there are besides (default 20, of 1 MB each)
#   PHASESPLIT_BENCH_ROUNDS   how often each thing is measured; the median counts (default 3)
#   PHASESPLIT                the program (default: the one that `make build` builds)
#   TMPDIR                    where images lie (default: /dev/shm, if it has 4 GB)
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/nix-env.sh
. scripts/nix-env.sh
rounds=${PHASESPLIT_BENCH_ROUNDS:-3}
parts=${PHASESPLIT_BENCH_PARTS:-20}
tree=${PHASESPLIT_BENCH_TREE:-$(dirname -- "$(gcc -print-prog-name=cc1)")}
program=${PHASESPLIT:-$PWD/target/release/phasesplit}
say() { printf 'bench-image: %s\n' "$1" >&2; }
[[ -x $program ]] || { say "$program is missing: run make build first"; exit 4; }
if [[ ! ${TMPDIR:-} ]] && (($(df --output=avail -BG /dev/shm 2>/dev/null | tail -n 1 | tr -dc 0-9 | sed 's/^$/0/') >= 4)); then
  TMPDIR=/dev/shm
fi
export TMPDIR=${TMPDIR:-/tmp}
work=$(mktemp -d)
results=$work/results
added=()

clean() {
  chmod -R u+w -- "$work"
  rm -rf -- "$work"
  nix-store --delete "${added[@]}" >/dev/null 2>&1 || true
}
trap clean EXIT

# add NAME: puts the directory of this name into the store; its path in REPLY.
add() {
  REPLY=$(nix-store --add "$work/$1")
  added+=("$REPLY")
  rm -rf -- "${work:?}/$1"
}

# The program, which $1 makes another one, and on top a path that needs it and all others.
top() {
  local path text
  mkdir "$work/top"
  head -c 3000000 "$program" >"$work/top/program"
  printf '%s\n' "$1" >>"$work/top/program"
  add top
  paths=("$REPLY" "${below[@]}")
  # shellcheck disable=SC2016 # for Nix to expand
  text=$(for path in "${paths[@]}"; do printf '${builtins.storePath "%s"} ' "$path"; done)
  package=$(nix-instantiate --eval --read-write-mode --json -E "builtins.toFile \"package\" \"$text\"" | tr -d '"')
  paths+=("$package")
  added=("$package" "${added[@]}")
}

with_phasesplit() {
  "$program" image "$package" "$work/$who" --compression "$1"
}
with_buildah() {
  local path id
  id=$(buildah "${storage[@]}" from scratch)
  for path in "${paths[@]}"; do buildah "${storage[@]}" add --quiet "$id" "$path" "$path"; done
  buildah "${storage[@]}" commit --quiet --rm --disable-compression=false "$id" "oci:$work/$who:latest"
}
with_tar() { tar -C / --sort=name --owner=0 --group=0 -cf - "${paths[@]#/}" | gzip -6 >"$work/$who/$1.tar.gz"; }

# measure WHAT WHO COMMAND…: wall and CPU seconds of a command, and by how many bytes the directory of WHO grew.
measure() {
  local what=$1 before TIMEFORMAT='%R %U %S'
  who=$2
  shift 2
  mkdir -p -- "$work/$who"
  before=$(du -sb -- "$work/$who" | cut -f 1)
  { time "$@" >"$work/log" 2>&1; } 2>"$work/line" || { cat "$work/log" >&2; exit 3; }
  printf '%s %s %s %s\n' "$what" "$who" "$(cat "$work/line")" "$(($(du -sb -- "$work/$who" | cut -f 1) - before))" >>"$results"
}

each() {
  measure "$1" phasesplit with_phasesplit gzip
  measure "$1" phasesplit-zstd with_phasesplit zstd
  if ((${#storage[@]})); then measure "$1" buildah with_buildah; fi
  measure "$1" tar-gzip with_tar "$1"
}

storage=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
command -v buildah >/dev/null || { say 'buildah is not installed: left out'; storage=(); }
cp -r --no-preserve=ownership -- "$tree" "$work/tree"
add tree
below=("$REPLY")
for ((part = 0; part < parts; part++)); do
  mkdir "$work/part-$part"
  # It shrinks to three quarters.
  head -c 750000 /dev/urandom | base64 >"$work/part-$part/data"
  add "part-$part"
  below+=("$REPLY")
done
say "$(du -cs -BM -- "${below[@]}" | tail -n 1 | cut -f 1)B in $((parts + 3)) store paths, $(nproc) cores, load $(cut -d ' ' -f 1 /proc/loadavg)"
for ((round = 1; round <= rounds; round++)); do
  rm -rf -- "$work"/{phasesplit,phasesplit-zstd,buildah,tar-gzip,storage,run}
  top "$round"
  each first
  top "$round, changed"
  each changed
  each unchanged
done

# Medians, and what they are to buildah's and to those of tar|gzip.
sort -s -k 1,2 -- "$results" | awk '
  function median(values, sorted, n, i, j, v) {
    n = split(values, sorted, " ")
    for (i = 2; i <= n; i++) {
      v = sorted[i] + 0
      for (j = i - 1; j > 0 && sorted[j] + 0 > v; j--) sorted[j + 1] = sorted[j]
      sorted[j + 1] = v
    }
    return n % 2 ? sorted[(n + 1) / 2] + 0 : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
  }
  function ratio(what, one, other) {
    if (!((what, one) in wall) || !((what, other) in wall)) return
    printf "%-10s %-30s wall %.3f  cpu %.3f", what, one " : " other, wall[what, one] / wall[what, other], cpu[what, one] / cpu[what, other]
    if (bytes[what, one] > 0 && bytes[what, other] > 0) printf "  bytes %.3f", bytes[what, one] / bytes[what, other]
    printf "\n"
  }
  { walls[$1, $2] = walls[$1, $2] " " $3; cpus[$1, $2] = cpus[$1, $2] " " ($4 + $5); sizes[$1, $2] = sizes[$1, $2] " " $6 }
  END {
    n = split("first changed unchanged", what, " ")
    m = split("phasesplit phasesplit-zstd buildah tar-gzip", who, " ")
    printf "%-10s %-16s %8s %8s %14s\n", "image", "who", "wall s", "cpu s", "bytes written"
    for (i = 1; i <= n; i++) for (j = 1; j <= m; j++) if ((what[i], who[j]) in walls) {
      wall[what[i], who[j]] = median(walls[what[i], who[j]])
      cpu[what[i], who[j]] = median(cpus[what[i], who[j]])
      bytes[what[i], who[j]] = median(sizes[what[i], who[j]])
      printf "%-10s %-16s %8.2f %8.2f %14d\n", what[i], who[j], wall[what[i], who[j]], cpu[what[i], who[j]], bytes[what[i], who[j]]
    }
    printf "\nratios\n"
    for (i = 1; i <= n; i++) for (j = 3; j <= 4; j++) for (k = 1; k <= 2; k++) ratio(what[i], who[k], who[j])
  }'
