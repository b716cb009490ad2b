# `rustPlatform`: cargo packages with vendored crates, by the machine's Rust.
#
# The toolchain is looked for in the directory `config.rust` (default /rust, which the README says how to put into the
# sandbox) and then on PATH. Nothing is downloaded: crates come as a directory.
final:
let
  inherit (final) lib makeSetupHook;
  toolchain = makeSetupHook {
    name = "rust-toolchain-hook";
    substitutions.toolchain = final.config.rust or "/rust";
  } ./hooks/rust-toolchain.sh;
  hook =
    name:
    makeSetupHook {
      inherit name;
      propagatedBuildInputs = [ toolchain ];
      substitutions.target = final.stdenv.hostPlatform.rust.rustcTarget;
    } (./hooks + "/${name}.sh");
in
{
  cargo = toolchain;
  rustc = toolchain;
  rustPlatform = {
    cargoSetupHook = hook "cargo-setup-hook";
    cargoBuildHook = hook "cargo-build-hook";
    cargoCheckHook = hook "cargo-check-hook";
    cargoInstallHook = hook "cargo-install-hook";
    buildRustPackage = import ./build-rust-package.nix {
      inherit lib;
      inherit (final) stdenv rustPlatform cargo;
    };
    rust = { inherit (final) cargo rustc; };
    fetchCargoVendor = _: throw ''
      the host package set does not download crates: run `cargo vendor DIR` and give cargoDeps = DIR'';
    importCargoLock = final.rustPlatform.fetchCargoVendor;
  };
}
