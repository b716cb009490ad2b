# shellcheck shell=bash
# shellcheck disable=SC2154  # attributes of the package, or set by another part of the standard environment
# Stripping: debug information from the usual places (-S), all symbols only where the package says so (-s).

fixupOutputHooks+=(_stripOutput)

_stripOutput() {
  [[ -z ${dontStrip:-} && -n ${STRIP:-} ]] || return 0
  local -a debugDirs=() allDirs=()
  concatTo debugDirs stripDebugList
  if ((${#debugDirs[@]} == 0)); then debugDirs=(lib lib32 lib64 libexec bin sbin); fi
  concatTo allDirs stripAllList
  local -a debugFlags=() allFlags=()
  concatTo debugFlags stripDebugFlags
  if ((${#debugFlags[@]} == 0)); then debugFlags=(-S -p); fi
  concatTo allFlags stripAllFlags
  if ((${#allFlags[@]} == 0)); then allFlags=(-s -p); fi
  # Globals of this function for the two calls below.
  _stripIn debugFlags "${debugDirs[@]}"
  _stripIn allFlags ${allDirs+"${allDirs[@]}"}
}

# _stripIn FLAGS DIRECTORY...: FLAGS is the name of an array; directories are relative to $prefix.
_stripIn() {
  local -n _flags="${1:?flags}"
  shift
  local -a present=() exclude=()
  local directory pattern
  for directory in "$@"; do
    if [[ -e $prefix/$directory ]]; then present+=("$prefix/$directory"); fi
  done
  ((${#present[@]})) || return 0
  local -a patterns=()
  concatTo patterns stripExclude
  for pattern in ${patterns+"${patterns[@]}"}; do
    exclude+=(! \( -name "$pattern" -o -wholename "$prefix/$pattern" \))
  done

  echo "stripping (with command $STRIP and flags ${_flags[*]}) in ${present[*]}"
  # One name per inode: two strips of one file at a time would break it. Most files are no objects, which strip
  # answers with an error that means nothing here.
  find "${present[@]}" -type f ${exclude+"${exclude[@]}"} ! -path "$prefix/lib/debug/*" -printf '%D-%i %p\0' |
    sort -z -u -t ' ' -k 1,1 | cut -z -d ' ' -f 2- |
    xargs -0 -r -n 1 -P "$NIX_BUILD_CORES" -- "$STRIP" "${_flags[@]}" 2>/dev/null || (($? == 123))
  # strip drops the index of an archive, and linking needs it.
  find "${present[@]}" -type f -name '*.a' -exec "${RANLIB:-ranlib}" {} + 2>/dev/null || true
}
