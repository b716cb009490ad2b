# The machine's python3, and packages of its format (PEP 517).
#
# Backends and test runners are the machine's own modules: they are always importable, and their packages here are
# names to be listed, with nothing in them.
final:
let
  inherit (final) hostTool makeSetupHook;
  # Without the minor version: what evaluates must not depend on which one the machine has.
  sitePackages = "lib/python3/site-packages";
  hook =
    name:
    makeSetupHook {
      inherit name;
      propagatedBuildInputs = [ final.makeWrapper ];
      substitutions = {
        inherit sitePackages;
        installWheel = ./install_wheel.py;
      };
    } (./hooks + "/${name}.sh");
  ofMachine = name: hostTool { inherit name; programs = [ ]; };
  machineModules = [
    "build"
    "flit-core"
    "hatchling"
    "installer"
    "pip"
    "poetry-core"
    "pytest"
    "setuptools"
    "setuptools-scm"
    "wheel"
  ];
  packages =
    final.lib.genAttrs machineModules ofMachine
    // {
      inherit (final) lib;
      python = final.python3;
      buildPythonPackage = import ./build-python-package.nix {
        inherit (final) lib stdenv python3;
        hooks = { inherit (packages) pypaBuildHook pypaInstallHook pythonImportsCheckHook wrapPython; };
      };
      buildPythonApplication = packages.buildPythonPackage;
      toPythonModule = drv: drv;
      toPythonApplication = drv: drv;
      pypaBuildHook = hook "pypa-build-hook";
      pypaInstallHook = hook "pypa-install-hook";
      pytestCheckHook = hook "pytest-check-hook";
      pythonImportsCheckHook = hook "python-imports-check-hook";
      wrapPython = hook "wrap-python";
      # The machine's version is not known while evaluating; it is taken to be new enough.
      pythonOlder = _version: false;
      pythonAtLeast = _version: true;
      isPy3k = true;
      isPyPy = false;
      callPackage = final.newScope packages;
    };
in
{
  python3 = hostTool {
    name = "python3";
    programs = [ "python3" "python=/usr/bin/python3" ];
    setupHook = builtins.toFile "python3-setup-hook.sh" (
      builtins.replaceStrings [ "@sitePackages@" ] [ sitePackages ] (builtins.readFile ./hooks/python3.sh)
    );
    passthru = {
      inherit sitePackages;
      pkgs = packages;
      pythonVersion = "3";
      isPy3 = true;
      interpreter = "/usr/bin/python3";
      executable = "python3";
      libPrefix = "python3";
    };
  };
  python = final.python3;
  python3Packages = packages;
  python3Minimal = final.python3;
}
