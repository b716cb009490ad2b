# shellcheck shell=bash
# Which phases run, in which order, and how one runs.

# definePhases: the list, unless the package has its own.
definePhases() {
  if [[ -n ${phases[*]:-} ]]; then return 0; fi
  phases="${prePhases[*]:-} unpackPhase patchPhase ${preConfigurePhases[*]:-} configurePhase \
${preBuildPhases[*]:-} buildPhase checkPhase ${preInstallPhases[*]:-} installPhase \
${preFixupPhases[*]:-} fixupPhase installCheckPhase ${preDistPhases[*]:-} distPhase ${postPhases[*]:-}"
}

# printPhases: one a line, for tools.
printPhases() {
  definePhases
  local phase
  # shellcheck disable=SC2048  # words of a string or elements of an array: names of phases have no spaces
  for phase in ${phases[*]}; do echo "$phase"; done
}

# _phaseIsOff PHASE: does a dontX or a missing doX turn it off?
_phaseIsOff() {
  case "${1:?phase}" in
    unpackPhase) [[ -n ${dontUnpack:-} ]] ;;
    patchPhase) [[ -n ${dontPatch:-} ]] ;;
    configurePhase) [[ -n ${dontConfigure:-} ]] ;;
    buildPhase) [[ -n ${dontBuild:-} ]] ;;
    checkPhase) [[ -z ${doCheck:-} ]] ;;
    installPhase) [[ -n ${dontInstall:-} ]] ;;
    fixupPhase) [[ -n ${dontFixup:-} ]] ;;
    installCheckPhase) [[ -z ${doInstallCheck:-} ]] ;;
    distPhase) [[ -z ${doDist:-} ]] ;;
    *) return 1 ;;
  esac
}

# showPhaseHeader PHASE: for the log, and for Nix, which shows it while building.
showPhaseHeader() {
  echo "Running phase: ${1:?phase}"
  [[ -n ${NIX_LOG_FD-} ]] || return 0
  printf '@nix { "action": "setPhase", "phase": "%s" }\n' "$1" >&"$NIX_LOG_FD"
}

# showPhaseFooter PHASE START END: seconds since the epoch; only long phases are worth a line.
showPhaseFooter() {
  local seconds=$((${3:?end} - ${2:?start}))
  ((seconds >= 30)) || return 0
  printf '%s completed in %d:%02d:%02d\n' "${1:?phase}" $((seconds / 3600)) $((seconds / 60 % 60)) $((seconds % 60))
}

runPhase() {
  local curPhase="$*"
  if _phaseIsOff "$curPhase"; then return 0; fi
  showPhaseHeader "$curPhase"
  dumpVars

  local startTime="$EPOCHSECONDS"
  # A variable of the phase's name is the package's own text and goes before the function.
  eval "${!curPhase:-$curPhase}"
  showPhaseFooter "$curPhase" "$startTime" "$EPOCHSECONDS"

  if [[ $curPhase == unpackPhase ]]; then
    # An archive may hold a directory nobody can enter.
    if [[ -n ${sourceRoot:-} ]]; then chmod +x -- "$sourceRoot"; fi
    cd -- "${sourceRoot:-.}" || exit
  fi
}

genericBuild() {
  if [[ -f ${buildCommandPath:-} ]]; then
    # shellcheck source=/dev/null
    source "$buildCommandPath"
    return
  fi
  if [[ -n ${buildCommand:-} ]]; then
    eval "$buildCommand"
    return
  fi
  definePhases
  # shellcheck disable=SC2048
  for curPhase in ${phases[*]}; do runPhase "$curPhase"; done
}
