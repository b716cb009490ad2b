# Plain make: one C program, flags for every phase, a check, and each script that a package of this kind has.
{ stdenv, runCommand, trace }:
stdenv.mkDerivation {
  pname = "makefile";
  version = "1.0";
  src = runCommand "makefile-src" { } ''
    mkdir -p "$out"
    cd "$out"
    cat >Makefile <<'END'
    prefix = $(out)
    word = none
    program: program.c
    	$(CC) -DWORD='"$(word)"' -DLEVEL='"$(LEVEL)"' -o $@ $<
    	echo "built with $(word)" >>$(NIX_BUILD_TOP)/trace
    check: program
    	./program | grep $(word)
    	echo "checked with $(mode)" >>$(NIX_BUILD_TOP)/trace
    install: program
    	install -D program $(prefix)/bin/program
    	echo "installed with $(mode)" >>$(NIX_BUILD_TOP)/trace
    installcheck:
    	$(prefix)/bin/program
    END
    printf '#include <stdio.h>\nint main(void) { puts(WORD LEVEL); return 0; }\n' >program.c
  '';
  LEVEL = "0";
  makeFlags = [ "word=hello" ];
  buildFlags = [ "program" ];
  checkFlags = [ "mode=check" ];
  installFlags = [ "prefix=$(out)" "mode=install" ];
  installTargets = "install";
  enableParallelBuilding = true;
  doCheck = true;
  preBuild = trace "preBuild";
  postBuild = trace "postBuild $makeFlags";
  preInstall = trace "preInstall";
  postInstall = ''
    cp "$NIX_BUILD_TOP/trace" $out/trace
  '';
  doInstallCheck = true;
  installCheckFlags = [ "prefix=$(out)" ];
  passthru.mutation.reads = {
    LEVEL = "build";
  };
}
