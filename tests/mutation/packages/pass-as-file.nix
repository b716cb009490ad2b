# Attributes as files, and the graph of a store path: both written by Nix into the build directory.
{ stdenv, runCommand, writeText, trace }:
stdenv.mkDerivation {
  name = "pass-as-file";
  src = runCommand "pass-as-file-src" { } ''
    mkdir -p "$out"
    echo text >"$out/text"
  '';
  passAsFile = [ "notes" ];
  notes = "notes that come as a file";
  exportReferencesGraph = [ "graph" (writeText "referenced" "nothing") ];
  preConfigure = trace "preConfigure $notesPath";
  buildPhase = ''
    runHook preBuild
    cat text "''${notesPath:-/dev/null}" >both
    runHook postBuild
  '';
  installPhase = ''
    runHook preInstall
    mkdir -p $out
    cp both "$NIX_BUILD_TOP/trace" "$NIX_BUILD_TOP/graph" $out
    runHook postInstall
  '';
  postInstall = "echo $suffix >>$out/both";
  suffix = "end";
  preFixup = "echo preFixup >>$out/trace";
  passthru.mutation.reads = {
    notes = "unpack";
    suffix = "install";
  };
}
