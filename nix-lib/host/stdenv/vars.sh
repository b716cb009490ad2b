# shellcheck shell=bash
# shellcheck disable=SC2128,SC2178  # the references point at strings or arrays, on purpose
# Variables that came from attributes: a string of words without structured attributes, an array with them.
# Every function here takes both. `-n` references are named so that no package's variable can hide behind them.

# Not empty where the attributes are structured.
__structuredAttrs="${NIX_ATTRS_JSON_FILE:+1}"

# _kindOf NAME: `unset`, `string`, `array` or `map`, in _kind.
_kindOf() {
  local declared
  if ! declared="$(declare -p "${1:?name}" 2>/dev/null)"; then
    _kind="unset"
    return
  fi
  # declare -ax NAME=…: the second word has the attributes.
  declared="${declared#declare }"
  case "${declared%% *}" in
    *A*) _kind=map ;;
    *a*) _kind=array ;;
    *) _kind=string ;;
  esac
}

# _mergeIntoVar prepend|append NAME VALUE...
_mergeIntoVar() {
  local _side="${1:?side}" _name="${2:?name}" _kind
  shift 2
  _kindOf "$_name"
  local -n _target="$_name"
  if [[ $_kind == map ]]; then
    echo "${FUNCNAME[1]}: $_name is an associative array, assign to its keys instead" >&2
    return 1
  fi
  if [[ $_kind == array || ($_kind == unset && -n $__structuredAttrs) ]]; then
    if [[ $_side == prepend ]]; then
      _target=("$@" ${_target+"${_target[@]}"})
    else
      _target=(${_target+"${_target[@]}"} "$@")
    fi
  elif [[ $_side == prepend ]]; then
    _target="$*${_target:+ $_target}"
  else
    _target="${_target:+$_target }$*"
  fi
}

# prependToVar NAME VALUE..., appendToVar NAME VALUE...: add values in front or at the end.
prependToVar() { _mergeIntoVar prepend "$@"; }
appendToVar() { _mergeIntoVar append "$@"; }

# concatTo ARRAY NAME[=DEFAULT]...: append the values of the named variables to ARRAY, strings cut at white space.
# An empty or missing variable gives its default.
concatTo() {
  local -
  set -o noglob
  local -n _into="${1:?array}"
  shift
  local _spec _name _default _kind
  for _spec in "$@"; do
    _name="${_spec%%=*}"
    _default=""
    if [[ $_spec == *=* ]]; then _default="${_spec#*=}"; fi
    _kindOf "$_name"
    local -n _from="$_name"
    if [[ $_kind == map ]]; then
      echo "concatTo: $_name is an associative array" >&2
      return 1
    elif [[ $_kind == unset || -z ${_from[*]} ]]; then
      if [[ -n $_default ]]; then _into+=("$_default"); fi
    elif [[ $_kind == array ]]; then
      _into+=("${_from[@]}")
    else
      # shellcheck disable=SC2206  # cutting at white space is the contract
      _into+=($_from)
    fi
    unset -n _from
  done
}

# concatStringsSep SEPARATOR NAME: the values of the named variable, joined, on standard output.
concatStringsSep() {
  local _separator="$1" _joined="" _value
  local -a _values=()
  concatTo _values "${2:?name}"
  for _value in ${_values+"${_values[@]}"}; do
    _joined+="${_joined:+$_separator}$_value"
  done
  printf '%s' "$_joined"
}

# addToSearchPathWithCustomDelimiter DELIMITER NAME DIRECTORY: append a directory that exists and is not in the path yet.
addToSearchPathWithCustomDelimiter() {
  local delimiter="${1:?delimiter}" name="${2:?name}" directory="${3:?directory}"
  [[ -d $directory && "$delimiter${!name-}$delimiter" != *"$delimiter$directory$delimiter"* ]] || return 0
  export "$name=${!name:+${!name}$delimiter}$directory"
}

addToSearchPath() { addToSearchPathWithCustomDelimiter : "$@"; }

# printWords, printLines: arguments on one line, or each on its own; nothing at all for no arguments.
printWords() {
  (($#)) || return 0
  printf '%s ' "$@"
}
printLines() {
  (($#)) || return 0
  printf '%s\n' "$@"
}

# isELF FILE, isScript FILE: told by the first bytes.
isELF() {
  local magic fd
  exec {fd}<"${1:?file}"
  LANG=C read -r -n 4 -u "$fd" magic || true
  exec {fd}<&-
  [[ $magic == $'\177ELF' ]]
}
isScript() {
  local magic fd
  exec {fd}<"${1:?file}"
  LANG=C read -r -n 2 -u "$fd" magic || true
  exec {fd}<&-
  [[ $magic == '#!' ]]
}

# stripHash PATH: the last component without the hash that a store path begins with, on standard output.
stripHash() {
  local base="${1:?path}"
  base="${base%/}"
  base="${base##*/}"
  if [[ $base =~ ^[a-z0-9]{32}- ]]; then base="${base:33}"; fi
  printf '%s\n' "$base"
}
