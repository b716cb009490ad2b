# Three outputs that name each other; configure gets their directories, fixup moves files to them.
{ stdenv, runCommand, trace }:
stdenv.mkDerivation {
  pname = "outputs";
  version = "1";
  outputs = [ "out" "dev" "doc" ];
  src = runCommand "outputs-src" { } ''
    mkdir -p "$out"
    cd "$out"
    cat >configure <<'END'
    #!/bin/sh
    for option; do
      case $option in
        --prefix=*) echo "prefix = ''${option#--prefix=}" ;;
        --includedir=*) echo "includedir = ''${option#--includedir=}" ;;
        --docdir=*) echo "docdir = ''${option#--docdir=}" ;;
      esac
    done >config.mk
    END
    chmod +x configure
    cat >Makefile <<'END'
    include config.mk
    all: value.txt
    value.txt:
    	echo "$(docdir)" >$@
    install: all
    	install -D value.txt $(prefix)/lib/value.txt
    	install -D value.h $(includedir)/value.h
    	install -D manual $(docdir)/manual
    	echo "pkgconfigdir $(notdir $(pkgconfigdir))" >>$(NIX_BUILD_TOP)/trace
    END
    echo '#define VALUE 1' >value.h
    echo 'manual' >manual
  '';
  shareDocName = "named";
  configureFlags = [ "--quietly" ];
  preBuild = trace "preBuild \${dev##*-}";
  installFlags = [ "extra=1" ];
  postInstall = ''
    mkdir -p $dev/lib/pkgconfig
    echo "libdir=$out/lib" >$dev/lib/pkgconfig/value.pc
    cp "$NIX_BUILD_TOP/trace" $out/trace
  '';
  preFixup = "moveToOutput share/extra $dev";
  postFixup = "echo postFixup $doc >>$out/trace";
  moveToDev = true;
  disallowedReferences = [ stdenv ];
  passthru.mutation.reads.installFlags = "configure";
}
