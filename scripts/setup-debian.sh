#!/usr/bin/env bash
# Installs what phasesplit's build, demo and tests need and this machine lacks.
#
# On Debian (or a system made from it), as root or with sudo, it installs packages; anywhere else it lists what is
# missing and fails. A Nix that is there already is not touched: its settings, its store and who owns it stay. Does
# nothing, quickly, where nothing is missing.
#
# usage: scripts/setup-debian.sh [--for-tests]      with what only some tests use; that this is not to be had is no failure
set -euo pipefail

# Oldest Rust that builds the crate: rust-version in Cargo.toml.
rust_minor=$(sed -n 's/^rust-version = "1\.\([0-9]*\)".*/\1/p' "$(dirname "$0")/../Cargo.toml")
rust_hint="Rust 1.$rust_minor or newer with cargo (https://rustup.rs; not installed from here)"

# program:Debian package. A program that is on PATH needs no package.
programs=(
  gcc:gcc g++:g++ make:make cmake:cmake ninja:ninja-build meson:meson autoconf:autoconf automake:automake
  libtoolize:libtool m4:m4 pkg-config:pkg-config patch:patch bison:bison flex:flex msgfmt:gettext makeinfo:texinfo
  file:file patchelf:patchelf perl:perl xz:xz-utils zstd:zstd bzip2:bzip2 unzip:unzip zip:zip curl:curl git:git
  jq:jq python3:python3 shellcheck:shellcheck
)
# What only some tests use, which say that they are skipped where it is not to be had.
for_tests=(umoci:umoci skopeo:skopeo podman:podman fusermount3:fuse3 bwrap:bubblewrap openssl:openssl strace:strace)
# Python module:Debian package, for the packages that build with PEP 517.
modules=(pip:python3-pip setuptools:python3-setuptools wheel:python3-wheel build:python3-build installer:python3-installer)

missing_programs=()
missing_packages=()

look() {
  local entry
  missing_programs=()
  missing_packages=()
  for entry in "${programs[@]}"; do
    if ! command -v "${entry%%:*}" >/dev/null; then
      missing_programs+=("${entry%%:*}")
      missing_packages+=("${entry##*:}")
    fi
  done
  for entry in "${modules[@]}"; do
    # Builds see /usr, so it is the Python there that must have them, whatever is first on PATH.
    if ! /usr/bin/python3 -I -c "import ${entry%%:*}" 2>/dev/null; then
      missing_programs+=("the Python module ${entry%%:*}")
      missing_packages+=("${entry##*:}")
    fi
  done
  # Extension modules in C; Debian's python3 comes without the headers.
  if ! [ -f "$(/usr/bin/python3 -I -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null)/Python.h" ]; then
    missing_programs+=('the C headers of Python')
    missing_packages+=(python3-dev)
  fi
  # The static engine needs the C library as an archive; Debian ships it with the headers.
  if command -v gcc >/dev/null && [ "$(gcc -print-file-name=libc.a)" = libc.a ]; then
    missing_programs+=("the static C library")
    missing_packages+=(libc6-dev)
  fi
  if ! command -v nix-build >/dev/null; then
    missing_programs+=(nix-build)
    missing_packages+=(nix-bin)
  fi
}

# Tests start an sshd and an nginx of their own. Debian's packages would start one for the whole machine, now and after every
# boot, so only their files are taken, below target/. Where they cannot be had nothing is wrong: those tests say that they are
# skipped.
fetch_servers() {
  if command -v ssh >/dev/null; then fetch_server sshd openssh-server libwrap0; fi
  fetch_server nginx nginx
}

# usage: fetch_server PROGRAM PACKAGE…
fetch_server() {
  local program=$1 place directory deb
  place=$(realpath -m "$(dirname "$0")/../target/$program")
  if [ -x "/usr/sbin/$program" ] || [ -e "$place" ] || ! command -v apt-get >/dev/null; then return; fi
  directory=$(mktemp -d)
  if (cd "$directory" && apt-get download -q "${@:2}" >&2 &&
    for deb in *.deb; do dpkg-deb --extract "$deb" files || exit; done); then
    mkdir -p "$(dirname "$place")"
    mv "$directory/files" "$place"
  else
    printf 'setup: %s is not to be had; the tests that start it will be skipped\n' "$program" >&2
  fi
  rm -rf "$directory"
}

