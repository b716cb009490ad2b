# shellcheck shell=bash
# shellcheck disable=SC2154  # attributes of the package, or set by another part of the standard environment
# Finding the inputs, theirs and theirs; putting them on PATH; sourcing their setup hooks; running the environment hooks.
#
# The host set never compiles for another machine, so two kinds of inputs are enough: those that run during the build
# (native, platform offset -1) and those the result is made of (offset 0). The other lists of the manual join the kind
# that has their offset.

declare -a _nativeInputs=() _hostInputs=()
declare -a envBuildHooks=() envHostHooks=() envTargetHooks=()

# addEnvHooks OFFSET FUNCTION...: call the functions with every input of the offset (-1, 0 or 1), once all are known.
addEnvHooks() {
  local offset="${1:?offset}"
  shift
  case "$offset" in
    -1) envBuildHooks+=("$@") ;;
    0) envHostHooks+=("$@") ;;
    1) envTargetHooks+=("$@") ;;
    *)
      echo "addEnvHooks: $offset is not a platform offset" >&2
      return 1
      ;;
  esac
}

# _findInputs native|host PACKAGE: remember it and, after it, what it propagates.
_findInputs() {
  local kind="${1:?kind}" package="${2:?package}" next
  local -n found="_${kind}Inputs"
  case " ${found[*]} " in *" $package "*) return 0 ;; esac
  if [[ ! -e $package ]]; then
    echo "setup: the input $package does not exist" >&2
    exit 1
  fi
  found+=("$package")

  # What a native input needs at its own run time runs during the build; what its own build needed is not ours.
  if [[ -f $package/nix-support/propagated-build-inputs ]]; then
    read -r -d '' -a next <"$package/nix-support/propagated-build-inputs" || true
    local dependency
    for dependency in ${next+"${next[@]}"}; do _findInputs "$kind" "$dependency"; done
  fi
  if [[ $kind == host && -f $package/nix-support/propagated-native-build-inputs ]]; then
    read -r -d '' -a next <"$package/nix-support/propagated-native-build-inputs" || true
    local native
    for native in ${next+"${next[@]}"}; do _findInputs native "$native"; done
  fi
}

# _activatePackage HOSTOFFSET TARGETOFFSET PACKAGE. Setup hooks read the two offsets.
_activatePackage() {
  # shellcheck disable=SC2034
  local -r hostOffset="${1:?}" targetOffset="${2:?}"
  local pkg="${3:?}"
  if [[ -f $pkg ]]; then
    # shellcheck source=/dev/null
    source "$pkg"
    return
  fi
  if [[ -z ${strictDeps:-} || $hostOffset == -1 ]]; then addToSearchPath _inputPath "$pkg/bin"; fi
  if [[ $hostOffset == -1 ]]; then addToSearchPath XDG_DATA_DIRS "$pkg/share"; fi
  if [[ $hostOffset == 0 ]]; then addToSearchPath HOST_PATH "$pkg/bin"; fi
  if [[ -f $pkg/nix-support/setup-hook ]]; then
    nixTalkativeLog "sourcing setup hook $pkg/nix-support/setup-hook"
    # shellcheck source=/dev/null
    source "$pkg/nix-support/setup-hook"
  fi
}

# _activateInputs: everything above, in the order of the manual: native inputs first, hooks before environment hooks.
_activateInputs() {
  local -a native=() host=()
  local package hook
  local _inputPath=""
  concatTo native depsBuildBuild depsBuildBuildPropagated nativeBuildInputs propagatedNativeBuildInputs \
    depsBuildTarget depsBuildTargetPropagated defaultNativeBuildInputs
  concatTo host depsHostHost depsHostHostPropagated buildInputs propagatedBuildInputs depsTargetTarget \
    depsTargetTargetPropagated defaultBuildInputs
  for package in ${native+"${native[@]}"}; do _findInputs native "$package"; done
  for package in ${host+"${host[@]}"}; do _findInputs host "$package"; done

  # A hook may itself need programs.
  local ownPath="$PATH"
  PATH="${ownPath:+$ownPath:}$_machinePath"
  for package in ${_nativeInputs+"${_nativeInputs[@]}"}; do _activatePackage -1 0 "$package"; done
  for package in ${_hostInputs+"${_hostInputs[@]}"}; do _activatePackage 0 1 "$package"; done

  # Without strictDeps an input in the wrong list still works: every hook sees every input.
  local -a forBuild=("${_nativeInputs[@]}") forHost=("${_hostInputs[@]}")
  if [[ -z ${strictDeps:-} ]]; then
    forBuild+=("${_hostInputs[@]}")
    forHost=("${forBuild[@]}")
  fi
  for package in ${forBuild+"${forBuild[@]}"}; do
    for hook in ${envBuildHooks+"${envBuildHooks[@]}"}; do "$hook" "$package"; done
  done
  for package in ${forHost+"${forHost[@]}"}; do
    for hook in ${envHostHooks+"${envHostHooks[@]}"} ${envTargetHooks+"${envTargetHooks[@]}"}; do "$hook" "$package"; done
  done

  PATH="${_inputPath:+$_inputPath:}${ownPath:+$ownPath:}$_machinePath"
  HOST_PATH="${HOST_PATH:+$HOST_PATH:}$_machinePath"
  export PATH HOST_PATH
  unset -v _machinePath
  nixInfoLog "final path: $PATH"
}
