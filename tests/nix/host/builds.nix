# Packages that are really built, each checking itself in its install check. `nix-build builds.nix` builds all.
{
  host ? ../../../nix-lib/host,
  config ? { },
}:
let
  pkgs = import host { inherit config; };
  callPackage = pkgs.lib.callPackageWith (pkgs // packages);
  packages = builtins.mapAttrs (file: _type: callPackage (./packages + "/${file}.nix") { }) (
    pkgs.lib.mapAttrs' (name: value: {
      name = pkgs.lib.removeSuffix ".nix" name;
      inherit value;
    }) (builtins.readDir ./packages)
  );
in
packages
