{
  lib,
  python3Packages,
  fetchurl,
}:

python3Packages.buildPythonApplication rec {
  pname = "coverage";
  version = "6.5.0";
  pyproject = true;

  src = fetchurl {
    url = "mirror://pypi/c/coverage/coverage-${version}.tar.gz";
    hash = "sha256-9kLpB1TuPgaw5+UbzjN5WQ52t/drcI4acf8EP4cCXIQ=";
  };

  build-system = with python3Packages; [
    setuptools
    wheel
  ];

  pythonImportsCheck = [
    "coverage"
    "coverage.tracer"
  ];

  checkPhase = ''
    runHook preCheck
    "$out/bin/coverage" --version | grep -F "${version} with C extension"
    runHook postCheck
  '';

  meta = {
    description = "Code coverage measurement for Python";
    homepage = "https://github.com/nedbat/coveragepy";
    license = lib.licenses.asl20;
    mainProgram = "coverage";
  };
}
