# A package set for tests that ask only whether a generated file reaches its package: a derivation is its attributes.
{ ... }:
let
  set = {
    inherit callPackage;
    lib = { };
    stdenv.mkDerivation =
      argument:
      let
        final = if builtins.isFunction argument then argument final else argument;
      in
      final // { overrideAttrs = change: final // change final; };
    fetchurl = _: "source";
    buildGoModule = set.stdenv.mkDerivation;
    hello = {
      name = "hello-of-the-set";
    };
    cmake = "cmake";
    makeWrapper = "makeWrapper";
    pkgs = set;
  };
  callPackage =
    function: arguments:
    let
      called = if builtins.isFunction function then function else import function;
    in
    called (builtins.intersectAttrs (builtins.functionArgs called) set // arguments);
in
set
