# The package of which every case is a change: it keeps what was seen, and what was used, in its output.
{ stdenv }:
stdenv.mkDerivation {
  name = "reader-1";
  src = ./.;
  OWN_WORDS = "own words";
  postPatch = "true";
  configurePhase = "runHook preConfigure; runHook postConfigure";
  buildPhase = "runHook preBuild; runHook postBuild";
  doCheck = true;
  checkPhase = "runHook preCheck; runHook postCheck";
  installPhase = ''
    runHook preInstall
    mkdir -p $out
    touch "$NIX_BUILD_TOP/seen" "$NIX_BUILD_TOP/used"
    cp "$NIX_BUILD_TOP/seen" "$NIX_BUILD_TOP/used" $out
    runHook postInstall
  '';
}
