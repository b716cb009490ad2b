let
  pkgs = import <nixpkgs> { };
  flags = [ "-j1" ];
in
pkgs.stdenv.mkDerivation { name = "let-in"; buildFlags = flags; }
