# shellcheck shell=bash
# A phase before configurePhase that makes the build system anew. autoreconfFlags, dontAutoreconf.

autoreconfPhase() {
  runHook preAutoreconf
  local -a flags=()
  concatTo flags autoreconfFlags
  if ((${#flags[@]} == 0)); then flags=(--install --force --verbose); fi
  autoreconf "${flags[@]}"
  runHook postAutoreconf
}

if [[ -z ${dontAutoreconf:-} ]]; then appendToVar preConfigurePhases autoreconfPhase; fi
