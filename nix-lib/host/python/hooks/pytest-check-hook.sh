# shellcheck shell=bash
# A test phase with pytest. pytestFlags, disabledTests, disabledTestPaths, enabledTestPaths, dontUsePytestCheck.

pytestCheckPhase() {
  runHook preCheck
  local -a flags=(-m pytest -p no:cacheprovider) tests=() paths=()
  local path
  concatTo tests disabledTests
  if ((${#tests[@]})); then
    local expression
    printf -v expression ' and not %s' "${tests[@]}"
    flags+=(-k "${expression# and }")
  fi
  concatTo paths disabledTestPaths
  for path in ${paths+"${paths[@]}"}; do flags+=("--ignore=$path"); done
  concatTo flags pytestFlags pytestFlagsArray enabledTestPaths
  echoCmd 'pytest flags' "${flags[@]}"
  /usr/bin/python3 "${flags[@]}"
  runHook postCheck
}

if [[ -z ${dontUsePytestCheck:-} && -z ${installCheckPhase:-} ]]; then installCheckPhase=pytestCheckPhase; fi
