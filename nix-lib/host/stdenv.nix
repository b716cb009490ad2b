# The standard environment: `mkDerivation` bound to our `setup`, and what packages ask of `stdenv`.
{
  lib,
  system,
  # The C compiler package, or null for an environment without one.
  cc,
  bash,
}:
let
  # `setup` reads `cc.sh` where it lies beside it, so leaving the file out is all that "no compiler" means.
  withoutCompiler = path: _type: baseNameOf path != "cc.sh";
  platform = import ./platform.nix { inherit lib system; };
  stdenv = {
    name = "stdenv-host";
    # A source directory, not a build: nothing has to run before the first package.
    outPath = builtins.path (
      {
        path = ./stdenv;
        name = if cc == null then "stdenv-host-no-cc" else "stdenv-host";
      }
      // lib.optionalAttrs (cc == null) { filter = withoutCompiler; }
    );
    shell = "/bin/bash";
    shellPackage = bash;
    inherit cc system;
    hasCC = cc != null;
    hostPlatform = platform;
    buildPlatform = platform;
    targetPlatform = platform;
    inherit (platform)
      isLinux
      isDarwin
      isBSD
      is64bit
      is32bit
      isx86_64
      isi686
      isAarch64
      isAarch32
      isRiscV64
      isBigEndian
      isLittleEndian
      ;
    extraNativeBuildInputs = [ ];
    extraBuildInputs = [ ];
    initialPath = [ ];
    allowedRequisites = null;
    mkDerivation = import ./mk-derivation.nix { inherit lib stdenv; };
    override = _: stdenv;
  };
in
stdenv
