{
  lib,
  stdenv,
  fetchurl,
  python3,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "coverage";
  version = "6.5.0";

  src = fetchurl {
    url = "mirror://pypi/c/coverage/coverage-${finalAttrs.version}.tar.gz";
    hash = "sha256-9kLpB1TuPgaw5+UbzjN5WQ52t/drcI4acf8EP4cCXIQ=";
  };

  nativeBuildInputs = [ python3 ];

  # Debian's python installs below /usr/local unless told that a package is built.
  env.DEB_PYTHON_INSTALL_LAYOUT = "deb_system";

  buildPhase = ''
    runHook preBuild
    python3 -m pip wheel --no-deps --no-index --no-build-isolation \
      --no-cache-dir --wheel-dir dist .
    runHook postBuild
  '';

  installPhase = ''
    runHook preInstall
    python3 -m pip install --no-deps --no-index --no-cache-dir \
      --no-warn-script-location --prefix "$out" dist/*.whl
    runHook postInstall
  '';

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    PYTHONPATH=$(echo "$out"/lib/python3*/*-packages) "$out/bin/coverage" --version \
      | grep -F "${finalAttrs.version} with C extension"
    runHook postInstallCheck
  '';

  meta = {
    description = "Code coverage measurement for Python";
    homepage = "https://github.com/nedbat/coveragepy";
    license = lib.licenses.asl20;
    mainProgram = "coverage";
  };
})
