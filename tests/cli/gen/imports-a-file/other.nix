{ }: (import <nixpkgs> { }).stdenv.mkDerivation { name = "in-another-file"; }
