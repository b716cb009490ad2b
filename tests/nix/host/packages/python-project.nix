# PEP 517: one package with a module, one with a program that imports it.
{ python3Packages, runCommand }:
let
  project =
    name: extra: module:
    runCommand "${name}-src" { inherit module; } ''
      mkdir -p "$out/${name}" "$out/tests"
      echo "$module" >"$out/${name}/__init__.py"
      cat >"$out/pyproject.toml" <<'EOF'
      [build-system]
      requires = ["setuptools"]
      build-backend = "setuptools.build_meta"
      [project]
      name = "${name}"
      version = "1.0"
      ${extra}
      [tool.setuptools]
      packages = ["${name}"]
      EOF
      printf 'import ${name}\ndef test_it():\n    assert ${name}.value() == 7\ndef test_off():\n    assert False\n' >"$out/tests/test_it.py"
    '';
  module = python3Packages.buildPythonPackage {
    pname = "seven";
    version = "1.0";
    pyproject = true;
    src = project "seven" "" "def value():\n    return 7";
    build-system = [ python3Packages.setuptools ];
    nativeCheckInputs = [ python3Packages.pytestCheckHook ];
    disabledTests = [ "test_off" ];
    pythonImportsCheck = [ "seven" ];
  };
in
python3Packages.buildPythonApplication {
  pname = "sevenapp";
  version = "1.0";
  pyproject = true;
  src = project "sevenapp" "[project.scripts]\nsevenapp = \"sevenapp:main\"" ''
    import seven
    def main():
        print(seven.value())
  '';
  build-system = [ python3Packages.setuptools ];
  dependencies = [ module ];
  installCheckPhase = ''
    [[ $(env -u PYTHONPATH "$out/bin/sevenapp") == 7 ]]
    [[ ! -e $out/local && -z $(find "$out" -name __pycache__) ]]
  '';
}
