# A Python application: a wheel from a backend in its own sources, installed, wrapped, imported.
{ python3Packages, runCommand, trace }:
python3Packages.buildPythonApplication {
  pname = "pyapp";
  version = "1.0";
  pyproject = true;
  src = runCommand "pyapp-src" { } ''
    mkdir -p "$out/pyapp"
    cd "$out"
    printf 'def main():\n    print("seven")\n' >pyapp/__init__.py
    printf '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n' >pyproject.toml
    cat >backend.py <<'END'
    import os, zipfile

    def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
        info = "pyapp-1.0.dist-info"
        files = {
            "pyapp/__init__.py": open("pyapp/__init__.py").read(),
            "pyapp/settings": repr(sorted((config_settings or {}).items())) + os.environ.get("WHEEL_WORD", "-"),
            info + "/METADATA": "Metadata-Version: 2.1\nName: pyapp\nVersion: 1.0\n",
            info + "/WHEEL": "Wheel-Version: 1.0\nGenerator: backend\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            info + "/entry_points.txt": "[console_scripts]\npyapp = pyapp:main\n",
        }
        files[info + "/RECORD"] = "".join(name + ",,\n" for name in [*files, info + "/RECORD"])
        with zipfile.ZipFile(os.path.join(wheel_directory, "pyapp-1.0-py3-none-any.whl"), "w") as wheel:
            for name, text in files.items():
                wheel.writestr(zipfile.ZipInfo(name), text)
        return "pyapp-1.0-py3-none-any.whl"
    END
  '';
  build-system = [ python3Packages.setuptools ];
  WHEEL_WORD = "wheel";
  postPatch = trace "postPatch";
  preBuild = trace "preBuild $pypaBuildFlags";
  pypaBuildFlags = [ "-Cextra=1" ];
  postInstall = ''
    cp "$NIX_BUILD_TOP/trace" $out/trace
  '';
  pythonImportsCheck = [ "pyapp" ];
  makeWrapperArgs = [ "--set-default" "WORD" "word" ];
  installCheckPhase = ''
    runHook preInstallCheck
    $out/bin/pyapp >$out/said
    runHook postInstallCheck
  '';
  postFixup = "echo postFixup >>$out/trace";
  passthru.mutation.reads = {
    WHEEL_WORD = "build";
    # The hook reads it while it is sourced.
    pythonImportsCheck = "unpack";
  };
}
