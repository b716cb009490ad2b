with import <nixpkgs> { };
{ a = stdenv.mkDerivation { name = "a"; }; b = stdenv.mkDerivation { name = "b"; }; }
