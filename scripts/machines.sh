#!/usr/bin/env bash
# Makes the other machines of `make test-machines`: two Debian systems below target/machines, each with a Nix of its own and
# sshd, but no compiler (the tests give every machine the same one). One that is there is left as it is.
#
# Owns: where they lie, and what is in them. Must not know: what the tests do there.
#
# Needs root (or sudo), debootstrap and a Debian mirror: the one that apt uses here. Where these cannot be had it says so and
# fails; the tests are then skipped.
#
# usage: scripts/machines.sh [SUITE…]      default: trixie (Nix 2.26) and sid (Nix 2.34)
set -euo pipefail

# libdbi-perl: debootstrap does not see that nix-bin needs it before it can be configured.
packages=libdbi-perl,nix-bin,openssh-server,openssh-client,ca-certificates
place=$(realpath -m "$(dirname "$0")/../target/machines")

fail() {
  printf 'machines: %s\n' "$1" >&2
  exit 1
}

# The mirror of the system's own packages.
mirror() {
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(SITE) $(ORIGIN) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
    awk '$2 == "Debian" && $3 == "Debian" && !site { site = $1 } END { print site }'
}

get_debootstrap() {
  if command -v debootstrap >/dev/null; then return; fi
  command -v apt-get >/dev/null || fail 'there is no debootstrap, and this is no Debian'
  { "${as_root[@]}" apt-get update -q && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
    --no-install-recommends debootstrap; } >&2 || fail 'debootstrap is not to be had'
}

# Made beside its place: what is there is whole.
make_machine() {
  local suite=$1 site=$2 new=$place/$1.new start=$SECONDS
  "${as_root[@]}" rm -rf "$new"
  "${as_root[@]}" mkdir -p "$new"
  if ! "${as_root[@]}" debootstrap --variant=minbase --include="$packages" "$suite" "$new" "$site" >"$place/$suite.log" 2>&1
  then
    tail -n 5 "$place/$suite.log" >&2
    fail "$suite cannot be made; $place/$suite.log has all of it"
  fi
  # Downloads, and words for people: half of the size.
  "${as_root[@]}" rm -rf "$new"/var/{cache/apt,lib/apt/lists} "$new"/usr/share/{doc,man,locale,info}
  "${as_root[@]}" mkdir -p "$new/nix"
  "${as_root[@]}" mv "$new" "$place/$suite"
  printf 'machines: %s is made, in %d s\n' "$suite" "$((SECONDS - start))" >&2
}

as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! sudo -n true 2>/dev/null && ! [ -t 0 ]; then fail 'only root can make another system'; fi
  as_root=(sudo)
fi
if [ "$#" = 0 ]; then set -- trixie sid; fi
wanted=()
for suite; do
  if ! [ -d "$place/$suite" ]; then wanted+=("$suite"); fi
done
if [ "${#wanted[@]}" = 0 ]; then exit 0; fi
mkdir -p "$place"
get_debootstrap
site=$(mirror)
[ -n "$site" ] || fail "apt knows no mirror of Debian's"
# At once: each is mostly waiting, for the mirror or for the disk.
running=()
for suite in "${wanted[@]}"; do
  make_machine "$suite" "$site" &
  running+=($!)
done
result=0
for each in "${running[@]}"; do wait "$each" || result=1; done
exit "$result"
