# 40-shell-state: the shell state is the difference between the shell now and the shell right before the first phase,
# written as a script that the next stage sources. Kept as a difference so that attributes which a later stage gets are
# not overwritten by old state.
#
# Nothing here may fork per variable (a stage has hundreds), depend on `compgen` (absent from bash builds without
# readline, which nixpkgs uses), or trust the options, IFS or locale that a phase left behind.

# Because `declare -p` and `${!name}` see the locals of every function above them, and because a local cannot have the
# name of a read-only variable, every local that lives after a phase has run is called _phasesplit_something.

# Variables that belong to bash, to Nix or to us, or that change by themselves. What only differs by machine (HOSTNAME,
# NIX_BUILD_CORES) is kept where a phase changed it, like any other.
phasesplit_is_foreign_variable() {
  case $1 in
    BASH | BASH_* | BASHOPTS | BASHPID | SHELLOPTS | SHLVL | COMP_* | DIRSTACK | EPOCHREALTIME | EPOCHSECONDS) ;;
    EUID | UID | GROUPS | PPID | FUNCNAME | FUNCNEST | HISTCMD | LINENO | PIPESTATUS | PWD | OLDPWD) ;;
    RANDOM | SRANDOM | SECONDS | READLINE_* | _ | IFS) ;;
    NIX_LOG_FD | NIX_BUILD_TOP | NIX_ATTRS_JSON_FILE | NIX_ATTRS_SH_FILE) ;;
    curPhase | phases | _phasesplit_* | _PHASESPLIT_*) ;;
    *) false ;;
  esac
}

# Search paths: kept as what was put before and behind, so that an input of a later stage is still found.
phasesplit_is_search_path() {
  case $1 in
    *PATH | *PATHS | *FLAGS | *FLAGS_COMPILE* | *LDFLAGS* | *CFLAGS* | *_DIRS) ;;
    *) false ;;
  esac
}

