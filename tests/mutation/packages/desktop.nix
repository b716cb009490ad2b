# The hooks that only installing uses: installShellFiles, makeWrapper, copyDesktopItems.
{ stdenv, makeWrapper, installShellFiles, copyDesktopItems, writeText, runCommand, trace }:
stdenv.mkDerivation {
  pname = "desktop";
  version = "1";
  nativeBuildInputs = [ makeWrapper installShellFiles copyDesktopItems ];
  src = runCommand "desktop-src" { } ''
    mkdir -p "$out"
    cd "$out"
    printf '#!/bin/sh\necho "$WORD"\n' >program
    chmod +x program
    echo '.TH PROGRAM 1' >program.1
  '';
  desktopItems = [ (writeText "program.desktop" "[Desktop Entry]\nName=Program\n") ];
  word = "a word";
  wrapperWords = "--set-default EXTRA extra";
  preBuild = trace "preBuild";
  buildPhase = ''
    runHook preBuild
    cp program built
    runHook postBuild
  '';
  installPhase = ''
    runHook preInstall
    installBin program
    installManPage program.1
    installShellCompletion --cmd program --bash <(echo complete) --zsh <(echo complete)
    wrapProgram "$out/bin/program" --set-default WORD "$word" $wrapperWords
    runHook postInstall
  '';
  preInstall = trace "preInstall";
  postInstall = ''
    cp "$NIX_BUILD_TOP/trace" $out/trace
  '';
  dontGzipMan = true;
  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    $out/bin/program >$out/said
    runHook postInstallCheck
  '';
  passthru.mutation = {
    reads = {
      word = "install";
      wrapperWords = "install";
    };
    lateInputs.install = [ "make-wrapper-hook" "install-shell-files" "copy-desktop-items" ];
  };
}
