# The real packages: upstream sources, expressions as a nixpkgs maintainer would
# write them, one file each. fetch.sh puts their sources into the store.
#
# Owns: which packages there are, and what a package set may lack for them.
# Must not know: phasesplit.
{
  pkgs,
}:
let
  inherit (pkgs) lib;

  # Where the build sees the machine's cargo and rustc, when the package set has
  # none: Nix's sandbox-paths name it, see README.md.
  rustToolchain = pkgs.stdenv.mkDerivation {
    name = "machine-rust";
    dontUnpack = true;
    installPhase = ''
      mkdir -p "$out/bin"
      for tool in cargo rustc; do
        for dir in /rust/bin /usr/bin; do
          if [ -x "$dir/$tool" ]; then
            ln -s "$dir/$tool" "$out/bin/$tool"
            break
          fi
        done
      done
      [ -e "$out/bin/cargo" ] && [ -e "$out/bin/rustc" ]
    '';
    dontFixup = true;
  };

  extra = {
    # The machine-wide vendor directory that fetch.sh makes: a derivation that is
    # valid before it could ever run.
    fetchCargoVendor =
      {
        pname,
        version,
        hash,
      }:
      derivation {
        name = "${pname}-${version}-vendor";
        inherit (pkgs.stdenv.hostPlatform) system;
        builder = "/bin/sh";
        args = [
          "-c"
          "echo 'run tests/nix/real/fetch.sh ${pname} first' >&2; exit 1"
        ];
        outputHashMode = "recursive";
        outputHashAlgo = "sha256";
        outputHash = hash;
      };
    cargo = pkgs.cargo or rustToolchain;
    rustc = pkgs.rustc or rustToolchain;
  };

  call = lib.callPackageWith (pkgs // extra);
in
lib.genAttrs [
  "coverage"
  "hello"
  "hexyl"
  "jq"
  "lua"
  "ninja"
  "pkgconf"
  "xz"
  "zlib"
] (name: call (./. + "/${name}.nix") { })
