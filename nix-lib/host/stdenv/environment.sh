# shellcheck shell=bash
# What every build gets whatever its inputs are.

# The machine's programs. Nix itself gives PATH=/path-not-set.
# shellcheck disable=SC2123  # emptied on purpose, inputs.sh fills it
if [[ -z ${IN_NIX_SHELL:-} || $PATH == /path-not-set ]]; then PATH=""; fi
_machinePath="/usr/bin:/bin:/usr/sbin:/sbin"
export HOST_PATH=""

export TZ=UTC
# Programs that embed the time embed this one; after unpacking it is the sources' (source-date.sh).
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-315532800}"
# Python puts neither its hash seed nor times into what it compiles.
export PYTHONHASHSEED="${PYTHONHASHSEED:-0}" DETERMINISTIC_BUILD=1
: "${NIX_BUILD_TOP:=$PWD}" "${TMPDIR:=$NIX_BUILD_TOP}"
: "${NIX_STORE:=/nix/store}"

export CONFIG_SHELL="${CONFIG_SHELL:-/bin/bash}"
export SHELL=/bin/bash

# 0 means all there are.
NIX_BUILD_CORES="${NIX_BUILD_CORES:-1}"
if ((NIX_BUILD_CORES <= 0)); then NIX_BUILD_CORES="$(/usr/bin/nproc 2>/dev/null || echo 1)"; fi
export NIX_BUILD_CORES

# A build must not trust the machine's certificates, for it should not talk to anyone.
if [[ ${IN_NIX_SHELL:-} != impure ]]; then
  export NIX_SSL_CERT_FILE="${NIX_SSL_CERT_FILE:-/no-cert-file.crt}" SSL_CERT_FILE="${SSL_CERT_FILE:-/no-cert-file.crt}"
fi

: "${out:=}"
prefix="${prefix:-$out}"

# dumpVars: the environment into `env-vars`, for whoever looks into a kept build directory. It may hold secrets of
# impure variables, hence the mode.
dumpVars() {
  [[ ${noDumpEnvVars:-0} != 1 && -d $NIX_BUILD_TOP ]] || return 0
  local mask
  mask="$(umask)"
  umask 0077
  export 2>/dev/null >"$NIX_BUILD_TOP/env-vars" || true
  umask "$mask"
}
