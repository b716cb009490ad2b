# shellcheck shell=bash
# cargo and rustc on PATH, and a home for cargo that the build may write to.

addToSearchPath _inputPath "@toolchain@/bin"
export CARGO_HOME="${NIX_BUILD_TOP:?}/.cargo-home"

# _needCargo: said before the first use, for "cargo: command not found" does not help.
_needCargo() {
  if type -P cargo >/dev/null; then return 0; fi
  echo "there is no cargo here: give Nix sandbox-paths a \"@toolchain@=SYSROOT\" (rustc --print sysroot prints it)," \
    "or the package set config.rust = SYSROOT where builds are not sandboxed" >&2
  return 1
}
