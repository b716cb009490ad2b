# shellcheck shell=bash
# build, check and install phases for Ninja. ninjaFlags, dontUseNinjaBuild, dontUseNinjaCheck, dontUseNinjaInstall.

# cmake's hook asks whether ninja is there too; which of both is sourced first is not known.
_ninjaIsAnInput=1

# _ninja LABEL JOBS NAME[=DEFAULT]...
_ninja() {
  local label="${1:?label}" jobs="$2"
  shift 2
  local -a flags=("-j$([[ -n $jobs ]] && echo "${NIX_BUILD_CORES:?}" || echo 1)")
  concatTo flags ninjaFlags ninjaFlagsArray "$@"
  echoCmd "$label flags" "${flags[@]}"
  # Ninja draws its progress over one line where it finds a terminal.
  TERM=dumb ninja "${flags[@]}"
}

ninjaBuildPhase() {
  runHook preBuild
  _ninja build "${enableParallelBuilding-1}" buildFlags buildFlagsArray
  runHook postBuild
}

ninjaCheckPhase() {
  runHook preCheck
  if [[ -z ${checkTarget:-} ]] && ninja -t query test &>/dev/null; then checkTarget="test"; fi
  if [[ -z ${checkTarget:-} ]]; then
    echo "no test target in build.ninja, doing nothing"
  else
    _ninja check "${enableParallelChecking-1}" checkFlags checkFlagsArray checkTarget
  fi
  runHook postCheck
}

ninjaInstallPhase() {
  runHook preInstall
  _ninja install "${enableParallelInstalling-1}" installFlags installFlagsArray installTargets=install
  runHook postInstall
}

if [[ -z ${dontUseNinjaBuild:-} && -z ${buildPhase:-} ]]; then buildPhase=ninjaBuildPhase; fi
if [[ -z ${dontUseNinjaCheck:-} && -z ${checkPhase:-} ]]; then checkPhase=ninjaCheckPhase; fi
if [[ -z ${dontUseNinjaInstall:-} && -z ${installPhase:-} ]]; then installPhase=ninjaInstallPhase; fi
