# autoreconfHook adds a phase; Autoconf, Automake and Libtool make the rest.
{
  stdenv,
  autoreconfHook,
  runCommand,
}:
stdenv.mkDerivation {
  pname = "autoproject";
  version = "3";
  outputs = [
    "out"
    "lib"
    "dev"
  ];
  nativeBuildInputs = [ autoreconfHook ];
  src = runCommand "autoproject-src" { } ''
    mkdir -p "$out"
    cd "$out"
    cat >configure.ac <<'EOF'
    AC_INIT([autoproject], [3])
    AM_INIT_AUTOMAKE([foreign])
    LT_INIT
    AC_PROG_CC
    AC_CONFIG_FILES([Makefile])
    AC_OUTPUT
    EOF
    cat >Makefile.am <<'EOF'
    lib_LTLIBRARIES = libauto.la
    libauto_la_SOURCES = auto.c
    include_HEADERS = auto.h
    bin_PROGRAMS = autouser
    autouser_SOURCES = user.c
    autouser_LDADD = libauto.la
    TESTS = autouser
    EOF
    echo 'int automatic(void) { return 0; }' >auto.c
    echo 'int automatic(void);' >auto.h
    printf '#include "auto.h"\nint main(void) { return automatic(); }\n' >user.c
  '';
  enableParallelBuilding = true;
  doCheck = true;
  doInstallCheck = true;
  installCheckPhase = ''
    set -x
    "$out/bin/autouser"
    [[ -f $lib/lib/libauto.so && ! -e $lib/lib/libauto.a && -f $dev/include/auto.h && ! -e $out/lib ]]
    grep -q "$lib" "$dev/nix-support/propagated-build-inputs"
  '';
}
