# shellcheck shell=bash
# How compilers and linkers find the inputs. There is no compiler wrapper: gcc and ld read these variables themselves.
#
# C_INCLUDE_PATH and its sisters count as `-isystem`, so a package's own -I always comes first. LIBRARY_PATH is `-L`.
# The run path goes into LDFLAGS, which configure scripts, CMake, Meson and setuptools read, and into LD_RUN_PATH, which
# ld uses where no -rpath was given at all (plain makefiles).

declare -a _runPaths=()

_addInputToSearchPaths() {
  local input="${1:?input}" variable
  for variable in C_INCLUDE_PATH CPLUS_INCLUDE_PATH OBJC_INCLUDE_PATH; do
    addToSearchPath "$variable" "$input/include"
  done
  addToSearchPath LIBRARY_PATH "$input/lib"
  addToSearchPath PKG_CONFIG_PATH "$input/lib/pkgconfig"
  addToSearchPath PKG_CONFIG_PATH "$input/share/pkgconfig"
  addToSearchPath ACLOCAL_PATH "$input/share/aclocal"
  addToSearchPath CMAKE_PREFIX_PATH "$input"
  # Only shared libraries are looked for at run time.
  if compgen -G "$input/lib/*.so*" >/dev/null; then _runPaths+=("$input/lib"); fi
}
addEnvHooks 0 _addInputToSearchPaths

# _setSearchPaths: after the inputs are known.
_setSearchPaths() {
  local path
  [[ -z ${NIX_DONT_SET_RPATH:-} ]] || return 0
  # shellcheck disable=SC2154
  if [[ -n ${!outputLib-} && -z ${NIX_NO_SELF_RPATH:-} ]]; then _runPaths=("${!outputLib}/lib" "${_runPaths[@]}"); fi
  for path in ${_runPaths+"${_runPaths[@]}"}; do
    LDFLAGS="${LDFLAGS:+$LDFLAGS }-Wl,-rpath,$path"
    LD_RUN_PATH="${LD_RUN_PATH:+$LD_RUN_PATH:}$path"
  done
  export LDFLAGS LD_RUN_PATH
}
