{
  lib,
  stdenv,
  fetchurl,
  autoreconfHook,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "jq";
  version = "1.6";

  src = fetchurl {
    url = "mirror://debian/pool/main/j/jq/jq_${finalAttrs.version}.orig.tar.gz";
    hash = "sha256-O6lAuXVxyGaSPwQJZ4Az0ztamHWN/BdPrYOX7ZCLxNk=";
  };

  # The sources are a git export without git: both places that ask git for the
  # version get it from here.
  postPatch = ''
    sed -i '1,/^AC_INIT/{/^m4_define(\[jq_version\]/,/^$/d}' configure.ac
    substituteInPlace configure.ac \
      --replace-fail 'AC_INIT([jq], [jq_version]' 'AC_INIT([jq], [${finalAttrs.version}]'
    # It links the shared library all the same, and leaves the build directory in
    # the program's run path.
    substituteInPlace Makefile.am \
      --replace-fail 'jq_LDFLAGS = -static-libtool-libs' 'jq_LDFLAGS ='
    printf '#!/bin/sh\necho %s\n' '${finalAttrs.version}' >scripts/version
    patchShebangs tests scripts
  '';

  nativeBuildInputs = [ autoreconfHook ];

  configureFlags = [
    "--disable-docs"
    "--disable-maintainer-mode"
    "--disable-valgrind"
    "--without-oniguruma"
  ];

  enableParallelBuilding = true;

  doCheck = true;
  # The others need oniguruma or ruby.
  preCheck = ''
    checkFlagsArray+=("TESTS=tests/jqtest tests/shtest tests/utf8test tests/base64test")
  '';

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    [[ "$(echo '{"a": [1, 2]}' | "$out/bin/jq" -c '.a | add')" == 3 ]]
    runHook postInstallCheck
  '';

  meta = {
    description = "Lightweight and flexible command-line JSON processor";
    homepage = "https://jqlang.github.io/jq/";
    license = lib.licenses.mit;
    mainProgram = "jq";
    platforms = lib.platforms.unix;
  };
})
