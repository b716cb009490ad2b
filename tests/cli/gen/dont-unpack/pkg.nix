{ stdenv }:
stdenv.mkDerivation {
  name = "dont-unpack";
  dontUnpack = true;
  dontBuild = 1;
  doCheck = false;
  checkPhase = "true";
  installPhase = "mkdir $out";
}
