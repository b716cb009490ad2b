
# 45-shell-script: the shell state as a script that the next stage sources, and what it needs for that.
#
# It is read without bash too (src/inspect/shell): a new kind of line needs a reader there. After the functions every
# command is called as `builtin`, since a function may have its name. What would change how the runtime's own commands run
# is put into _phasesplit_frame, which genericBuild evaluates right before the first phase: what a trap on ERR, DEBUG or
# RETURN sees is then the package's own.

# The flags of a `declare -p` text, in _phasesplit_reply: "declare -ax X=…" -> "ax", "declare -- X=…" -> "".
phasesplit_flags() {
  _phasesplit_reply=${1#declare -}
  _phasesplit_reply=${_phasesplit_reply%% *}
  _phasesplit_reply=${_phasesplit_reply#-}
}

# Prints the commands that make variable $1, now $3 (`declare -p` text), out of what it was before, $2 (likewise, or "").
phasesplit_print_variable() {
  local _phasesplit_name=$1 _phasesplit_before=$2 _phasesplit_now=$3 _phasesplit_flags _phasesplit_old_flags _phasesplit_value=''
  phasesplit_flags "$_phasesplit_now"
  _phasesplit_flags=$_phasesplit_reply
  phasesplit_flags "$_phasesplit_before"
  _phasesplit_old_flags=$_phasesplit_reply
  if [[ -n $_phasesplit_before && $_phasesplit_flags == "$_phasesplit_old_flags" ]] && phasesplit_print_addition; then return 0; fi
  if [[ $_phasesplit_old_flags == *r* ]]; then
    # It can have got more attributes, and nothing else.
    printf 'builtin declare -g%s %s\n' "$_phasesplit_flags" "$_phasesplit_name"
    return
  fi
  # Attributes such as -x and -a cannot be taken from a variable in place, and -i, -l, -u and -c would change the value.
  if [[ -n $_phasesplit_before && ( $_phasesplit_flags != "$_phasesplit_old_flags" || $_phasesplit_flags == *[cilnu]* ) ]]; then
    if [[ $_phasesplit_old_flags == *n* ]]; then printf 'builtin unset -n %s\n' "$_phasesplit_name"; else printf 'builtin unset -v %s\n' "$_phasesplit_name"; fi
  fi
  _phasesplit_value=${_phasesplit_now#declare -* }
  if [[ $_phasesplit_flags == *n* ]]; then
    printf 'builtin declare -g%s %s\n' "$_phasesplit_flags" "$_phasesplit_value"
  elif [[ $_phasesplit_value != *=* ]]; then
    printf 'builtin declare -g%s %s\n' "$_phasesplit_flags" "$_phasesplit_name"
  else
    # Some attributes would change the value: it comes first.
    [[ $_phasesplit_flags != *A* ]] || printf 'builtin declare -gA %s\n' "$_phasesplit_name"
    printf '%s\n' "$_phasesplit_value"
    [[ ${_phasesplit_flags//[aA]/} == '' ]] || printf 'builtin declare -g%s %s\n' "$_phasesplit_flags" "$_phasesplit_name"
  fi
}

# For the variable of phasesplit_print_variable: prints it as what was added, if that is how it is kept.
phasesplit_print_addition() {
  if [[ $_phasesplit_flags != *[aAilnruc]* && $_phasesplit_before == *=* && $_phasesplit_now == *=* ]] && phasesplit_is_search_path "$_phasesplit_name"; then
    local _phasesplit_old _phasesplit_new
    eval "_phasesplit_old=${_phasesplit_before#*=} _phasesplit_new=${_phasesplit_now#*=}"
    [[ -n $_phasesplit_old && $_phasesplit_new == *"$_phasesplit_old"* ]] || return
    local _phasesplit_front=${_phasesplit_new%%"$_phasesplit_old"*} _phasesplit_back=${_phasesplit_new#*"$_phasesplit_old"}
    # shellcheck disable=SC2016 # for the stage that sources it
    printf '%s=%s"${%s-}"%s\n' "$_phasesplit_name" "${_phasesplit_front@Q}" "$_phasesplit_name" "${_phasesplit_back@Q}"
  elif [[ $_phasesplit_flags == a && $_phasesplit_name == *Hooks && $_phasesplit_now == "${_phasesplit_before%?} "* ]]; then
    # Hooks were only added: kept as the elements behind those that were there.
    local -a _phasesplit_old_elements=() _phasesplit_elements=()
    eval "_phasesplit_old_elements=${_phasesplit_before#*=} _phasesplit_elements=${_phasesplit_now#*=}"
    local _phasesplit_element _phasesplit_line=''
    for _phasesplit_element in "${_phasesplit_elements[@]:${#_phasesplit_old_elements[@]}}"; do
      _phasesplit_line+=" ${_phasesplit_element@Q}"
    done
    printf '%s+=(%s )\n' "$_phasesplit_name" "$_phasesplit_line"
  else
    return 1
  fi
}

# $1: `usual` or `special`. References come last: an assignment goes through them.
phasesplit_print_variables() {
  local _phasesplit_each _phasesplit_text _phasesplit_base _phasesplit_kind
  local -a _phasesplit_references=()
  for _phasesplit_each in "${_phasesplit_base_variable_names[@]}"; do
    [[ -z ${_phasesplit_variables[$_phasesplit_each]-} ]] || continue
    phasesplit_is_of_kind "$1" "$_phasesplit_each" || continue
    phasesplit_flags "${_phasesplit_base_variables[$_phasesplit_each]}"
    if [[ $_phasesplit_reply == *n* ]]; then printf 'builtin unset -n %s\n' "$_phasesplit_each"; else printf 'builtin unset -v %s\n' "$_phasesplit_each"; fi
  done
  for _phasesplit_each in "${_phasesplit_variable_names[@]}"; do
    _phasesplit_text=${_phasesplit_variables[$_phasesplit_each]}
    _phasesplit_base=${_phasesplit_base_variables[$_phasesplit_each]-}
    [[ -n $_phasesplit_text ]] || continue
    # `cd` sets these when the state is restored.
    case $_phasesplit_each in PWD | OLDPWD) _phasesplit_base='' ;; esac
    [[ $_phasesplit_text != "$_phasesplit_base" ]] || continue
    phasesplit_is_of_kind "$1" "$_phasesplit_each" || continue
    if [[ $_phasesplit_base == *=computed ]]; then
      _phasesplit_base=''
      printf 'builtin unset -v %s\n' "$_phasesplit_each"
    fi
    [[ -z ${_phasesplit_later[$_phasesplit_each]-} ]] || phasesplit_note "$_phasesplit_each" "sets it"
    phasesplit_flags "$_phasesplit_text"
    if [[ $_phasesplit_reply == *n* ]]; then
      _phasesplit_references+=("$_phasesplit_each")
    else
      phasesplit_print_variable "$_phasesplit_each" "$_phasesplit_base" "$_phasesplit_text"
    fi
  done
  for _phasesplit_each in "${_phasesplit_references[@]}"; do
    phasesplit_print_variable "$_phasesplit_each" "${_phasesplit_base_variables[$_phasesplit_each]-}" "${_phasesplit_variables[$_phasesplit_each]}"
  done
}

phasesplit_is_of_kind() {
  if phasesplit_is_special_variable "$2"; then [[ $1 == special ]]; else [[ $1 == usual ]]; fi
}

phasesplit_print_functions() {
  local _phasesplit_name _phasesplit_text _phasesplit_flags
  for _phasesplit_name in "${_phasesplit_base_function_names[@]}"; do
    [[ -n ${_phasesplit_functions[$_phasesplit_name]-} ]] || printf 'builtin unset -f -- %q\n' "$_phasesplit_name"
  done
  for _phasesplit_name in "${_phasesplit_function_names[@]}"; do
    _phasesplit_text=${_phasesplit_functions[$_phasesplit_name]}
    [[ $_phasesplit_text != "${_phasesplit_base_functions[$_phasesplit_name]-}" ]] || continue
    [[ -z ${_phasesplit_later[$_phasesplit_name]-} ]] || phasesplit_note "$_phasesplit_name" "defines a function of that name"
    _phasesplit_flags=${_phasesplit_text%% *}
    _phasesplit_text=${_phasesplit_text#* }
    # Names that are also reserved words need it.
    [[ $_phasesplit_text == 'function '* ]] || _phasesplit_text="function $_phasesplit_text"
    printf '%s' "$_phasesplit_text"
    [[ -z $_phasesplit_flags ]] || printf 'builtin declare -f%s -- %q\n' "$_phasesplit_flags" "$_phasesplit_name"
  done
}

# All of them, and what removes those that there were.
phasesplit_print_aliases() {
  local _phasesplit_each
  local -A _phasesplit_present=()
  for _phasesplit_each in "${_phasesplit_aliases[@]}"; do _phasesplit_present[$_phasesplit_each]=1; done
  for _phasesplit_each in "${_phasesplit_base_aliases[@]}"; do
    [[ -n ${_phasesplit_present[$_phasesplit_each]-} ]] || printf 'unalias -- %q\n' "$_phasesplit_each"
  done
  alias -p
}

# Where the shell stands and who left it there, and what pushd left: a later phase may popd.
phasesplit_print_directories() {
  local -i _phasesplit_index
  [[ ${_phasesplit_directories[0]} == "${_phasesplit_stood_in-}" ]] || _phasesplit_stood_by="${curPhase:-a phase} (stage $_phasesplit_stage)"
  printf 'phasesplit_stand %q %q%s\n' "${_phasesplit_directories[0]}" "$_phasesplit_stood_by" "${_phasesplit_scalars[gone]:+ gone}"
  for ((_phasesplit_index = ${#_phasesplit_directories[@]} - 1; _phasesplit_index > 0; _phasesplit_index--)); do
    printf 'builtin pushd -n %q >/dev/null\n' "${_phasesplit_directories[_phasesplit_index]}"
  done
}

phasesplit_print_hashed() {
  local _phasesplit_each
  for _phasesplit_each in "${!_phasesplit_hashed[@]}"; do
    [[ ${_phasesplit_hashed[$_phasesplit_each]} == "${_phasesplit_base_hashed[$_phasesplit_each]-}" ]] ||
      printf 'builtin hash -p %q -- %q\n' "${_phasesplit_hashed[$_phasesplit_each]}" "$_phasesplit_each"
  done
}

# Prints a line for the frame: a command, quoted once more.
phasesplit_print_framed() {
  printf '_phasesplit_frame+=%s\n' "${1@Q}\$'\\n'"
}

# Prints the signals' traps, or with `frame` those that bash knows besides.
phasesplit_print_traps() {
  local _phasesplit_each _phasesplit_command
  local -a _phasesplit_signals=()
  if [[ $1 == frame ]]; then
    _phasesplit_signals=(ERR RETURN DEBUG)
  else
    local -A _phasesplit_all_traps=()
    for _phasesplit_each in "${!_phasesplit_base_traps[@]}" "${!_phasesplit_traps[@]}"; do _phasesplit_all_traps[$_phasesplit_each]=1; done
    unset -v '_phasesplit_all_traps[ERR]' '_phasesplit_all_traps[RETURN]' '_phasesplit_all_traps[DEBUG]'
    _phasesplit_signals=("${!_phasesplit_all_traps[@]}")
  fi
  for _phasesplit_each in "${_phasesplit_signals[@]}"; do
    [[ ${_phasesplit_traps[$_phasesplit_each]-} != "${_phasesplit_base_traps[$_phasesplit_each]-}" ]] || continue
    _phasesplit_command="builtin ${_phasesplit_traps[$_phasesplit_each]:-trap - $_phasesplit_each}"
    if [[ $1 == frame ]]; then phasesplit_print_framed "$_phasesplit_command"; else printf '%s\n' "$_phasesplit_command"; fi
  done
}

# $1: shopt or set. Prints the options that changed. Posix mode is a matter of POSIXLY_CORRECT, and compatibility one of
# BASH_COMPAT.
phasesplit_print_options() {
  local _phasesplit_each _phasesplit_on=s _phasesplit_off=u
  local _phasesplit_before=:${_phasesplit_base_scalars[$1]}: _phasesplit_now=:${_phasesplit_scalars[$1]}:
  [[ $1 == shopt ]] || _phasesplit_on=o _phasesplit_off=''
  local IFS=:
  for _phasesplit_each in ${_phasesplit_base_scalars[$1]}; do
    [[ $_phasesplit_now == *:"$_phasesplit_each":* ]] || phasesplit_print_option "$1" off "$_phasesplit_each"
  done
  for _phasesplit_each in ${_phasesplit_scalars[$1]}; do
    [[ $_phasesplit_before == *:"$_phasesplit_each":* ]] || phasesplit_print_option "$1" on "$_phasesplit_each"
  done
}

phasesplit_print_option() {
  local _phasesplit_command
  case $1/$2 in
    shopt/on) _phasesplit_command="builtin shopt -s $3" ;;
    shopt/off) _phasesplit_command="builtin shopt -u $3" ;;
    set/on) _phasesplit_command="builtin set -o $3" ;;
    set/off) _phasesplit_command="builtin set +o $3" ;;
  esac
  case $3 in
    posix | compat[0-9]* | login_shell | restricted_shell) ;;
    # It would change what comes after it.
    xtrace | verbose | errexit | keyword | onecmd) phasesplit_print_framed "$_phasesplit_command" ;;
    *) printf '%s\n' "$_phasesplit_command" ;;
  esac
}

# Setting some variables sets options, so that those do not differ from what they were, and have to be put back.
phasesplit_print_dependent_options() {
  local _phasesplit_each
  local -a _phasesplit_dependent=()
  [[ ${_phasesplit_variables[GLOBIGNORE]-} == "${_phasesplit_base_variables[GLOBIGNORE]-}" ]] || _phasesplit_dependent+=(dotglob)
  [[ ${_phasesplit_variables[POSIXLY_CORRECT]-} == "${_phasesplit_base_variables[POSIXLY_CORRECT]-}" ]] ||
    _phasesplit_dependent+=(expand_aliases interactive_comments sourcepath inherit_errexit shift_verbose)
  for _phasesplit_each in "${_phasesplit_dependent[@]}"; do
    if [[ :${_phasesplit_scalars[shopt]}: == *:"$_phasesplit_each":* ]]; then
      printf 'builtin shopt -s %s\n' "$_phasesplit_each"
    else
      printf 'builtin shopt -u %s\n' "$_phasesplit_each"
    fi
  done
}

phasesplit_print_limits() {
  local _phasesplit_each _phasesplit_soft _phasesplit_hard
  for _phasesplit_each in "${!_phasesplit_limits[@]}"; do
    [[ $_phasesplit_each == S* ]] || continue
    _phasesplit_each=${_phasesplit_each#S }
    _phasesplit_soft=${_phasesplit_limits["S $_phasesplit_each"]}
    _phasesplit_hard=${_phasesplit_limits["H $_phasesplit_each"]}
    if [[ $_phasesplit_hard != "${_phasesplit_base_limits["H $_phasesplit_each"]-}" ]]; then
      phasesplit_print_framed "phasesplit_limit $_phasesplit_each $_phasesplit_soft $_phasesplit_hard"
    elif [[ $_phasesplit_soft != "${_phasesplit_base_limits["S $_phasesplit_each"]-}" ]]; then
      phasesplit_print_framed "phasesplit_limit $_phasesplit_each $_phasesplit_soft"
    fi
  done
}

# $1: `trap` for that one, which has to be printed after the traps; empty for all others.
phasesplit_print_builtins() {
  local _phasesplit_each _phasesplit_before
  for _phasesplit_each in "${!_phasesplit_builtins[@]}"; do
    if [[ ${1-} == trap ]]; then
      [[ $_phasesplit_each == trap ]] || continue
    else
      [[ $_phasesplit_each != trap ]] || continue
    fi
    _phasesplit_before=${_phasesplit_base_builtins[$_phasesplit_each]-}
    [[ -n $_phasesplit_before ]] ||
      phasesplit_fail "${curPhase:-a phase} loaded the builtin $_phasesplit_each (enable -f), which no state can hold. Merge the stages that need it (--merge), or use the unsplit build"
    case $_phasesplit_before/${_phasesplit_builtins[$_phasesplit_each]} in
      on/off) phasesplit_print_framed "builtin enable -n $_phasesplit_each" ;;
      off/on) phasesplit_print_framed "builtin enable $_phasesplit_each" ;;
    esac
  done
}

# bash keeps the state of RANDOM to itself. Four numbers drawn from it are enough to find it (engine/src/random.rs); one
# that comes from the seed the stage began with was not seeded by the package.
phasesplit_print_random() {
  local _phasesplit_seed
  [[ -n ${_phasesplit_drawn-} && ${_phasesplit_variables[RANDOM]-} == *=computed ]] || return 0
  _phasesplit_seed=$("$_phasesplit_engine" random "$_phasesplit_seeded" $_phasesplit_drawn) ||
    phasesplit_fail "the state of RANDOM could not be found (see above)"
  [[ -z $_phasesplit_seed ]] || printf 'RANDOM=%s\n' "$_phasesplit_seed"
}

# Only where a phase set it, or one before: what has merely passed differs from build to build, and so would the state.
phasesplit_print_seconds() {
  local -i _phasesplit_now _phasesplit_ahead
  [[ ${_phasesplit_variables[SECONDS]-} == *=computed ]] || return 0
  printf -v _phasesplit_now '%(%s)T' -1
  _phasesplit_ahead=$((_phasesplit_scalars[seconds] - (_phasesplit_now - ${_phasesplit_zero:-0})))
  [[ $_phasesplit_ahead -ge -2 && $_phasesplit_ahead -le 2 ]] || printf 'SECONDS=%s\n' "${_phasesplit_scalars[seconds]}"
}

# Whatever RANDOM would have been seeded with, it is as random as that. And when SECONDS was 0.
phasesplit_seed_random() {
  _phasesplit_zero=$((EPOCHSECONDS - SECONDS))
  _phasesplit_seeded=$((((${SRANDOM:-$$} ^ ${EPOCHREALTIME//[!0-9]/}) & 0x3fffffff) | 1))
  RANDOM=$_phasesplit_seeded
}

# In a guarded subshell: writes the shell state to $1.
phasesplit_write_shell() {
  phasesplit_load_base
  {
    phasesplit_print_variables usual
    phasesplit_print_aliases
    phasesplit_print_functions
    phasesplit_print_mentioned
    phasesplit_print_directories
    phasesplit_print_hashed
    phasesplit_print_traps signals
    printf 'builtin umask %s\n' "${_phasesplit_scalars[umask]}"
    phasesplit_print_random
    phasesplit_print_seconds
    printf '%s\n' phasesplit_end_definitions 'builtin unset -v OLDPWD'
    phasesplit_print_variables special
    phasesplit_print_options shopt
    phasesplit_print_dependent_options
    phasesplit_print_options set
    phasesplit_print_limits
    phasesplit_print_builtins
    phasesplit_print_traps frame
    phasesplit_print_builtins trap
    printf '%s\n' '_phasesplit_whole=1'
  } >|"$1"
}

# What the script expects of the shell that sources it. `phasesplit shell` has its own (nix-lib/shell).

# Before it is sourced: definitions must be read as they were written.
phasesplit_begin_definitions() {
  _phasesplit_frame='' _phasesplit_kept_shopt=$BASHOPTS
  builtin shopt -s extglob
  builtin shopt -u expand_aliases
}

phasesplit_end_definitions() {
  [[ :$_phasesplit_kept_shopt: == *:extglob:* ]] || builtin shopt -u extglob
  [[ :$_phasesplit_kept_shopt: != *:expand_aliases:* ]] || builtin shopt -s expand_aliases
}

# $1: directory, $2: who left the shell there, $3: `gone` if it had been removed.
phasesplit_stand() {
  _phasesplit_stood_in=$1 _phasesplit_stood_by=$2
  if [[ -n ${3-} ]]; then
    phasesplit_stand_in_removed "$1"
  elif ! builtin cd -- "$1" 2>/dev/null; then
    phasesplit_fail "$2 left the shell in $1, which is outside the state (it holds the build directory and the outputs), and does not exist in this stage. Let that phase end in a directory inside (cd \"\$NIX_BUILD_TOP\"), merge the stages (--merge), or use the unsplit build"
  fi
}

# The shell stood in a directory that had been removed: so it does again. With the same name, if nothing has that now.
phasesplit_stand_in_removed() {
  builtin local _phasesplit_top="$1" _phasesplit_path="$1" _phasesplit_each
  builtin local -a _phasesplit_missing
  _phasesplit_missing=("$1")
  while [[ ! -e ${_phasesplit_top%/*}/. && ${_phasesplit_top%/*} == /* ]]; do
    _phasesplit_top=${_phasesplit_top%/*}
    _phasesplit_missing=("$_phasesplit_top" "${_phasesplit_missing[@]}")
  done
  if [[ -e $1 || -L $1 || ! -w ${_phasesplit_top%/*}/. ]]; then
    _phasesplit_path=$_phasesplit_scratch/gone
    _phasesplit_top=$_phasesplit_path _phasesplit_missing=("$_phasesplit_path")
  fi
  for _phasesplit_each in "${_phasesplit_missing[@]}"; do "$_phasesplit_engine" mkdir "$_phasesplit_each" || break; done
  { builtin cd -- "$_phasesplit_path" && "$_phasesplit_engine" clear "$_phasesplit_top"; } ||
    phasesplit_fail "$_phasesplit_stood_by left the shell in $1, a directory that no longer exists, and the shell cannot stand there again (see above). Let that phase end elsewhere, merge the stages (--merge), or use the unsplit build"
}

# $1: the letter of a limit, $2: the soft limit, $3: the hard one, if that changed.
phasesplit_limit() {
  # In posix mode these count half as much as they did when they were read.
  [[ ! -o posix || $1 != [cf] ]] || builtin set -- "$1" "${2/#[0-9]*/$((${2//[!0-9]/} * 2))}" ${3+"${3/#[0-9]*/$((${3//[!0-9]/} * 2))}"}
  builtin ulimit "-S$1" "$2" && { [[ -z ${3-} ]] || builtin ulimit "-H$1" "$3"; } ||
    phasesplit_fail "an earlier phase set the limit \"ulimit -$1\" to $2${3:+ (hard: $3)}, which cannot be set here (see above). Merge the stages that need it (--merge), or use the unsplit build"
}
