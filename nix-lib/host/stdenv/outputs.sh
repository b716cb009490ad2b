# shellcheck shell=bash
# shellcheck disable=SC2154  # attributes of the package, or set by another part of the standard environment
# Which outputs there are, and which of them gets what (outputBin, outputDev, …; a package may set them itself).

if [[ -n $__structuredAttrs ]]; then
  for _output in "${!outputs[@]}"; do export "$_output=${outputs[$_output]}"; done
  if declare -p env &>/dev/null; then
    # shellcheck disable=SC2154  # `env` is an attribute
    for _variable in "${!env[@]}"; do export "$_variable=${env[$_variable]}"; done
    unset -v _variable
  fi
  unset -v _output
else
  : "${outputs:=out}"
fi

# getAllOutputNames: the names in words.
getAllOutputNames() {
  if [[ -n $__structuredAttrs ]]; then
    echo "${!outputs[*]}"
  else
    # shellcheck disable=SC2128
    echo "$outputs"
  fi
}

# _defaultOutput NAME CANDIDATE...: set NAME to the first candidate that is an output, unless it has a value.
_defaultOutput() {
  local name="${1:?name}" candidate
  [[ -z ${!name-} ]] || return 0
  shift
  for candidate in "$@"; do
    if [[ $candidate == REMOVE || -n ${!candidate-} ]]; then
      printf -v "$name" '%s' "$candidate"
      return 0
    fi
  done
  echo "setup: none of the outputs $* exists, so $name cannot be chosen; set it in the package" >&2
  return 1
}

# `REMOVE` stands where a directory would be; moveToOutput knows it.
# shellcheck disable=SC2154  # set above through printf -v, or attributes
{
  _defaultOutput outputDev dev out
  _defaultOutput outputBin bin out
  _defaultOutput outputInclude "$outputDev"
  _defaultOutput outputLib lib out
  _defaultOutput outputDoc doc out
  _defaultOutput outputDevdoc devdoc REMOVE
  _defaultOutput outputMan man "$outputBin"
  _defaultOutput outputDevman devman devdoc "$outputMan"
  _defaultOutput outputInfo info "$outputBin"
}
