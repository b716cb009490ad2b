# `rustPlatform.buildRustPackage`: mkDerivation with the four cargo hooks.
#
# The crates: `cargoDeps`, a directory (or archive) as `cargo vendor` makes it, or `cargoVendorDir`, where it lies in
# the sources.
{
  lib,
  stdenv,
  rustPlatform,
  cargo,
}:
let
  ownArguments = [
    "auditable"
    "buildFeatures"
    "buildNoDefaultFeatures"
    "cargoHash"
    "cargoLock"
    "cargoSha256"
    "checkFeatures"
    "checkNoDefaultFeatures"
    "depsExtraArgs"
    "useNextest"
  ];
  build =
    args:
    let
      hasCrates = args ? cargoDeps || args ? cargoVendorDir || (args.cargoLock or null) == { };
      buildType = args.buildType or "release";
    in
    if !hasCrates then
      throw "${args.pname or args.name}: the host package set builds cargo packages from vendored crates only; run `cargo vendor DIR` and give cargoDeps = DIR"
    else
      removeAttrs args ownArguments
      // {
        nativeBuildInputs = (args.nativeBuildInputs or [ ]) ++ [
          rustPlatform.cargoSetupHook
          rustPlatform.cargoBuildHook
          rustPlatform.cargoInstallHook
          rustPlatform.cargoCheckHook
          cargo
        ];
        strictDeps = args.strictDeps or true;
        doCheck = args.doCheck or true;
        cargoBuildType = buildType;
        cargoCheckType = args.checkType or buildType;
        cargoBuildFeatures = args.buildFeatures or [ ];
        cargoBuildNoDefaultFeatures = args.buildNoDefaultFeatures or false;
        cargoCheckFeatures = args.checkFeatures or args.buildFeatures or [ ];
        cargoCheckNoDefaultFeatures = args.checkNoDefaultFeatures or args.buildNoDefaultFeatures or false;
        meta = {
          platforms = lib.platforms.all;
        }
        // args.meta or { };
      };
in
fnOrArgs: stdenv.mkDerivation (final: build (if builtins.isFunction fnOrArgs then fnOrArgs final else fnOrArgs))
