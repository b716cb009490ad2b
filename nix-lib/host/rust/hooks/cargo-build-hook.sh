# shellcheck shell=bash
# buildPhase for cargo. cargoBuildType, cargoBuildFlags, cargoBuildFeatures, cargoBuildNoDefaultFeatures,
# buildAndTestSubdir, dontCargoBuild.

# _cargoFlags PROFILE NODEFAULT FEATURES: the common options, in the array `flags` of the caller. FEATURES names a variable.
_cargoFlags() {
  local profile="${1:?profile}" noDefault="$2" features="${3:?features}" list
  flags=(-j "${NIX_BUILD_CORES:?}" --offline --target "@target@")
  # cargo's own name for the profile whose directory is called `debug`.
  if [[ $profile == debug ]]; then profile=dev; fi
  flags+=(--profile "$profile")
  if [[ -n $noDefault ]]; then flags+=(--no-default-features); fi
  list="$(concatStringsSep , "$features")"
  if [[ -n $list ]]; then flags+=(--features "$list"); fi
}

cargoBuildHook() {
  echo "Executing cargoBuildHook"
  runHook preBuild
  _needCargo
  export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
  local -a flags
  _cargoFlags "${cargoBuildType:-release}" "${cargoBuildNoDefaultFeatures:-}" cargoBuildFeatures
  concatTo flags cargoBuildFlags
  echoCmd 'cargoBuildHook flags' "${flags[@]}"
  (cd "${buildAndTestSubdir:-.}" && cargo build "${flags[@]}")
  runHook postBuild
  echo "Finished cargoBuildHook"
}

if [[ -z ${dontCargoBuild:-} && -z ${buildPhase:-} ]]; then buildPhase=cargoBuildHook; fi
