with import <nixpkgs> { };
stdenv.mkDerivation rec { name = "with-import"; buildPhase = "make ${name}"; }
