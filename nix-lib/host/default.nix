# The host package set: packages built with the machine's own toolchain, for machines without nixpkgs.
#
# Owns: which packages exist and how they find each other.
# Must not know: anything of phasesplit; to it this is a package set like nixpkgs.
#
# `import ./. { }` gives the set. Nix must let builds see the toolchain, see README.md beside this file.
{
  system ? builtins.currentSystem,
  # Accepted so that calls written for nixpkgs work; only `rust` is read (README.md).
  config ? { },
  overlays ? [ ],
}:
let
  lib = import ./lib;

  packages = final: {
    inherit lib system config;
    pkgs = final;
    path = ./.;

    callPackage = lib.callPackageWith final;
    callPackages = final.callPackage;
    newScope = extra: lib.callPackageWith (final // extra);

    stdenv = import ./stdenv.nix {
      inherit lib system;
      inherit (final) cc;
      bash = final.hostBash;
    };
    stdenvNoCC = import ./stdenv.nix {
      inherit lib system;
      cc = null;
      bash = final.hostBash;
    };
    gccStdenv = final.stdenv;
    inherit (final.stdenv) hostPlatform buildPlatform targetPlatform;
    stdenvPlatform = final.stdenv.hostPlatform;

    hostTool = import ./host-tool.nix { inherit lib system; };
    makeSetupHook = import ./make-setup-hook.nix { inherit lib system; };
    hostBash = final.hostTool { name = "bash"; programs = [ "bash" "sh" ]; };
    bash = final.hostBash;
    bashNonInteractive = final.hostBash;
    runtimeShell = "/bin/bash";
    buildPackages = final;
    pkgsBuildBuild = final;
    pkgsBuildHost = final;
    pkgsHostTarget = final;
    targetPackages = final;
    emptyFile = final.writeText "empty-file" "";

    inherit (final.callPackage ./fetchers { })
      fetchurl
      fetchzip
      fetchFromGitHub
      fetchpatch
      ;
    inherit (final.callPackage ./trivial-builders.nix { })
      runCommand
      runCommandCC
      runCommandLocal
      symlinkJoin
      writeScript
      writeScriptBin
      writeShellScript
      writeShellScriptBin
      writeShellApplication
      writeText
      writeTextDir
      writeTextFile
      ;
  };

  base = final: packages final // import ./tools final // import ./rust final // import ./python final;
  extend = builtins.foldl' (f: overlay: lib.extends overlay f) base overlays;
in
lib.fix (
  final:
  extend final
  // {
    appendOverlays = more: import ./. { inherit system config; overlays = overlays ++ more; };
    extend = overlay: final.appendOverlays [ overlay ];
  }
)
