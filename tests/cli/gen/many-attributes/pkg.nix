{ stdenv }:
stdenv.mkDerivation {
  name = "many";
  preConfigure = "x";
  postConfigure = "x";
  configureFlags = "x";
  configureScript = "x";
  dontAddPrefix = "x";
  cmakeFlags = "x";
  mesonFlags = "x";
}
