# The sources' own scripts read attributes from their environment, which no text of the package shows.
{ stdenv, runCommand, trace }:
stdenv.mkDerivation {
  name = "source-script";
  src = runCommand "source-script-src" { } ''
    mkdir -p "$out"
    cd "$out"
    printf '#!/bin/sh\necho "configured ''${LATER-none} ''${tags-none}" >configured\n' >configure
    printf '#!/bin/sh\necho "built ''${WORD-none} ''${ldflags-none}" >built\n' >build.sh
    printf '#!/bin/sh\nmkdir -p "$out"\ncp configured built "$out"\necho "installed ''${LATER-none}" >"$out/installed"\n' >install.sh
    chmod +x configure build.sh install.sh
  '';
  LATER = "later";
  WORD = "word";
  dontAddPrefix = true;
  buildPhase = ''
    runHook preBuild
    ./build.sh
    runHook postBuild
  '';
  preBuild = trace "preBuild";
  installPhase = ''
    runHook preInstall
    ./install.sh
    runHook postInstall
  '';
  postInstall = ''
    echo "$LATER" >$out/later
    cp "$NIX_BUILD_TOP/trace" $out/trace
  '';
  passthru.mutation = {
    reads = {
      LATER = "configure";
      WORD = "build";
      tags = "configure";
      ldflags = "build";
    };
    add = {
      tags = "added";
      ldflags = "-s";
      desktopItems = [ "item" ];
    };
  };
}
