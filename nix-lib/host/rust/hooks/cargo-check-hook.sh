# shellcheck shell=bash
# checkPhase for cargo. cargoCheckType, cargoTestFlags, checkFlags (for the test programs), cargoCheckFeatures,
# cargoCheckNoDefaultFeatures, dontUseCargoParallelTests, dontCargoCheck.

cargoCheckHook() {
  echo "Executing cargoCheckHook"
  runHook preCheck
  _needCargo
  local -a flags
  local threads="$NIX_BUILD_CORES"
  _cargoFlags "${cargoCheckType:-release}" "${cargoCheckNoDefaultFeatures:-}" cargoCheckFeatures
  concatTo flags cargoTestFlags
  if [[ -n ${dontUseCargoParallelTests:-} ]]; then threads=1; fi
  flags+=(-- "--test-threads=$threads")
  concatTo flags checkFlags checkFlagsArray
  echoCmd 'cargoCheckHook flags' "${flags[@]}"
  (cd "${buildAndTestSubdir:-.}" && cargo test "${flags[@]}")
  runHook postCheck
  echo "Finished cargoCheckHook"
}

if [[ -z ${dontCargoCheck:-} && -z ${checkPhase:-} ]]; then checkPhase=cargoCheckHook; fi
