# The small part of nixpkgs' `lib` that package files really use.
#
# Owns: names and behaviour of `lib.*` for the host package set.
# Must not know: any package, any derivation, the machine.
let
  parts = [
    (import ./trivial.nix)
    (import ./lists.nix)
    (import ./strings.nix)
    (import ./attrsets.nix)
    (import ./fetchers.nix)
    (import ./fixed-points.nix)
    (import ./packages.nix)
    (import ./sources.nix)
    (import ./metadata.nix)
    (import ./versions.nix)
  ];
  lib = builtins.foldl' (done: part: done // part lib) { } parts // {
    trivial = import ./trivial.nix lib;
    lists = import ./lists.nix lib;
    strings = import ./strings.nix lib;
    attrsets = import ./attrsets.nix lib;
    fixedPoints = import ./fixed-points.nix lib;
    customisation = import ./packages.nix lib;
    sources = import ./sources.nix lib;
  };
in
lib
