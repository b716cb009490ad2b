with import <nixpkgs> { };
rec {
  tools.greet = stdenv.mkDerivation { name = "greet"; installPhase = "make install"; };
  other = stdenv.mkDerivation { name = "other"; };
}
