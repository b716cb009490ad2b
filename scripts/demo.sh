#!/usr/bin/env bash
# Shows the gain: builds a package, edits one line of its installPhase, builds it again.
#
# demo.sh PHASESPLIT
set -euo pipefail
# A build that fails inside $(…) ends the demo.
shopt -s inherit_errexit
phasesplit=${1:?usage: demo.sh PHASESPLIT}
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/nix-env.sh
. "$here/nix-env.sh"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp -r "$here/../examples/demo/." "$scratch"
cd "$scratch"
# A source nobody has built: otherwise a second demo would reuse the states of the first from the start.
date --iso-8601=ns >src/built-for

build() {
  local start=$EPOCHREALTIME
  "$phasesplit" build pkg.nix --pkgs host --json >"$1"
  awk -v start="$start" -v end="$EPOCHREALTIME" 'BEGIN { printf "%.1f", end - start }'
}
# Numbers from the report, without a JSON reader: one "outcome" for each stage.
outcomes() { awk -v word="\"outcome\": \"$2\"" 'index($0, word) { count++ } END { print count + 0 }' "$1"; }

printf '%s\n' '== The package: pkg.nix' && cat pkg.nix
printf '\n%s\n' '== First build: nothing is there yet'
first=$(build first.json)
./result/bin/fractal

printf '\n%s\n' '== The edit: one line of installPhase'
cp pkg.nix before.nix
sed -i 's|echo "a fractal"|echo "a fractal, computed while it was compiled"|' pkg.nix
if diff before.nix pkg.nix; then
  printf 'demo: the edit changed nothing\n' >&2
  exit 1
fi

printf '\n%s\n' '== Second build'
second=$(build second.json)
cat result/share/doc/fractal/README

reused=$(($(outcomes second.json reused) + $(outcomes second.json not-needed)))
built=$(outcomes second.json built)
printf '\n%s\n' "== The gain
first build           $first s
after the edit        $second s
stages reused         $reused
stages built again    $built"
