
# 40-shell-state: reads the shell as the package left it. What 45-shell-script writes as the shell state is the difference
# between the shell now and the shell right before the first phase. It is kept as a difference so that attributes which a
# later stage gets are not overwritten by old state.
#
# The package's shell may have any options, IFS, locale and traps, and functions with the names of builtins. Whatever has
# to be computed while it has them is computed in a subshell: `( … )` itself fires no DEBUG trap, it inherits everything
# that has to be read, and whatever it changes is gone afterwards. phasesplit_guard is the first command in it.
#
# Nothing here may fork per variable (a stage has hundreds) or depend on `compgen` (absent from bash builds without
# readline, which nixpkgs uses).

# Because `declare -p` sees the locals of every function above it, and because a local cannot have the name of a read-only
# variable, every local that lives after a phase has run is called _phasesplit_something.

# Variables that belong to Nix or to us, and those that bash computes. The list is exact (bash 5.0 to 5.3): a name that
# only begins like one of bash's own is the package's. What only differs by machine (HOSTNAME, NIX_BUILD_CORES) is kept
# where a phase changed it, like any other.
phasesplit_is_foreign_variable() {
  case $1 in
    BASH | BASHOPTS | BASH_ALIASES | BASH_ARGC | BASH_ARGV | BASH_ARGV0 | BASH_CMDS | BASH_COMMAND | BASH_EXECUTION_STRING) ;;
    BASH_LINENO | BASH_SOURCE | BASH_SUBSHELL | BASH_TRAPSIG | BASH_VERSINFO | BASH_VERSION | COMP_WORDBREAKS) ;;
    DIRSTACK | EUID | FUNCNAME | GROUPS | HISTCMD | PIPESTATUS | PPID | SHELLOPTS | SHLVL | UID | _) ;;
    NIX_LOG_FD | NIX_BUILD_TOP | NIX_ATTRS_JSON_FILE | NIX_ATTRS_SH_FILE) ;;
    curPhase | phases | phasesplit_* | _phasesplit_* | _PHASESPLIT_*) ;;
    *) false ;;
  esac
}

# Variables whose values bash computes until they are unset; from then on they are like any other.
phasesplit_is_computed_variable() {
  case $1 in
    BASHPID | BASH_MONOSECONDS | EPOCHREALTIME | EPOCHSECONDS | LINENO | RANDOM | SECONDS | SRANDOM) ;;
    *) false ;;
  esac
}

# Variables that change how bash reads or runs what comes after them: set last. PWD and OLDPWD come after `cd`.
phasesplit_is_special_variable() {
  case $1 in
    IFS | POSIXLY_CORRECT | BASH_COMPAT | BASH_XTRACEFD | EXECIGNORE | FUNCNEST | GLOBIGNORE | GLOBSORT) ;;
    LANG | LANGUAGE | LC_* | OLDPWD | PS4 | PWD | TMOUT) ;;
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