# Fills _phasesplit_variables (name -> `declare -p` text) and _phasesplit_variable_names (sorted).
# $1: the `declare -p` text of IFS, which every caller has to set for itself.
phasesplit_read_variables() {
  local _phasesplit_letter _phasesplit_name _phasesplit_ifs=$1
  local -a _phasesplit_names=() _phasesplit_texts=()
  local -i _phasesplit_index
  _phasesplit_variable_names=()
  for _phasesplit_letter in _ {a..z} {A..Z}; do
    eval "_phasesplit_names+=(\"\${!$_phasesplit_letter@}\")"
  done
  for _phasesplit_name in "${_phasesplit_names[@]}"; do
    phasesplit_is_foreign_variable "$_phasesplit_name" || _phasesplit_variable_names+=("$_phasesplit_name")
  done
  for _phasesplit_name in "${_phasesplit_variable_names[@]}"; do
    declare -p "$_phasesplit_name"
    printf '\0'
  done >|"$_phasesplit_scratch/list"
  mapfile -d '' -t _phasesplit_texts <"$_phasesplit_scratch/list"
  declare -gA _phasesplit_variables=()
  for ((_phasesplit_index = 0; _phasesplit_index < ${#_phasesplit_variable_names[@]}; _phasesplit_index++)); do
    _phasesplit_variables[${_phasesplit_variable_names[_phasesplit_index]}]=${_phasesplit_texts[_phasesplit_index]%$'\n'}
  done
  if [[ -n $_phasesplit_ifs ]]; then
    _phasesplit_variable_names+=(IFS)
    _phasesplit_variables[IFS]=$_phasesplit_ifs
  fi
}

# Fills _phasesplit_functions (name -> "x" if exported, a space, the definition) and _phasesplit_function_names.
phasesplit_read_functions() {
  local _phasesplit_flags _phasesplit_name
  local -a _phasesplit_marks=() _phasesplit_texts=()
  local -i _phasesplit_index
  _phasesplit_function_names=()
  declare -F >|"$_phasesplit_scratch/list"
  while IFS=' ' read -r _ _phasesplit_flags _phasesplit_name; do
    case $_phasesplit_name in phasesplit_* | genericBuild) continue ;; esac
    _phasesplit_function_names+=("$_phasesplit_name")
    if [[ $_phasesplit_flags == *x* ]]; then _phasesplit_marks+=("x "); else _phasesplit_marks+=(" "); fi
  done <"$_phasesplit_scratch/list"
  for _phasesplit_name in "${_phasesplit_function_names[@]}"; do
    declare -f -- "$_phasesplit_name"
    printf '\0'
  done >|"$_phasesplit_scratch/list"
  mapfile -d '' -t _phasesplit_texts <"$_phasesplit_scratch/list"
  declare -gA _phasesplit_functions=()
  for ((_phasesplit_index = 0; _phasesplit_index < ${#_phasesplit_function_names[@]}; _phasesplit_index++)); do
    _phasesplit_functions[${_phasesplit_function_names[_phasesplit_index]}]=${_phasesplit_marks[_phasesplit_index]}${_phasesplit_texts[_phasesplit_index]}
  done
}

_phasesplit_signals=(EXIT ERR DEBUG RETURN HUP INT QUIT TERM USR1 USR2 PIPE ALRM CHLD CONT WINCH)

# Fills _phasesplit_traps (signal -> the `trap` command that sets it, or "").
phasesplit_read_traps() {
  local _phasesplit_signal _phasesplit_text
  declare -gA _phasesplit_traps=()
  for _phasesplit_signal in "${_phasesplit_signals[@]}"; do
    trap -p "$_phasesplit_signal" >|"$_phasesplit_scratch/list"
    IFS= read -r -d '' _phasesplit_text <"$_phasesplit_scratch/list" || true
    _phasesplit_traps[$_phasesplit_signal]=$_phasesplit_text
  done
  # Ours (70-keep-failed) stands for the one that was there.
  [[ ${_phasesplit_traps[EXIT]} != *phasesplit_leave_shell* ]] || _phasesplit_traps[EXIT]=$_phasesplit_exit_trap
}

# What set, shopt and umask say. Runs under the package's own options, so it uses nothing that they change.
phasesplit_read_shell_options() {
  shopt -p >|"$_phasesplit_scratch/list"
  mapfile -t _phasesplit_shopt <"$_phasesplit_scratch/list"
  set +o >|"$_phasesplit_scratch/list"
  mapfile -t _phasesplit_set <"$_phasesplit_scratch/list"
  umask -p >|"$_phasesplit_scratch/list"
  mapfile -t _phasesplit_umask <"$_phasesplit_scratch/list"
}

phasesplit_set_own_options() {
  set +o errexit +o nounset +o noglob +o xtrace +o verbose +o noclobber +o posix +o pipefail +o errtrace +o functrace
  shopt -u nullglob failglob nocasematch nocaseglob
  umask 022
}

# Puts options back as phasesplit_read_shell_options found them.
phasesplit_put_back_options() {
  local _phasesplit_line
  for _phasesplit_line in "${_phasesplit_shopt[@]}" "${_phasesplit_umask[@]}" "${_phasesplit_set[@]}"; do
    eval "$_phasesplit_line" || true
  done
}

# The shell as it is before the first phase of the stage: what the state is measured against.
phasesplit_remember_shell() {
  phasesplit_read_shell_options
  phasesplit_set_own_options
  declare -p IFS >|"$_phasesplit_scratch/list" 2>/dev/null
  local _phasesplit_ifs _phasesplit_name
  IFS= read -r -d '' _phasesplit_ifs <"$_phasesplit_scratch/list"
  local IFS=$' \t\n'
  phasesplit_read_variables "${_phasesplit_ifs%$'\n'}"
  phasesplit_read_functions
  phasesplit_read_traps
  declare -gA _phasesplit_base_variables=() _phasesplit_base_functions=() _phasesplit_base_traps=()
  _phasesplit_base_variable_names=("${_phasesplit_variable_names[@]}")
  _phasesplit_base_function_names=("${_phasesplit_function_names[@]}")
  for _phasesplit_name in "${_phasesplit_variable_names[@]}"; do
    _phasesplit_base_variables[$_phasesplit_name]=${_phasesplit_variables[$_phasesplit_name]}
  done
  for _phasesplit_name in "${_phasesplit_function_names[@]}"; do
    _phasesplit_base_functions[$_phasesplit_name]=${_phasesplit_functions[$_phasesplit_name]}
  done
  for _phasesplit_name in "${_phasesplit_signals[@]}"; do
    _phasesplit_base_traps[$_phasesplit_name]=${_phasesplit_traps[$_phasesplit_name]}
  done
  _phasesplit_base_shopt=("${_phasesplit_shopt[@]}")
  _phasesplit_base_set=("${_phasesplit_set[@]}")
  phasesplit_put_back_options
}

# The flags of a `declare -p` text, in _phasesplit_reply: "declare -ax X=…" -> "ax", "declare -- X=…" -> "".
phasesplit_flags() {
  _phasesplit_reply=${1#declare -}
  _phasesplit_reply=${_phasesplit_reply%% *}
  _phasesplit_reply=${_phasesplit_reply#-}
}

# Prints the command that makes variable $1, now $3 (`declare -p` text), out of what it was before, $2 (likewise, or "").
phasesplit_print_variable() {
  local _phasesplit_name=$1 _phasesplit_before=$2 _phasesplit_now=$3 _phasesplit_flags _phasesplit_old_flags
  phasesplit_flags "$_phasesplit_now"
  _phasesplit_flags=$_phasesplit_reply
  phasesplit_flags "$_phasesplit_before"
  _phasesplit_old_flags=$_phasesplit_reply
  if [[ -n $_phasesplit_before && $_phasesplit_flags == "$_phasesplit_old_flags" ]]; then
    if [[ $_phasesplit_flags != *[aAinr]* && $_phasesplit_before == *=* ]] && phasesplit_is_search_path "$_phasesplit_name"; then
      local _phasesplit_old
      eval "_phasesplit_old=${_phasesplit_before#*=}"
      local _phasesplit_new=${!_phasesplit_name-}
      if [[ -n $_phasesplit_old && $_phasesplit_new == *"$_phasesplit_old"* ]]; then
        local _phasesplit_front=${_phasesplit_new%%"$_phasesplit_old"*} _phasesplit_back=${_phasesplit_new#*"$_phasesplit_old"}
        # shellcheck disable=SC2016 # for the stage that sources it
        printf '%s=%s"${%s-}"%s\n' "$_phasesplit_name" "${_phasesplit_front@Q}" "$_phasesplit_name" "${_phasesplit_back@Q}"
        return
      fi
    elif [[ $_phasesplit_flags == a && $_phasesplit_name == *Hooks && $_phasesplit_now == "${_phasesplit_before%?} "* ]]; then
      # Hooks were only added: kept as the elements behind those that were there.
      local -a _phasesplit_old_elements=()
      eval "_phasesplit_old_elements=${_phasesplit_before#*=}"
      local -n _phasesplit_elements=$_phasesplit_name
      local _phasesplit_element _phasesplit_line=''
      for _phasesplit_element in "${_phasesplit_elements[@]:${#_phasesplit_old_elements[@]}}"; do
        _phasesplit_line+=" ${_phasesplit_element@Q}"
      done
      printf '%s+=(%s )\n' "$_phasesplit_name" "$_phasesplit_line"
      return
    fi
    printf 'declare -g%s %s\n' "$_phasesplit_flags" "${_phasesplit_now#declare -* }"
    return
  fi
  # Attributes such as -x and -a cannot be taken from a variable in place.
  [[ -z $_phasesplit_before ]] || printf 'unset -v %s\n' "$_phasesplit_name"
  printf 'declare -g%s %s\n' "$_phasesplit_flags" "${_phasesplit_now#declare -* }"
}

phasesplit_print_variables() {
  local _phasesplit_each _phasesplit_text _phasesplit_base
  for _phasesplit_each in "${_phasesplit_base_variable_names[@]}"; do
    [[ -n ${_phasesplit_variables[$_phasesplit_each]-} ]] || printf 'unset -v %s\n' "$_phasesplit_each"
  done
  for _phasesplit_each in "${_phasesplit_variable_names[@]}"; do
    _phasesplit_text=${_phasesplit_variables[$_phasesplit_each]}
    _phasesplit_base=${_phasesplit_base_variables[$_phasesplit_each]-}
    [[ $_phasesplit_text != "$_phasesplit_base" ]] || continue
    [[ -z ${_phasesplit_later[$_phasesplit_each]-} ]] || phasesplit_note "$_phasesplit_each" "sets it"
    phasesplit_print_variable "$_phasesplit_each" "$_phasesplit_base" "$_phasesplit_text"
  done
}

phasesplit_print_functions() {
  local _phasesplit_name _phasesplit_text
  for _phasesplit_name in "${_phasesplit_base_function_names[@]}"; do
    [[ -n ${_phasesplit_functions[$_phasesplit_name]-} ]] || printf 'unset -f -- %q\n' "$_phasesplit_name"
  done
  for _phasesplit_name in "${_phasesplit_function_names[@]}"; do
    _phasesplit_text=${_phasesplit_functions[$_phasesplit_name]}
    [[ $_phasesplit_text != "${_phasesplit_base_functions[$_phasesplit_name]-}" ]] || continue
    [[ -z ${_phasesplit_later[$_phasesplit_name]-} ]] || phasesplit_note "$_phasesplit_name" "defines a function of that name"
    printf '%s' "${_phasesplit_text#* }"
    [[ $_phasesplit_text != x* ]] || printf 'export -f -- %q\n' "$_phasesplit_name"
  done
}

phasesplit_print_traps() {
  local _phasesplit_signal
  for _phasesplit_signal in "${_phasesplit_signals[@]}"; do
    [[ ${_phasesplit_traps[$_phasesplit_signal]} != "${_phasesplit_base_traps[$_phasesplit_signal]-}" ]] || continue
    if [[ -n ${_phasesplit_traps[$_phasesplit_signal]} ]]; then
      printf '%s' "${_phasesplit_traps[$_phasesplit_signal]}"
    else
      printf 'trap - %s\n' "$_phasesplit_signal"
    fi
  done
}

# $1, $2: names of two arrays of option commands, before and now: prints those that changed.
phasesplit_print_options() {
  local -n _phasesplit_before_options=$1 _phasesplit_options=$2
  local -i _phasesplit_index
  for ((_phasesplit_index = 0; _phasesplit_index < ${#_phasesplit_options[@]}; _phasesplit_index++)); do
    [[ ${_phasesplit_options[_phasesplit_index]} == "${_phasesplit_before_options[_phasesplit_index]}" ]] || printf '%s\n' "${_phasesplit_options[_phasesplit_index]}"
  done
}

# Where the shell stood, and what pushd left: a later phase may popd.
phasesplit_print_directories() {
  local -a _phasesplit_stack=()
  local -i _phasesplit_index
  printf 'cd -- %q\n' "$PWD"
  dirs -l -p >|"$_phasesplit_scratch/list"
  mapfile -t _phasesplit_stack <"$_phasesplit_scratch/list"
  for ((_phasesplit_index = ${#_phasesplit_stack[@]} - 1; _phasesplit_index > 0; _phasesplit_index--)); do
    printf 'pushd -n %q >/dev/null\n' "${_phasesplit_stack[_phasesplit_index]}"
  done
  [[ -z ${OLDPWD-} ]] || printf 'OLDPWD=%q\n' "$OLDPWD"
}

phasesplit_is_ifs_read_only() {
  [[ ${IFS@A} == declare\ -*r*' IFS='* ]]
}

# Writes the shell state to $1.
phasesplit_write_shell() {
  ! phasesplit_is_ifs_read_only ||
    phasesplit_fail "a phase made IFS read-only: then no state can be written or read. Set it without that, or use the unsplit build"
  phasesplit_read_shell_options
  phasesplit_set_own_options
  declare -p IFS >|"$_phasesplit_scratch/list" 2>/dev/null
  local _phasesplit_ifs
  IFS= read -r -d '' _phasesplit_ifs <"$_phasesplit_scratch/list"
  local IFS=$' \t\n'
  phasesplit_read_variables "${_phasesplit_ifs%$'\n'}"
  phasesplit_read_functions
  phasesplit_read_traps
  # Options that decide how the rest is parsed (extglob) come first, those that change how it runs come last.
  {
    phasesplit_print_options _phasesplit_base_shopt _phasesplit_shopt
    phasesplit_print_variables
    phasesplit_print_functions
    alias -p
    phasesplit_print_mentioned
    phasesplit_print_directories
    phasesplit_print_traps
    printf '%s\n' "${_phasesplit_umask[@]}"
    phasesplit_print_options _phasesplit_base_set _phasesplit_set
    printf '%s\n' '_phasesplit_whole=1'
  } >|"$1"
}

