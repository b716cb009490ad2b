# shellcheck shell=bash
# What happens when the builder ends, well or badly.

exitHandler() {
  local exitCode=$?
  set +e
  if [[ -n ${showBuildStats:-} ]]; then
    echo "build times (shell, then its children; user and system):"
    times
  fi
  if ((exitCode == 0)); then
    runHook exitHook
    return 0
  fi
  runHook failureHook
  if [[ -n ${succeedOnFailure:-} ]]; then
    echo "build failed with exit code $exitCode (ignored)"
    mkdir -p "${out:?}/nix-support"
    printf '%s' "$exitCode" >"$out/nix-support/failed"
    exit 0
  fi
  return "$exitCode"
}

trap exitHandler EXIT