# The first command in a subshell of the package's shell: reads all of the shell into _phasesplit_*, then makes the
# subshell one in which the runtime can rely on its builtins, on IFS, on the C locale and on the usual options.
#
# The order matters. Until the package's functions are gone, only keywords, assignments and `builtin` are what they seem;
# until its traps are gone, nothing here may fail or return.
phasesplit_guard() {
  # BASHOPTS shows what GLOBIGNORE and posix mode set only when an option is set with shopt. If this is no builtin, the
  # stage ends below.
  if builtin shopt -s "${BASHOPTS%%:*}" 2>/dev/null; then [[ -n $BASHOPTS ]]; fi
  _phasesplit_shopt=$BASHOPTS _phasesplit_set=$SHELLOPTS _phasesplit_posix=''
  [[ ! -v POSIXLY_CORRECT ]] || _phasesplit_posix="declare -${POSIXLY_CORRECT@a} POSIXLY_CORRECT=${POSIXLY_CORRECT@Q}"
  # Assigning it turns posix mode on: then special builtins (unset, export, set, exit …) come before functions.
  [[ -o posix ]] || POSIXLY_CORRECT=y
  if export -f builtin 2>/dev/null; then
    unset -f builtin
    phasesplit_distrust "defined a function with the name builtin"
  fi
  builtin enable : 2>/dev/null || phasesplit_distrust "disabled builtin or enable (enable -n)"
  # Forks, as a file would have the package's umask.
  _phasesplit_umask=$(builtin enable umask; builtin umask)
  _phasesplit_enabled=$(builtin enable -a)
  builtin enable set
  set +o xtrace +o verbose +o errexit +o nounset +o noglob +o noclobber +o errtrace +o keyword +o onecmd
  builtin set +o posix
  [[ -d $_phasesplit_scratch ]] || "$_phasesplit_engine" mkdir "$_phasesplit_scratch"
  builtin enable declare
  builtin declare -gA _phasesplit_scalars _phasesplit_early
  _phasesplit_scalars[shopt]=$_phasesplit_shopt _phasesplit_scalars[set]=$_phasesplit_set _phasesplit_early[POSIXLY_CORRECT]=$_phasesplit_posix
  _phasesplit_scalars[umask]=$_phasesplit_umask
  builtin enable declare eval export local mapfile printf shopt trap ulimit umask unset
  builtin umask 022

  for _phasesplit_each in EXIT ERR DEBUG RETURN; do
    builtin trap -p "$_phasesplit_each"
    builtin printf '\0'
  done >|"$_phasesplit_scratch/traps"
  # Signals have numbers; 32 and 33 are the C library's.
  for ((_phasesplit_each = 1; _phasesplit_each <= 64; _phasesplit_each++)); do
    builtin trap -p "$_phasesplit_each"
    builtin printf '\0'
  done >>"$_phasesplit_scratch/traps" 2>/dev/null
  builtin trap - DEBUG RETURN ERR
  builtin shopt -u nullglob failglob nocasematch nocaseglob extdebug
  builtin set -o braceexpand -o hashall +o functrace +o pipefail +o physical

  # These must not stay as they are while others are read.
  for _phasesplit_each in FUNCNEST IFS LC_ALL; do
    builtin declare -p "$_phasesplit_each"
    builtin printf '\0'
  done >|"$_phasesplit_scratch/list" 2>/dev/null
  builtin mapfile -d '' -t _phasesplit_texts <"$_phasesplit_scratch/list"
  _phasesplit_early[FUNCNEST]=${_phasesplit_texts[0]%$'\n'}
  _phasesplit_early[IFS]=${_phasesplit_texts[1]%$'\n'}
  _phasesplit_early[LC_ALL]=${_phasesplit_texts[2]%$'\n'}
  [[ ${_phasesplit_texts[1]} != 'declare -'*([!\ ])r*' IFS'* ]] || phasesplit_distrust "made IFS read-only"
  IFS=$' \t\n'
  [[ ${_phasesplit_texts[0]} == 'declare -'*([!\ ])r*' FUNCNEST'* ]] || builtin unset -v FUNCNEST
  [[ ${_phasesplit_texts[2]} == 'declare -'*([!\ ])r*' LC_ALL'* ]] || LC_ALL=C

  phasesplit_read_functions
  phasesplit_read_builtins
  # From here on builtins can be called by their names.
  phasesplit_read_traps
  phasesplit_read_variables
  phasesplit_read_limits
  phasesplit_read_hashed
  phasesplit_read_directories
  _phasesplit_aliases=("${!BASH_ALIASES[@]}")
  [[ -z ${BASH_ALIASES[builtin]+x} ]] || phasesplit_distrust "defined an alias with the name builtin"
  shopt -s extglob
  unset -v GLOBIGNORE TMOUT BASH_COMPAT EXECIGNORE GLOBSORT 2>/dev/null
}

# Ends the stage: of its shell nothing can be believed.
phasesplit_distrust() {
  builtin unset -f printf exit
  phasesplit_fail "${curPhase:-a phase} $1: then the shell can be neither saved nor restored. Do that in a subshell, merge the stages that need it (--merge), or use the unsplit build"
}

