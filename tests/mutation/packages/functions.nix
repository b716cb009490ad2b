# Functions and variables that one phase makes and a later one uses.
{ stdenv, runCommand, trace }:
stdenv.mkDerivation {
  name = "functions";
  src = runCommand "functions-src" { } ''
    mkdir -p "$out"
    echo text >"$out/text"
  '';
  postUnpack = trace "postUnpack";
  preConfigure = ''
    shout() { tr a-z A-Z; }
    declare -A noted=([phase]=configure)
    atInstall() { echo "installed with $installWord ''${noted[phase]}"; }
  '';
  configurePhase = "runHook preConfigure; runHook postConfigure";
  buildPhase = ''
    runHook preBuild
    shout <text >shouted
    noted[build]=$buildWord
    export buildDone=1
    runHook postBuild
  '';
  buildWord = "built";
  installWord = "word";
  installPhase = ''
    runHook preInstall
    mkdir -p $out
    cp shouted "$NIX_BUILD_TOP/trace" $out
    atInstall >$out/installed
    echo "''${noted[build]} ''${buildDone-}" >>$out/installed
    runHook postInstall
  '';
  preFixup = ''
    shout <$out/installed >$out/fixed
  '';
  passthru.mutation.reads = {
    buildWord = "build";
    # The function that reads it is defined by preConfigure, and called when installing.
    installWord = "install";
  };
}
