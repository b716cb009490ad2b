{ stdenv }:
stdenv.mkDerivation {
  name = "x";
  buildCommand = "touch $out";
}
