{ stdenv }:
stdenv.mkDerivation {
  name = "added-phases";
  prePhases = "helloPhase";
  preBuildPhases = [ "generatePhase" ];
  postPhases = [ "byePhase" ];
  helloPhase = "true";
  generatePhase = "true";
  byePhase = "true";
  dontConfigure = true;
  doCheck = true;
  checkTarget = "test";
}
