# shellcheck shell=bash
# Programs of Python packages find their own modules and those of what the package propagates. makeWrapperArgs,
# dontWrapPythonPrograms.

postFixupHooks+=(_wrapPythonOfOutput)

# _pythonClosure PACKAGE: it and what it propagates, in the array _modules of the caller.
_pythonClosure() {
  local package="${1:?package}" next
  local -a nexts=()
  if [[ " ${_modules[*]} " == *" $package/@sitePackages@ "* ]]; then return 0; fi
  if [[ -d $package/@sitePackages@ ]]; then _modules+=("$package/@sitePackages@"); fi
  if [[ -f $package/nix-support/propagated-build-inputs ]]; then
    read -r -d '' -a nexts <"$package/nix-support/propagated-build-inputs" || true
  fi
  for next in ${nexts+"${nexts[@]}"}; do _pythonClosure "$next"; done
}

# wrapPythonPrograms: every Python script in bin of the package.
wrapPythonPrograms() {
  local -a _modules=() wrapperArgs=() propagated=()
  local package program line joined bin="${outputBin:?}"
  _pythonClosure "${out:?}"
  concatTo propagated propagatedBuildInputs
  for package in ${propagated+"${propagated[@]}"}; do _pythonClosure "$package"; done
  printf -v joined ':%s' ${_modules+"${_modules[@]}"}
  concatTo wrapperArgs makeWrapperArgs
  for program in "${!bin}"/bin/*; do
    if [[ ! -f $program || ! -x $program ]] || ! isScript "$program"; then continue; fi
    read -r line <"$program"
    if [[ $line != *python* ]]; then continue; fi
    wrapProgram "$program" --prefix PYTHONPATH : "${joined#:}" ${wrapperArgs+"${wrapperArgs[@]}"}
  done
}

_wrapPythonOfOutput() { [[ -n ${dontWrapPythonPrograms:-} ]] || wrapPythonPrograms; }
