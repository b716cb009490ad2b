# The real packages: upstream sources, expressions as a nixpkgs maintainer would
# write them, one file each. fetch.sh puts their sources into the store.
#
# Owns: which packages there are, and how they get at their sources.
# Must not know: phasesplit.
{
  pkgs,
}:
let
  inherit (pkgs) lib;

  # A source that fetch.sh has put into the store: the path that the package set's
  # own fetchurl would give it, valid before anything could want to build it. This
  # one needs no mirrors, and says what to do where the source is missing.
  fetched =
    {
      name,
      hash,
      mode,
    }:
    derivation {
      inherit name;
      inherit (pkgs.stdenv.hostPlatform) system;
      builder = "/bin/sh";
      args = [
        "-c"
        "echo 'the source ${name} is missing: run tests/nix/real/fetch.sh' >&2; exit 1"
      ];
      outputHashMode = mode;
      outputHashAlgo = "sha256";
      outputHash = hash;
    };

  extra = {
    fetchurl =
      { url, hash }:
      fetched {
        name = baseNameOf url;
        inherit hash;
        mode = "flat";
      };
    fetchCargoVendor =
      {
        pname,
        version,
        hash,
      }:
      fetched {
        name = "${pname}-${version}-vendor";
        inherit hash;
        mode = "recursive";
      };
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
