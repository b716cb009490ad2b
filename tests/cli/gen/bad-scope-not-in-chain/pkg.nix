{ stdenv }:
stdenv.mkDerivation {
  name = "own-1";
  phases = [ "unpackPhase" "buildPhase" "installPhase" ];
}
