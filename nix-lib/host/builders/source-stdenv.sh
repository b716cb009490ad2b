# shellcheck shell=bash
# The first script of every derivation: attributes, standard environment, then the builder script "$1".

if [[ -f ${NIX_ATTRS_SH_FILE:-} ]]; then
  # shellcheck source=/dev/null
  source "$NIX_ATTRS_SH_FILE"
elif [[ -f .attrs.sh ]]; then
  # Nix 2.8 names the files by their place outside the sandbox.
  export NIX_ATTRS_SH_FILE="$PWD/.attrs.sh" NIX_ATTRS_JSON_FILE="$PWD/.attrs.json"
  # shellcheck source=/dev/null
  source ./.attrs.sh
fi

# shellcheck source=/dev/null
source "${stdenv:?}/setup"
# shellcheck source=/dev/null
source "${1:?the builder script is missing}"
