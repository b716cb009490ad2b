# shellcheck shell=bash
# pythonImportsCheck: modules that must be importable from the result.

pythonImportsCheckPhase() {
  local -a modules=()
  concatTo modules pythonImportsCheck
  echo "Check whether the following modules can be imported: ${modules[*]}"
  # From another directory, or the sources would be imported.
  (cd "${TMPDIR:-/tmp}" && PYTHONPATH="${out:?}/@sitePackages@${PYTHONPATH:+:$PYTHONPATH}" \
    /usr/bin/python3 -c 'import importlib, sys; [importlib.import_module(m) for m in sys.argv[1:]]' "${modules[@]}")
}

if [[ -n ${pythonImportsCheck[*]:-} && -z ${dontUsePythonImportsCheck:-} ]]; then
  appendToVar preDistPhases pythonImportsCheckPhase
fi
