# shellcheck shell=bash
# A package's own builder script, as ../lib/default.nix gives it to the splitter.
# shellcheck source=/dev/null disable=SC2154
source "$stdenv/setup"
configureFlags="$configureFlags $installFlags"
genericBuild
