#!/usr/bin/env bash
# bench-mentions ENGINE TREE…: what the search for readers of held-back attributes says of source trees that other people
# wrote. For each tree, which names of nix-lib/scopes.nix (and some that packages may have of their own) count as read,
# which file may read every variable, and which lists are reported without proof; at the end, the sums and the time.
#
# A name that counts costs a package that has it a refusal, so each one should be a true reader. Nothing is downloaded:
# give directories of unpacked sources.
set -eu

engine=$1
shift
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

sed -n 's/^    \([A-Za-z_][A-Za-z0-9_]*\) = ".*";$/\1/p' "$top/nix-lib/scopes.nix" >"$scratch/names"
printf '%s\n' releaseChannel buildNumber manualFormat docTarget extraModules pluginList featureFlags targetArch gitRevision \
  versionSuffix wrapperName iconSize themeName dataDir localeList testFilter sampleData vendorName binaryName modeFlags \
  >>"$scratch/names"

trees=0 names=0 all=0 unproven=0 began=$(date +%s%N)
for tree in "$@"; do
  tree=${tree%/} trees=$((trees + 1))
  name=${tree##*/}
  "$engine" mentions --build-dir "$tree" --names "$scratch/names" --all >"$scratch/found" || exit
  computed=''
  declare -A read=() named=()
  while IFS= read -r -d '' key && IFS= read -r -d '' text; do
    case $key in
      /computed) computed=$text ;;
      /all) all=$((all + 1)); printf '%s: every variable: %s\n' "$name" "$text" ;;
      /unproven/*) unproven=$((unproven + 1)); printf '%s: not proven: %s: %s\n' "$name" "${key#/unproven/}" "$text" ;;
      /named/*) named[${key#/named/}]=$text ;;
      *) read[$key]=$text ;;
    esac
  done <"$scratch/found"
  # As the runtime counts them.
  if [[ -n $computed ]]; then
    for key in "${!named[@]}"; do
      [[ -n ${read[$key]-} ]] || read[$key]="${named[$key]} (by name, for $computed)"
    done
  fi
  for key in "${!read[@]}"; do printf '%s: %s: %s\n' "$name" "$key" "${read[$key]}"; done | sort
  names=$((names + ${#read[@]}))
done
printf '%d trees, %d names read, %d read every variable, %d lists not proven, %d ms\n' "$trees" "$names" "$all" "$unproven" \
  $((($(date +%s%N) - began) / 1000000))
