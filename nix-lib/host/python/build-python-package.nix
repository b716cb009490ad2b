# `buildPythonPackage`: a wheel built by the package's own backend, installed, its programs wrapped.
{
  lib,
  stdenv,
  python3,
  hooks,
}:
let
  build =
    args:
    let
      # Tests run on what was installed, so `doCheck` and its inputs are those of installCheckPhase.
      doCheck = args.doCheck or true;
      checkPhase = args.checkPhase or args.installCheckPhase or null;
    in
    if !(args.pyproject or (builtins.elem (args.format or "pyproject") [ "pyproject" "setuptools" ])) then
      throw "${args.pname or args.name}: the host package set builds Python packages with pyproject = true only"
    else
      removeAttrs args [
        "build-system"
        "checkInputs"
        "checkPhase"
        "dependencies"
        "disabled"
        "doCheck"
        "format"
        "nativeCheckInputs"
        "optional-dependencies"
        "pyproject"
      ]
      // {
        nativeBuildInputs =
          [
            python3
            hooks.pypaBuildHook
            hooks.pypaInstallHook
            hooks.pythonImportsCheckHook
            hooks.wrapPython
          ]
          ++ (args.build-system or [ ])
          ++ (args.nativeBuildInputs or [ ]);
        propagatedBuildInputs = (args.dependencies or [ ]) ++ (args.propagatedBuildInputs or [ ]);
        nativeInstallCheckInputs = (args.nativeCheckInputs or [ ]) ++ (args.nativeInstallCheckInputs or [ ]);
        installCheckInputs = (args.checkInputs or [ ]) ++ (args.installCheckInputs or [ ]);
        doCheck = false;
        doInstallCheck = doCheck;
        strictDeps = args.strictDeps or true;
        passthru = {
          pythonModule = python3;
          optional-dependencies = args.optional-dependencies or { };
        }
        // args.passthru or { };
      }
      // lib.optionalAttrs (checkPhase != null) { installCheckPhase = checkPhase; };
in
fnOrArgs: stdenv.mkDerivation (final: build (if builtins.isFunction fnOrArgs then fnOrArgs final else fnOrArgs))
