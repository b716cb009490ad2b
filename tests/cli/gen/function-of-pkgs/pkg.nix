pkgs: pkgs.stdenv.mkDerivation { name = "of-pkgs"; }
