# shellcheck shell=bash
# shellcheck disable=SC2154  # attributes of the package, or set by another part of the standard environment
# buildPhase, checkPhase, installPhase, installCheckPhase and distPhase for makefiles.

_hasMakefile() {
  [[ -n ${makeFlags[*]-} || -n ${makefile:-} || -e Makefile || -e makefile || -e GNUmakefile ]]
}

# _make LABEL JOBS NAME[=DEFAULT]...: make with the flags of the named variables; JOBS not empty: in parallel.
_make() {
  local label="${1:?label}" jobs="$2"
  shift 2
  local -a flags=()
  if [[ -n $jobs ]]; then flags+=("-j$NIX_BUILD_CORES"); fi
  flags+=("SHELL=$SHELL")
  concatTo flags makeFlags makeFlagsArray "$@"
  echoCmd "$label flags" "${flags[@]}"
  make ${makefile:+-f "$makefile"} "${flags[@]}"
}

# _makeKnows TARGET
_makeKnows() { make -n ${makefile:+-f "$makefile"} "${1:?target}" &>/dev/null; }

buildPhase() {
  runHook preBuild
  if _hasMakefile; then
    foundMakefile=1
    _make build "${enableParallelBuilding:-}" buildFlags buildFlagsArray
  else
    echo "no Makefile or custom buildPhase, doing nothing"
  fi
  runHook postBuild
}

checkPhase() {
  runHook preCheck
  if [[ -z ${foundMakefile:-} ]]; then
    echo "no Makefile or custom checkPhase, doing nothing"
  else
    if [[ -z ${checkTarget:-} ]]; then
      if _makeKnows check; then
        checkTarget=check
      elif _makeKnows test; then
        checkTarget="test"
      fi
    fi
    if [[ -z ${checkTarget:-} ]]; then
      echo "no check/test target in ${makefile:-Makefile}, doing nothing"
    else
      _make check "${enableParallelChecking:-}" checkFlags=VERBOSE=y checkFlagsArray checkTarget
    fi
  fi
  runHook postCheck
}

installPhase() {
  runHook preInstall
  if _hasMakefile; then
    foundMakefile=1
    if [[ -n $prefix ]]; then mkdir -p "$prefix"; fi
    _make install "${enableParallelInstalling:-}" installFlags installFlagsArray installTargets=install
  else
    echo "no Makefile or custom installPhase, doing nothing"
  fi
  runHook postInstall
}

installCheckPhase() {
  runHook preInstallCheck
  if [[ -z ${foundMakefile:-} ]]; then
    echo "no Makefile or custom installCheckPhase, doing nothing"
  elif [[ -z ${installCheckTarget:-} ]] && ! _makeKnows installcheck; then
    echo "no installcheck target in ${makefile:-Makefile}, doing nothing"
  else
    _make installcheck "${enableParallelChecking:-}" installCheckFlags installCheckFlagsArray \
      installCheckTarget=installcheck
  fi
  runHook postInstallCheck
}

distPhase() {
  runHook preDist
  _make dist "" distFlags distFlagsArray distTarget=dist
  if [[ ${dontCopyDist:-0} != 1 ]]; then
    mkdir -p "$out/tarballs"
    # Patterns are allowed in tarballs.
    # shellcheck disable=SC2048,SC2086
    cp -pvd ${tarballs[*]:-*.tar.gz} "$out/tarballs"
  fi
  runHook postDist
}
