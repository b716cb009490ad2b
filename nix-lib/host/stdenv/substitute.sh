# shellcheck shell=bash
# Replacing text in files: --replace-fail|warn|quiet OLD NEW, --subst-var NAME, --subst-var-by NAME VALUE.

# consumeEntire NAME: standard input into the variable, to the byte; a NUL, which bash cannot hold, fails.
consumeEntire() {
  if IFS='' read -r -d '' "${1:?name}"; then
    echo "consumeEntire: the input has null bytes, it is not text" >&2
    return 1
  fi
}

# substituteStream NAME DESCRIPTION OPTION...: the text in the variable, replaced, on standard output.
substituteStream() {
  local _name="${1:?name}" _what="${2:?description}" _old _new _mode
  local -n _text="$_name"
  shift 2
  while (($#)); do
    _mode="$1"
    case "$_mode" in
      --replace | --replace-warn | --replace-fail | --replace-quiet)
        _old="${2:?$_mode needs a text to replace}" _new="$3"
        shift 3
        ;;
      --subst-var)
        if ! [[ $2 =~ ^[a-zA-Z_][a-zA-Z0-9_]*$ ]]; then
          echo "substitute: \"$2\" cannot be the name of a variable ($_what)" >&2
          return 1
        elif [[ -z ${!2+set} ]]; then
          echo "substitute: variable $2 is not set ($_what)" >&2
          return 1
        fi
        _old="@$2@" _new="${!2}"
        shift 2
        ;;
      --subst-var-by)
        _old="@${2:?}@" _new="$3"
        shift 3
        ;;
      *)
        echo "substitute: unknown option $1 ($_what)" >&2
        return 1
        ;;
    esac
    if [[ $_text != *"$_old"* ]]; then
      case "$_mode" in
        --replace-fail)
          printf 'substitute: %q does not occur in %s\n' "$_old" "$_what" >&2
          return 1
          ;;
        --replace | --replace-warn)
          printf 'substitute: warning: %q does not occur in %s\n' "$_old" "$_what" >&2
          ;;
      esac
    fi
    # Both quoted: bash 5.2 gives an unquoted `&` in the replacement a meaning.
    _text="${_text//"$_old"/"$_new"}"
  done
  printf '%s' "$_text"
}

# substitute INPUT OUTPUT OPTION...
substitute() {
  local _input="${1:?input}" _output="${2:?output}" _content
  shift 2
  if [[ ! -f $_input ]]; then
    echo "substitute: there is no file $_input" >&2
    return 1
  fi
  consumeEntire _content <"$_input"
  # The output may be a link to a read-only file, or the input itself: only a success may touch it.
  local _result
  _result="$(substituteStream _content "file '$_input'" "$@" && printf x)" || return 1
  if [[ -e $_output && ! -w $_output ]]; then chmod +w "$_output"; fi
  printf '%s' "${_result%x}" >"$_output"
}

# substituteInPlace FILE... OPTION...
substituteInPlace() {
  local -a _files=()
  local _file
  while (($#)) && [[ $1 != --* ]]; do
    _files+=("$1")
    shift
  done
  if ((${#_files[@]} == 0)); then
    echo "substituteInPlace: no file given" >&2
    return 1
  fi
  for _file in "${_files[@]}"; do substitute "$_file" "$_file" "$@"; done
}

# _allSubstitutions: the `--subst-var` options for every exported variable that starts with a lower-case letter, in the
# array _options. With structured attributes, attributes are plain shell variables: they count too.
_allSubstitutions() {
  local _variable
  _options=()
  while IFS= read -r _variable; do
    if [[ $_variable =~ ^[a-z][a-zA-Z0-9_]*$ ]]; then _options+=(--subst-var "$_variable"); fi
  done < <(if [[ -n $__structuredAttrs ]]; then compgen -v; else compgen -e; fi)
}

# substituteAllStream NAME DESCRIPTION, substituteAll INPUT OUTPUT, substituteAllInPlace FILE: @name@ for all variables.
substituteAllStream() {
  local -a _options
  _allSubstitutions
  substituteStream "$1" "$2" "${_options[@]}"
}
substituteAll() {
  local -a _options
  _allSubstitutions
  substitute "$1" "$2" "${_options[@]}"
}
substituteAllInPlace() {
  local _file="${1:?file}"
  shift
  substituteAll "$_file" "$_file" "$@"
}
