# Phases that a hook of an input adds; phases by name; `return` in a hook; a custom builder script; propagation.
{
  stdenv,
  makeSetupHook,
  writeText,
}:
let
  hook = makeSetupHook { name = "adds-phases"; substitutions.word = "hooked"; } (
    builtins.toFile "hook.sh" ''
      earlyPhase() { echo "@word@ early" >>"$NIX_BUILD_TOP/trace"; }
      latePhase() { echo late >>"$NIX_BUILD_TOP/trace"; }
      prePhases+=" earlyPhase"
      appendToVar postPhases latePhase
      preInstallHooks+=(tellInstall)
      tellInstall() { echo tellInstall >>"$NIX_BUILD_TOP/trace"; }
    ''
  );
  carrier = stdenv.mkDerivation {
    name = "carrier";
    dontUnpack = true;
    propagatedNativeBuildInputs = [ hook ];
    setupHook = writeText "carrier-hook.sh" ''
      export CARRIED="@out@"
    '';
    installPhase = ''mkdir -p "$out/include"'';
  };
in
stdenv.mkDerivation {
  name = "hook-phases";
  buildInputs = [ carrier ];
  dontUnpack = true;
  preConfigurePhases = [ "ownPhase" ];
  ownPhase = ''echo own >>"$NIX_BUILD_TOP/trace"'';
  preInstall = ''
    echo pre >>"$NIX_BUILD_TOP/trace"
    return
    echo never >>"$NIX_BUILD_TOP/trace"
  '';
  installPhase = ''
    runHook preInstall
    mkdir -p "$out"
    runHook postInstall
  '';
  postPhases = [ "compareTrace" ];
  compareTrace = ''
    [[ $CARRIED == ${carrier} ]]
    diff -u - "$NIX_BUILD_TOP/trace" <<'EOF'
    hooked early
    own
    pre
    tellInstall
    EOF
  '';
}
