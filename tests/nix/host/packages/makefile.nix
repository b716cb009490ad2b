# A makefile project with a script named configure: the default phases, flags, patches, check, strip, shebangs, manuals.
{
  stdenv,
  runCommand,
  writeText,
}:
stdenv.mkDerivation (finalAttrs: {
  pname = "greet";
  version = "1.2";

  src = runCommand "greet-src" { } ''
    mkdir -p "$out"
    cd "$out"
    cat >configure <<'EOF'
    #!/usr/bin/env bash
    # knows --disable-dependency-tracking
    for option in "$@"; do
      case "$option" in
        --prefix=*) echo "prefix = ''${option#--prefix=}" ;;
        --with-word=*) echo "word = ''${option#--with-word=}" ;;
      esac
    done >config.mk
    EOF
    chmod +x configure
    cat >Makefile <<'EOF'
    include config.mk
    greet: greet.c
    	$(CC) -g -DWORD='"$(word)"' $(CFLAGS) $(LDFLAGS) -o $@ $<
    check: greet
    	./greet | grep $(word)
    install: greet
    	install -D greet $(prefix)/sbin/greet
    	install -D greet.1 $(prefix)/man/man1/greet.1
    	ln -s greet.1 $(prefix)/man/man1/hello.1
    	install -D script $(prefix)/bin/script
    EOF
    printf '#include <stdio.h>\nint main(void) { puts("bye " WORD); return 0; }\n' >greet.c
    printf '.TH GREET 1\n' >greet.1
    printf '#!/usr/bin/env -S python3 -s\nprint(1)\n' >script
    chmod +x script
  '';

  patches = [
    (writeText "hi.patch" ''
      --- a/greet.c
      +++ b/greet.c
      @@ -1,2 +1,2 @@
       #include <stdio.h>
      -int main(void) { puts("bye " WORD); return 0; }
      +int main(void) { puts("hi " WORD); return 0; }
    '')
  ];
  configureFlags = [ "--with-word=world" ];
  preBuildHooks = [ "order+=hooks" ];
  preBuild = "order=own,";
  enableParallelBuilding = true;
  doCheck = true;
  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    set -x
    [[ $order == own,hooks ]]
    [[ $($out/bin/greet) == "hi world" ]]
    [[ -L $out/sbin ]]
    ! readelf -S "$out/bin/greet" | grep -q debug_info
    [[ $(readlink "$out/share/man/man1/hello.1.gz") == greet.1.gz ]]
    [[ $(head -n 1 "$out/bin/script") == "#!/usr/bin/python3 -s" ]]
    grep -q ${finalAttrs.version} <<<"$version"
    runHook postInstallCheck
  '';
})
