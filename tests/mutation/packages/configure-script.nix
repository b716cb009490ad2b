# A configure script as Autoconf makes them, which records its arguments; patches; parallel make.
{ stdenv, runCommand, writeText, trace }:
stdenv.mkDerivation {
  pname = "configure-script";
  version = "2";
  src = runCommand "configure-script-src" { } ''
    mkdir -p "$out"
    cd "$out"
    cat >configure <<'END'
    #!/bin/sh
    # knows enable-static and dependency-tracking
    prefix=/nowhere
    for option; do
      case $option in --prefix=*) prefix=''${option#--prefix=} ;; esac
      echo "configured with $option" >>"$NIX_BUILD_TOP/trace"
    done
    echo "prefix = $prefix" >config.mk
    END
    chmod +x configure
    cat >Makefile <<'END'
    include config.mk
    all: greet
    greet: greet.c
    	$(CC) -DPREFIX='"$(prefix)"' -o $@ $<
    	echo "made $(MAKECMDGOALS) $(extra)" >>$(NIX_BUILD_TOP)/trace
    install: greet
    	install -D greet $(prefix)/bin/greet
    	install -D greet.1 $(prefix)/share/man/man1/greet.1
    END
    printf '#include <stdio.h>\nint main(void) { puts("bye from " PREFIX); return 0; }\n' >greet.c
    printf '.TH GREET 1\n' >greet.1
  '';
  patches = [
    (writeText "hello.patch" ''
      --- a/greet.c
      +++ b/greet.c
      @@ -1,2 +1,2 @@
       #include <stdio.h>
      -int main(void) { puts("bye from " PREFIX); return 0; }
      +int main(void) { puts("hello from " PREFIX); return 0; }
    '')
  ];
  patchFlags = [ "-p1" ];
  prePatch = trace "prePatch";
  postPatch = trace "postPatch";
  preConfigure = trace "preConfigure" + ''
    configureFlags="$configureFlags --from-preConfigure"
  '';
  configureFlags = [ "--with-word=hello" ];
  postConfigure = trace "postConfigure $configureFlags";
  enableParallelBuilding = true;
  makeFlags = [ "extra=one" ];
  dontDisableStatic = true;
  postInstall = ''
    cp "$NIX_BUILD_TOP/trace" $out/trace
  '';
  preFixup = "echo preFixup >>$out/trace";
  stripDebugList = [ "bin" ];
  dontGzipMan = true;
}
