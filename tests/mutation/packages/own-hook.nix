# A setup hook of the tests' own, whose functions read attributes in several ways: nix-lib does not see them, so what
# keeps this sound is the check while a stage runs.
{ stdenv, makeSetupHook, runCommand, trace }:
let
  hook = makeSetupHook { name = "reader-hook"; } (
    builtins.toFile "reader-hook.sh" ''
      readerNote() { echo "reader: $*" >>"$NIX_BUILD_TOP/trace"; }
      readerEarly() { readerNote "early ''${installFlags[*]-none}"; }
      readerDefault() { : "''${checkTarget:=fallback}"; readerNote "default $checkTarget"; }
      readerIndirectly() { readerHelper; }
      readerHelper() { readerNote "test ''${dontStrip:+no strip} ''${pkgconfigItems-none}"; }
      readerLate() { readerNote "late ''${tarballs-none} ''${readerWord-none}"; }
      preConfigureHooks+=(readerEarly)
      postConfigureHooks+=(readerIndirectly)
      preBuildHooks+=(readerDefault)
      preInstallHooks+=(readerLate)
    ''
  );
in
stdenv.mkDerivation {
  name = "own-hook";
  nativeBuildInputs = [ hook ];
  src = runCommand "own-hook-src" { } ''
    mkdir -p "$out"
    echo 'text' >"$out/text"
  '';
  readerWord = "word";
  preConfigure = trace "preConfigure";
  buildPhase = ''
    runHook preBuild
    sort text >sorted
    runHook postBuild
  '';
  postBuild = trace "postBuild";
  installPhase = ''
    runHook preInstall
    mkdir -p $out
    cp sorted $out
    runHook postInstall
  '';
  postInstall = ''
    cp "$NIX_BUILD_TOP/trace" $out/trace
  '';
  postFixup = "echo postFixup >>$out/trace";
  passthru.mutation = {
    reads = {
      readerWord = "install";
      installFlags = "configure";
      checkTarget = "build";
      dontStrip = "configure";
      pkgconfigItems = "configure";
      tarballs = "install";
    };
    # Names of the table that the hook reads before their stage.
    add = {
      installFlags = [ "early=yes" ];
      checkTarget = "verify";
      dontStrip = true;
      pkgconfigItems = "item";
      tarballs = "archive";
    };
  };
}