# Fills _phasesplit_functions (name -> flags, a space, the definition) and _phasesplit_function_names, and removes the
# functions that are not the runtime's.
phasesplit_read_functions() {
  builtin local _phasesplit_each _phasesplit_name
  builtin local -a _phasesplit_lines _phasesplit_flags _phasesplit_texts
  builtin local -i _phasesplit_index
  builtin declare -gA _phasesplit_functions
  _phasesplit_functions=()
  _phasesplit_function_names=()
  builtin declare -F >|"$_phasesplit_scratch/list"
  builtin mapfile -t _phasesplit_lines <"$_phasesplit_scratch/list"
  for _phasesplit_each in "${_phasesplit_lines[@]}"; do
    _phasesplit_name=${_phasesplit_each#declare -* }
    case $_phasesplit_name in phasesplit_* | genericBuild) builtin continue ;; esac
    _phasesplit_function_names+=("$_phasesplit_name")
    _phasesplit_each=${_phasesplit_each%% "$_phasesplit_name"}
    _phasesplit_flags+=("${_phasesplit_each#declare -f}")
  done
  for _phasesplit_name in "${_phasesplit_function_names[@]}"; do
    builtin declare -f -- "$_phasesplit_name"
    builtin printf '\0'
  done >|"$_phasesplit_scratch/list"
  builtin mapfile -d '' -t _phasesplit_texts <"$_phasesplit_scratch/list"
  for ((_phasesplit_index = 0; _phasesplit_index < ${#_phasesplit_function_names[@]}; _phasesplit_index++)); do
    _phasesplit_name=${_phasesplit_function_names[_phasesplit_index]}
    _phasesplit_functions[$_phasesplit_name]="${_phasesplit_flags[_phasesplit_index]} ${_phasesplit_texts[_phasesplit_index]}"
    builtin unset -f -- "$_phasesplit_name" 2>/dev/null
  done
}

# Fills _phasesplit_builtins (name -> `on` or `off`), and turns all of them on.
phasesplit_read_builtins() {
  local _phasesplit_each
  local -a _phasesplit_lines=()
  declare -gA _phasesplit_builtins=()
  builtin mapfile -t _phasesplit_lines <<<"$_phasesplit_enabled"
  for _phasesplit_each in "${_phasesplit_lines[@]}"; do
    case $_phasesplit_each in
      'enable -n '*) _phasesplit_builtins[${_phasesplit_each#enable -n }]=off ;;
      *) _phasesplit_builtins[${_phasesplit_each#enable }]=on ;;
    esac
  done
  for _phasesplit_each in "${!_phasesplit_builtins[@]}"; do
    [[ ${_phasesplit_functions[$_phasesplit_each]-} != *([!\ ])r*\ * ]] ||
      phasesplit_distrust "made its function $_phasesplit_each, which has the name of a builtin, read-only"
    [[ ${_phasesplit_builtins[$_phasesplit_each]} == on ]] || builtin enable -- "$_phasesplit_each"
  done
}

# Fills _phasesplit_traps (signal -> the `trap` command that sets it).
phasesplit_read_traps() {
  local _phasesplit_each
  local -a _phasesplit_texts=()
  declare -gA _phasesplit_traps=()
  mapfile -d '' -t _phasesplit_texts <"$_phasesplit_scratch/traps"
  for _phasesplit_each in "${_phasesplit_texts[@]}"; do
    _phasesplit_each=${_phasesplit_each%$'\n'}
    [[ -z $_phasesplit_each || ${_phasesplit_each##* } == *JUNK* ]] || _phasesplit_traps[${_phasesplit_each##* }]=$_phasesplit_each
  done
  # Ours (70-keep-failed) stands for the one that was there.
  if [[ ${_phasesplit_traps[EXIT]-} == *phasesplit_leave_shell* ]]; then
    unset -v '_phasesplit_traps[EXIT]'
    [[ -z $_phasesplit_exit_trap ]] || _phasesplit_traps[EXIT]=${_phasesplit_exit_trap%$'\n'}
  fi
  if [[ -n ${_phasesplit_traps[DEBUG]-} && :${_phasesplit_scalars[set]}: == *:functrace:* ]]; then
    phasesplit_distrust "left a trap on DEBUG that functions inherit (set -T, extdebug), which would see phasesplit's own commands"
  fi
}

# Fills _phasesplit_variables (name -> `declare -p` text) and _phasesplit_variable_names (sorted). `${!prefix@}` would list
# only what has a value. A line inside a value may look like a declaration: what no variable has that name is passed over.
phasesplit_read_variables() {
  local _phasesplit_each _phasesplit_name
  local -a _phasesplit_lines=() _phasesplit_texts=()
  local -i _phasesplit_index
  local -A _phasesplit_seen=()
  _phasesplit_variable_names=()
  declare -p >|"$_phasesplit_scratch/list"
  mapfile -t _phasesplit_lines <"$_phasesplit_scratch/list"
  for _phasesplit_each in "${_phasesplit_lines[@]}"; do
    [[ $_phasesplit_each == 'declare -'* ]] || continue
    _phasesplit_name=${_phasesplit_each#declare -* }
    _phasesplit_name=${_phasesplit_name%%=*}
    case $_phasesplit_name in '' | [0-9]* | *[!a-zA-Z0-9_]*) continue ;; esac
    [[ -z ${_phasesplit_seen[$_phasesplit_name]-} ]] || continue
    _phasesplit_seen[$_phasesplit_name]=1
    phasesplit_is_foreign_variable "$_phasesplit_name" || _phasesplit_variable_names+=("$_phasesplit_name")
  done
  for _phasesplit_name in "${_phasesplit_variable_names[@]}"; do
    declare -p "$_phasesplit_name"
    printf '\0'
  done >|"$_phasesplit_scratch/list" 2>/dev/null
  mapfile -d '' -t _phasesplit_texts <"$_phasesplit_scratch/list"
  declare -gA _phasesplit_variables=()
  for ((_phasesplit_index = 0; _phasesplit_index < ${#_phasesplit_variable_names[@]}; _phasesplit_index++)); do
    _phasesplit_name=${_phasesplit_variable_names[_phasesplit_index]}
    _phasesplit_each=${_phasesplit_texts[_phasesplit_index]%$'\n'}
    if [[ -z $_phasesplit_each ]]; then
      unset -v "_phasesplit_variable_names[_phasesplit_index]"
    elif phasesplit_is_computed_variable "$_phasesplit_name"; then
      # That it is computed is all there is to know.
      phasesplit_is_plain "$_phasesplit_name" "$_phasesplit_each" || _phasesplit_each="declare -- $_phasesplit_name=computed"
      _phasesplit_variables[$_phasesplit_name]=$_phasesplit_each
    else
      _phasesplit_variables[$_phasesplit_name]=$_phasesplit_each
    fi
  done
  for _phasesplit_name in "${!_phasesplit_early[@]}"; do
    [[ -n ${_phasesplit_variables[$_phasesplit_name]-} || -z ${_phasesplit_early[$_phasesplit_name]} ]] || _phasesplit_variable_names+=("$_phasesplit_name")
    _phasesplit_variables[$_phasesplit_name]=${_phasesplit_early[$_phasesplit_name]}
    [[ -n ${_phasesplit_early[$_phasesplit_name]} ]] || unset -v "_phasesplit_variables[$_phasesplit_name]"
  done
  _phasesplit_scalars[seconds]=$SECONDS
}

# Whether the computed variable $1, whose text is $2, was unset and set again, and so is no longer computed.
phasesplit_is_plain() {
  local _phasesplit_now
  case $1 in
    RANDOM | SECONDS | SRANDOM | BASHPID) [[ $2 != 'declare -'*([!\ ])'i'*([!\ ])" $1="* ]] ;;
    EPOCHSECONDS | EPOCHREALTIME)
      printf -v _phasesplit_now '%(%s)T' -1
      [[ $2 == *=\"${_phasesplit_now%??}* || $2 == *=\"$((${_phasesplit_now%??} - 1))* ]] && return 1
      return 0
      ;;
    *) false ;;
  esac
}

# Fills _phasesplit_limits ("S n" -> the soft limit of `ulimit -n`, "H n" -> the hard one), and raises the soft ones.
phasesplit_read_limits() {
  local _phasesplit_each _phasesplit_kind
  local -a _phasesplit_lines=()
  declare -gA _phasesplit_limits=()
  for _phasesplit_kind in S H; do
    ulimit "-${_phasesplit_kind}a" >|"$_phasesplit_scratch/list"
    mapfile -t _phasesplit_lines <"$_phasesplit_scratch/list"
    for _phasesplit_each in "${_phasesplit_lines[@]}"; do
      # "open files                          (-n) 1024", "stack size                  (kbytes, -s) 8192"; a pipe's size cannot be set.
      [[ $_phasesplit_each =~ -([a-zA-Z])\)\ *([^ ]+)$ && ${BASH_REMATCH[1]} != p ]] || continue
      _phasesplit_limits["$_phasesplit_kind ${BASH_REMATCH[1]}"]=${BASH_REMATCH[2]}
      [[ $_phasesplit_kind == S ]] || ulimit "-S${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" 2>/dev/null
    done
  done
}

# Fills _phasesplit_hashed (command -> path) with those that a search of PATH does not give: `hash -p` set them. The others
# are what bash found by itself, maybe in an input that a later stage has elsewhere.
phasesplit_read_hashed() {
  local _phasesplit_each _phasesplit_directory
  local -a _phasesplit_directories=()
  declare -gA _phasesplit_hashed=()
  IFS=: read -r -d '' -a _phasesplit_directories <<<"${PATH-}:"
  for _phasesplit_each in "${!BASH_CMDS[@]}"; do
    for _phasesplit_directory in "${_phasesplit_directories[@]}"; do
      _phasesplit_directory=${_phasesplit_directory%$'\n'}
      _phasesplit_directory=${_phasesplit_directory:-.}
      if [[ -f $_phasesplit_directory/$_phasesplit_each && -x $_phasesplit_directory/$_phasesplit_each ]]; then
        [[ $_phasesplit_directory/$_phasesplit_each != "${BASH_CMDS[$_phasesplit_each]}" ]] || continue 2
        break
      fi
    done
    _phasesplit_hashed[$_phasesplit_each]=${BASH_CMDS[$_phasesplit_each]}
  done
}

# Fills _phasesplit_directories: where the shell stands and what pushd left. `gone` among the scalars: what has the name of
# the first is no longer the directory.
phasesplit_read_directories() {
  local -i _phasesplit_index
  for ((_phasesplit_index = 0; ; _phasesplit_index++)); do
    dirs -l "+$_phasesplit_index" || break
    printf '\0'
  done >|"$_phasesplit_scratch/list" 2>/dev/null
  mapfile -d '' -t _phasesplit_directories <"$_phasesplit_scratch/list"
  _phasesplit_directories=("${_phasesplit_directories[@]%$'\n'}")
  _phasesplit_scalars[gone]=''
  [[ . -ef ${_phasesplit_directories[0]} ]] || _phasesplit_scalars[gone]=1
}

# What phasesplit_guard read, as a file that phasesplit_load_base understands.
phasesplit_write_base() {
  local _phasesplit_each
  for _phasesplit_each in scalars variables variable_names functions function_names aliases traps builtins limits hashed; do
    declare -p "_phasesplit_$_phasesplit_each"
    printf '\0'
  done >|"$_phasesplit_scratch/base"
}

# Fills _phasesplit_base_variables and the others with what phasesplit_write_base wrote.
phasesplit_load_base() {
  local _phasesplit_each
  # Filled below; `phasesplit shell` fills them itself.
  declare -ga _phasesplit_base_variable_names=() _phasesplit_base_function_names=() _phasesplit_base_aliases=()
  declare -gA _phasesplit_base_scalars=() _phasesplit_base_variables=() _phasesplit_base_traps=()
  local -a _phasesplit_texts=()
  mapfile -d '' -t _phasesplit_texts <"$_phasesplit_scratch/base"
  for _phasesplit_each in "${_phasesplit_texts[@]}"; do
    # The name is the first word that begins so.
    _phasesplit_each=${_phasesplit_each/ _phasesplit_/ _phasesplit_base_}
    eval "declare -g${_phasesplit_each#declare -}"
  done
}
