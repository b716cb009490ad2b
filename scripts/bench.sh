#!/usr/bin/env bash
# Split against unsplit on a real package, in one run, as ratios: cold build, edit of postInstall, gen, evaluation.
# usage: bench.sh [PACKAGE] [ROUNDS]     (a package of tests/nix/real; default: ninja, 1 round)
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
root=$PWD
package=${1:-ninja}
rounds=${2:-1}
# shellcheck source=scripts/nix-env.sh
. scripts/nix-env.sh
phasesplit=$root/target/release/phasesplit
[[ -x $phasesplit ]] || { echo "bench: $phasesplit is missing: run make first" >&2; exit 4; }
status=$(bash tests/nix/real/fetch.sh "$package")
if [[ $status != *'"state":"available"'* ]]; then
  echo "bench: the source of $package is not to be had here: $status" >&2
  exit 4
fi

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd -- "$work"

# $1: attributes on top of the package
write_package() {
  printf '{ pkgs }: (import %s/tests/nix/real { inherit pkgs; }).%s.overrideAttrs (old: { %s })\n' "$root" "$package" "$1" >pkg.nix
}

# Runs a command; its wall time in microseconds in REPLY.
timed() {
  local start=$EPOCHREALTIME
  "$@" >out.log 2>&1 || { cat out.log >&2; exit 3; }
  local end=$EPOCHREALTIME
  REPLY=$((${end/./} - ${start/./}))
}

# The least of n runs.
least_of() {
  local n=$1 best='' i
  shift
  for ((i = 0; i < n; i++)); do
    timed "$@"
    if [[ -z $best ]] || ((REPLY < best)); then best=$REPLY; fi
  done
  REPLY=$best
}

# $1: what, $2: split, $3: unsplit, both in microseconds
row() {
  awk -v what="$1" -v a="$2" -v b="$3" 'BEGIN { printf "%-34s %10.3f s %10.3f s   ratio %.3f\n", what, a / 1e6, b / 1e6, a / b }'
}

split() { nix-build split.nix --no-out-link; }
unsplit() { nix-build split.nix -A unsplit --no-out-link; }

printf '%s, %s cores\n%-34s %12s %12s\n' "$package" "$(nproc)" '' split unsplit
# What both need (sources, tools, hooks) is built before the clock starts.
write_package "salt = \"$(date +%s%N)\";"
"$phasesplit" gen pkg.nix --pkgs host >split.nix 2>/dev/null
timed nix-build split.nix -A phases.unpack --no-out-link

for ((round = 0; round < rounds; round++)); do
  salt=$(date +%s%N)
  write_package "salt = \"$salt\";"
  timed unsplit; cold_unsplit=$REPLY
  timed split; cold_split=$REPLY
  row 'cold build' "$cold_split" "$cold_unsplit"
  write_package "salt = \"$salt\"; postInstall = (old.postInstall or \"\") + \"\\n: $salt\\n\";"
  timed split; edit_split=$REPLY
  timed unsplit; edit_unsplit=$REPLY
  row 'postInstall edited' "$edit_split" "$edit_unsplit"
done

least_of 10 nix-instantiate split.nix; eval_split=$REPLY
least_of 10 nix-instantiate split.nix -A unsplit; eval_inner=$REPLY
printf '{ pkgs ? %s }: pkgs.callPackage ./pkg.nix { }\n' "$(sed -n 's/^ *pkgs ? \(.*\),$/\1/p' split.nix | head -n 1)" >unsplit.nix
least_of 10 nix-instantiate unsplit.nix; eval_unsplit=$REPLY
row 'evaluation, of the package' "$eval_split" "$eval_unsplit"
row 'evaluation, of split.nix -A unsplit' "$eval_split" "$eval_inner"
least_of 20 "$phasesplit" gen pkg.nix --pkgs host
awk -v a="$REPLY" 'BEGIN { printf "%-34s %10.1f ms\n", "gen alone", a / 1e3 }'
