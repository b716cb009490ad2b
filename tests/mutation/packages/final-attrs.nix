# finalAttrs, attributes made of others, and an environment.
{ stdenv, runCommand, trace }:
stdenv.mkDerivation (finalAttrs: {
  pname = "final-attrs";
  version = "1.2";
  src = runCommand "final-attrs-src" { } ''
    mkdir -p "$out"
    printf 'all:\n\techo "$(GREETING) $(tags) $(LEVEL)" >made\ninstall:\n\tinstall -D made $(PREFIX)/share/made\n' >"$out/Makefile"
  '';
  env = {
    GREETING = "hello";
    LEVEL = "3";
  };
  # make takes it from its environment. Which stage runs make, phasesplit cannot know: it is told.
  tags = "one,two";
  makeFlags = [ "PREFIX=$(out)" ];
  installFlags = finalAttrs.makeFlags;
  preBuild = trace "preBuild ${finalAttrs.version}";
  doCheck = true;
  checkPhase = ''
    runHook preCheck
    grep "$GREETING" made
    runHook postCheck
  '';
  postInstall = ''
    cp "$NIX_BUILD_TOP/trace" $out/trace
    echo "$farewell" >>$out/trace
  '';
  farewell = "bye from ${finalAttrs.pname}";
  postFixup = "echo ${finalAttrs.version} >>$out/trace";
  passthru.phasesplit.scope.tags = "configure";
  passthru.mutation.reads = {
    tags = "configure";
    GREETING = "build";
    LEVEL = "build";
    farewell = "install";
  };
})
