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

  # Programs of the machine, for package sets that have no package of them. Nix's
  # sandbox-paths show them to the build: /usr, and /rust where a toolchain lies
  # elsewhere, see README.md.
  machineTool =
    name: programs:
    pkgs.stdenv.mkDerivation {
      name = "machine-${name}";
      inherit programs;
      dontUnpack = true;
      dontFixup = true;
      installPhase = ''
        mkdir -p "$out/bin"
        for program in $programs; do
          for dir in /rust/bin /usr/bin; do
            if [[ -x $dir/$program ]]; then
              ln -s "$dir/$program" "$out/bin/$program"
              break
            fi
          done
          if [[ ! -L $out/bin/$program ]]; then
            echo "the machine has no $program" >&2
            exit 1
          fi
        done
      '';
    };
  rust = machineTool "rust" [
    "cargo"
    "rustc"
  ];

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
    cargo = pkgs.cargo or rust;
    rustc = pkgs.rustc or rust;
    python3 = pkgs.python3 or (machineTool "python3" [ "python3" ]);
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
