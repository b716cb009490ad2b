# shellcheck shell=bash
# Modules of the inputs become importable. Running one must not leave byte code beside it, in an output for instance.

export PYTHONDONTWRITEBYTECODE=1

_addPythonPath() { addToSearchPath PYTHONPATH "${1:?input}/@sitePackages@"; }
addEnvHooks "${hostOffset:?}" _addPythonPath
addEnvHooks "${targetOffset:?}" _addPythonPath
