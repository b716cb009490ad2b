# phasesplit for users with nixpkgs: its programs as packages, and the splitter with its engine at hand.
#
# pkgs    nixpkgs for the machine that builds and runs
# source  this repository
{ pkgs, source }:
let
  inherit (pkgs) lib;
  cargoOf = folder: (builtins.fromTOML (builtins.readFile (folder + "/Cargo.toml"))).package;
  cargo = cargoOf source;

  common = {
    inherit (cargo) version;
    src = source;
    cargoLock.lockFile = source + "/Cargo.lock";
    # They build packages, for which there is no Nix inside a build.
    doCheck = false;
    meta = {
      inherit (cargo) description;
      license = lib.licenses.mit;
    };
  };

  engineSource = builtins.path {
    name = "phasesplit-state-source";
    path = source + "/engine";
    filter = path: _type: !builtins.elem (baseNameOf path) [ "tests" "fuzz" "target" ];
  };

  # Static on Linux, because it runs in builds that may have no C library, and its path is part of every state's.
  forEngine = if pkgs.stdenv.hostPlatform.isLinux then pkgs.pkgsStatic else pkgs;
  phasesplit-state = forEngine.rustPlatform.buildRustPackage (
    common
    // {
      pname = "phasesplit-state";
      inherit (cargoOf engineSource) version;
      # Nothing else of this repository: a release that leaves the engine alone leaves its path alone.
      src = engineSource;
      cargoLock.lockFile = engineSource + "/Cargo.lock";
      meta = common.meta // { mainProgram = "phasesplit-state"; };
    }
  );
  engine = "${phasesplit-state}/bin/phasesplit-state";

  phasesplit = pkgs.rustPlatform.buildRustPackage (
    common
    // {
      pname = "phasesplit";
      cargoBuildFlags = [ "--bin" "phasesplit" ];
      # Read by build.rs.
      env.PHASESPLIT_STATE_BIN = engine;
      meta = common.meta // { mainProgram = "phasesplit"; };
    }
  );

  split = arguments: import ./. ({ engines.${pkgs.stdenv.hostPlatform.system} = engine; } // arguments);

  shell = pkgs.mkShell {
    inputsFrom = [ phasesplit ];
    packages = [
      pkgs.cargo-deny
      pkgs.clippy
      pkgs.rustfmt
      pkgs.shellcheck
    ];
  };
in
{
  inherit phasesplit phasesplit-state split shell;
  # For the overlay: `pkgs.phasesplitPackage pkgs.hello`.
  phasesplitPackage = package: split { inherit package; };
}
