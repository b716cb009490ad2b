{ stdenv }:
stdenv.mkDerivation {
  name = "custom-phases";
  phases = [ "unpackPhase" "generatePhase" "installPhase" ];
  generatePhase = "true";
  installPhase = "true";
}
