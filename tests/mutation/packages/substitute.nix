# Files with @names@: substituteAll, substituteInPlace, a setup hook for dependents.
{ stdenv, runCommand, writeText, trace }:
stdenv.mkDerivation {
  pname = "substitute";
  version = "1";
  src = runCommand "substitute-src" { } ''
    mkdir -p "$out"
    cd "$out"
    echo 'word @word@ in @out@, by @greeter@' >all.in
    echo 'version VERSION of @name@' >place
  '';
  word = "hello";
  greeter = "nobody";
  postPatch = ''
    substituteInPlace place --replace-fail VERSION "$version"
  '' + trace "postPatch";
  configurePhase = ''
    runHook preConfigure
    substitute place placed --subst-var name
    runHook postConfigure
  '';
  buildPhase = ''
    runHook preBuild
    substituteAll all.in all
    runHook postBuild
  '';
  installPhase = ''
    runHook preInstall
    mkdir -p $out
    cp all placed "$NIX_BUILD_TOP/trace" $out
    runHook postInstall
  '';
  setupHook = writeText "substitute-hook.sh" ''
    export SUBSTITUTED=@word@:@out@:@stripDebugList@
  '';
  stripDebugList = "bin";
  preFixup = "echo preFixup >>$out/trace";
  # substituteAll reads everything, from build on.
  passthru.mutation.reads."*" = "build";
}