# Rust is not installed from here: Debian 12's is too old, and a toolchain is a choice of the user's.
rust_is_good() {
  local minor
  minor=$(rustc --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\).*/\1/p')
  command -v cargo >/dev/null && [ "${minor:-0}" -ge "$rust_minor" ]
}

fail() {
  printf 'setup: %s\n' "$1" >&2
  if [ "$#" -gt 1 ]; then printf '%s\n' "${@:2}" >&2; fi
  exit 1
}

# Everything that is missing, one a line, Rust included: who has to ask an administrator asks once.
list_missing() {
  if [ "${#missing_programs[@]}" -gt 0 ]; then printf '  %s\n' "${missing_programs[@]}"; fi
  if ! rust_is_good; then printf '  %s\n' "$rust_hint"; fi
}

# Packages by name, as root.
apt_install() {
  # No recommended packages: nix-bin recommends one that sets up a daemon and its users.
  "${as_root[@]}" apt-get update -q >&2 || printf 'setup: apt-get update failed; trying with the lists at hand\n' >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2
}

install_packages() {
  if ! command -v apt-get >/dev/null; then
    fail 'this is no Debian, so nothing can be installed from here. Missing:' "$(list_missing)" \
      'Install them (Nix: https://nixos.org/download) and run this again.'
  fi
  if ! can_be_root; then
    fail 'missing:' "$(list_missing)" 'This user is neither root nor able to use sudo. As root, run:' \
      "  apt-get update && apt-get install --no-install-recommends ${missing_packages[*]}"
  fi
  printf 'setup: installing %s\n' "${missing_packages[*]}" >&2
  apt_install "${missing_packages[@]}" ||
    fail 'apt-get could not install:' "  ${missing_packages[*]}"
}

install_for_tests() {
  local entry packages=()
  for entry in "${for_tests[@]}"; do
    command -v "${entry%%:*}" >/dev/null || packages+=("${entry##*:}")
  done
  if [ "${#packages[@]}" = 0 ]; then return; fi
  if command -v apt-get >/dev/null && can_be_root && apt_install "${packages[@]}"; then return; fi
  printf 'setup: not to be had: %s; the tests that use them will be skipped\n' "${packages[*]}" >&2
}

# Sets as_root to what goes before a command that only root may run.
as_root=()
can_be_root() {
  as_root=()
  if [ "$(id -u)" = 0 ]; then return; fi
  as_root=(sudo)
  # sudo can ask for a password only where somebody sits at a terminal.
  command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }
}

# Nix itself says whether this user can write to the store: it may be the user's, a daemon's, or elsewhere by
# NIX_REMOTE. Creates what an empty /nix lacks and adds a file of one word, as a build would.
open_store() {
  (
    # shellcheck source=scripts/nix-env.sh
    . "$(dirname "$0")/nix-env.sh"
    nix-instantiate --eval --read-write-mode -E 'builtins.toFile "phasesplit-setup" "works"' 2>&1
  )
}

# Nix's single-user installation, where nobody has made another: an empty /nix that belongs to its user. One that is
# there is somebody's and stays as it is.
check_store() {
  local why
  if why=$(open_store); then return; fi
  if [ ! -e /nix ] && [ "$(id -u)" != 0 ] && can_be_root; then
    printf 'setup: making /nix, the store of %s\n' "$(id -un)" >&2
    "${as_root[@]}" install -d -m 0755 -o "$(id -u)" -g "$(id -g)" /nix
    if why=$(open_store); then return; fi
  fi
  if [ ! -e /nix ]; then
    fail 'there is no Nix store yet. As root, make an empty one that is yours, and run this again:' \
      "  install -d -m 0755 -o $(id -un) -g $(id -gn) /nix"
  fi
  fail "this user cannot use the Nix store, and what is there is left alone (/nix belongs to $(stat -c %U /nix))." \
    "  $why" 'Run this as that user, or let a Nix daemon serve the store (on Debian: apt-get install nix-setup-systemd).'
}

look
if [ "${#missing_packages[@]}" -gt 0 ]; then
  install_packages
  look
  if [ "${#missing_packages[@]}" -gt 0 ]; then fail 'still missing after the installation:' "$(list_missing)"; fi
fi
if ! rust_is_good; then fail 'missing:' "$(list_missing)"; fi
check_store
if [ "${1:-}" = --for-tests ]; then
  install_for_tests
  fetch_servers
fi
