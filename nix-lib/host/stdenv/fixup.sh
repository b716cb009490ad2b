# shellcheck shell=bash
# shellcheck disable=SC2154  # attributes of the package, or set by another part of the standard environment
# fixupPhase: what is done to every output, and the files that carry inputs and hooks to dependents.

# _recordInputs VARIABLE FILE: the inputs in the variable, for dependents.
_recordInputs() {
  local -a inputs=()
  concatTo inputs "${1:?variable}"
  if ((${#inputs[@]} == 0)); then return 0; fi
  mkdir -p "${!outputDev}/nix-support"
  printWords "${inputs[@]}" >"${!outputDev}/nix-support/${2:?file}"
}

recordPropagatedDependencies() {
  _recordInputs depsBuildBuildPropagated propagated-build-build-deps
  _recordInputs propagatedNativeBuildInputs propagated-native-build-inputs
  _recordInputs depsBuildTargetPropagated propagated-build-target-deps
  _recordInputs depsHostHostPropagated propagated-host-host-deps
  _recordInputs propagatedBuildInputs propagated-build-inputs
  _recordInputs depsTargetTargetPropagated propagated-target-target-deps
}

fixupPhase() {
  local output hook
  # shellcheck disable=SC2034  # substituteAllStream gets its name
  local content
  for output in $(getAllOutputNames); do
    # Nix refuses setuid files, and strip needs to write.
    if [[ -e ${!output} ]]; then chmod -R u+w,u-s,g-s -- "${!output}"; fi
  done

  runHook preFixup

  for output in $(getAllOutputNames); do
    prefix="${!output}" runHook fixupOutput
  done
  recordPropagatedDependencies

  if [[ -n ${setupHook:-} ]]; then
    mkdir -p "${!outputDev}/nix-support"
    substituteAll "$setupHook" "${!outputDev}/nix-support/setup-hook"
  fi
  local -a hooks=()
  concatTo hooks setupHooks
  for hook in ${hooks+"${hooks[@]}"}; do
    mkdir -p "${!outputDev}/nix-support"
    consumeEntire content <"$hook"
    substituteAllStream content "file '$hook'" >>"${!outputDev}/nix-support/setup-hook"
  done

  local -a userEnv=()
  concatTo userEnv propagatedUserEnvPkgs
  if ((${#userEnv[@]})); then
    mkdir -p "${!outputBin}/nix-support"
    printWords "${userEnv[@]}" >"${!outputBin}/nix-support/propagated-user-env-packages"
  fi

  runHook postFixup
}
