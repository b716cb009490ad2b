# Phases of the package's own between stdenv's, and its own texts for stdenv's.
{ stdenv, runCommand, trace }:
stdenv.mkDerivation {
  name = "own-phases";
  src = runCommand "own-phases-src" { } ''
    mkdir -p "$out"
    printf 'b\na\n' >"$out/list"
  '';
  prePhases = [ "greetPhase" ];
  greetPhase = trace "greetPhase";
  preConfigurePhases = [ "bootstrapPhase" ];
  bootstrapPhase = trace "bootstrapPhase $bootstrapWord";
  bootstrapWord = "boot";
  configurePhase = ''
    runHook preConfigure
    sort list >sorted
    runHook postConfigure
  '';
  preBuildPhases = [ "generatePhase" ];
  generatePhase = ''
    sed s/a/$generated/ sorted >>generated
  '' + trace "generatePhase";
  generated = "made";
  buildPhase = ''
    runHook preBuild
    touch generated
    cat sorted generated >all
    runHook postBuild
  '';
  doCheck = true;
  checkPhase = ''
    runHook preCheck
    grep $expected all
    runHook postCheck
  '';
  expected = "b";
  preInstallPhases = [ "countPhase" ];
  countPhase = ''
    wc -l <all >>count
  '' + trace "countPhase";
  installPhase = ''
    runHook preInstall
    mkdir -p $out
    touch count
    cp all count "$NIX_BUILD_TOP/trace" $out
    runHook postInstall
  '';
  postPhases = [ "lastPhase" ];
  lastPhase = "echo lastPhase >>$out/trace";
  passthru.mutation.reads = {
    greetPhase = "unpack";
    bootstrapPhase = "configure";
    bootstrapWord = "configure";
    generatePhase = "build";
    generated = "build";
    expected = "check";
    countPhase = "install";
    lastPhase = "finish";
  };
}
