{ stdenv }:
stdenv.mkDerivation {
  name = "x";
  outputHash = "sha256-AAAA";
  outputHashMode = "flat";
}
