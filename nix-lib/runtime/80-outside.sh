# 80-outside: what a stage has outside its build directory and its outputs. In the sandbox /tmp and /dev/shm are the
# build's own: they travel with the state. Files elsewhere, processes and open files cannot; the end of a stage names them.
#
# All but the first two run in a guarded subshell (40-shell-state), with the package's own PATH, so they use builtins alone.

# Where the first bash notes, for both, what is there before anything runs: below /tmp and /dev/shm that is not the build's
# (paths that Nix was told to show in the sandbox), and below / and in the usual directories all names, so that new ones can be
# told from old ones. Times do not tell: `cp -p` and `tar` set them.
phasesplit_note_outside() {
  local _phasesplit_each _phasesplit_options
  _phasesplit_options=$(shopt -p nullglob dotglob) || true
  shopt -s nullglob dotglob
  for _phasesplit_each in /tmp/* /dev/shm/* /*; do
    printf '%s\0' "$_phasesplit_each"
  done >"$_phasesplit_scratch/foreign"
  for _phasesplit_each in /dev/* /etc/* /home/* /opt/* /root/* /run/* /srv/* /var/* /var/tmp/*; do
    printf '%s\0' "$_phasesplit_each"
  done >"$_phasesplit_scratch/places"
  eval "$_phasesplit_options"
}

# The engine's options for what is carried: _phasesplit_outside_options, and for a save _phasesplit_foreign_options.
phasesplit_collect_outside() {
  local _phasesplit_each
  local -a _phasesplit_found=()
  _phasesplit_outside_options=() _phasesplit_foreign_options=()
  phasesplit_is_sandboxed || return 0
  [[ ! -d /tmp ]] || _phasesplit_outside_options+=(--outside tmp=/tmp)
  [[ ! -d /dev/shm ]] || _phasesplit_outside_options+=(--outside shm=/dev/shm)
  [[ -e $_phasesplit_scratch/foreign ]] || return 0
  mapfile -d '' -t _phasesplit_found <"$_phasesplit_scratch/foreign"
  for _phasesplit_each in "${_phasesplit_found[@]}"; do
    case $_phasesplit_each in
      /tmp/*) _phasesplit_foreign_options+=(--foreign "tmp/${_phasesplit_each#/tmp/}") ;;
      /dev/shm/*) _phasesplit_foreign_options+=(--foreign "shm/${_phasesplit_each#/dev/shm/}") ;;
    esac
  done
}

# Fills _phasesplit_left with the files of other places that appeared or changed since the stage began.
phasesplit_find_left() {
  local _phasesplit_each
  local -a _phasesplit_found=() _phasesplit_places=()
  local -A _phasesplit_known=() _phasesplit_listed=() _phasesplit_old=()
  _phasesplit_left=()
  [[ -e $_phasesplit_scratch/foreign ]] || return 0
  mapfile -d '' -t _phasesplit_found <"$_phasesplit_scratch/foreign"
  for _phasesplit_each in "${_phasesplit_found[@]}"; do _phasesplit_known[$_phasesplit_each]=1; done
  mapfile -d '' -t _phasesplit_found <"$_phasesplit_scratch/places"
  for _phasesplit_each in "${_phasesplit_found[@]}"; do _phasesplit_old[$_phasesplit_each]=1; done
  shopt -s nullglob dotglob
  if phasesplit_is_sandboxed; then
    _phasesplit_places=(/* /dev/* /etc/* /home/* /opt/* /root/* /run/* /srv/* /var/* /var/tmp/* ${HOME:+"$HOME"})
  else
    # The machine's: what this user made meanwhile.
    _phasesplit_places=(/tmp/* /var/tmp/* /dev/shm/*)
  fi
  for _phasesplit_each in "${_phasesplit_places[@]}"; do
    case $_phasesplit_each in
      /build | /build/* | /dev | /nix | /nix/* | /proc | /sys | /tmp | /tmp/nix-* | /tmp/phasesplit-*) continue ;;
      /tmp/* | /dev/shm/*) ! phasesplit_is_sandboxed || continue ;;
    esac
    [[ -z ${_phasesplit_known[$_phasesplit_each]-} && -z ${_phasesplit_listed[$_phasesplit_each/]-} ]] || continue
    if [[ -n ${_phasesplit_old[$_phasesplit_each]-} ]]; then
      # Both ask of what a link leads to.
      [[ ! -L $_phasesplit_each && -O $_phasesplit_each && $_phasesplit_each -nt $_phasesplit_scratch/options ]] || continue
    else
      [[ -L $_phasesplit_each || -O $_phasesplit_each ]] || continue
    fi
    # A directory stands for what is in it.
    [[ -n ${_phasesplit_listed[${_phasesplit_each%/*}/]-} ]] || _phasesplit_left+=("$_phasesplit_each")
    _phasesplit_listed[$_phasesplit_each/]=1
  done
}

# Warns of files that no later stage will have.
phasesplit_warn_of_losses() {
  local -a _phasesplit_left=()
  local _phasesplit_list
  phasesplit_find_left
  [[ ${#_phasesplit_left[@]} -gt 0 ]] || return 0
  printf -v _phasesplit_list ' %q' "${_phasesplit_left[@]:0:10}"
  [[ ${#_phasesplit_left[@]} -le 10 ]] || _phasesplit_list+=" and $((${#_phasesplit_left[@]} - 10)) more"
  phasesplit_warn "left outside the build directory, and not part of the state:$_phasesplit_list. If a later phase needs them, put these phases into one stage with --merge"
}

# The descriptors that are open in this shell, in _phasesplit_descriptors.
phasesplit_read_descriptors() {
  local _phasesplit_each
  declare -gA _phasesplit_descriptors=()
  for _phasesplit_each in "/proc/$BASHPID/fd"/[0-9]*; do
    [[ ! -e $_phasesplit_each && ! -L $_phasesplit_each ]] || _phasesplit_descriptors[${_phasesplit_each##*/}]=1
  done
}

# What the phases of this stage find open, and the EXIT trap that they find set.
phasesplit_remember_outside() {
  phasesplit_read_descriptors
  printf '%s\n' "${!_phasesplit_descriptors[@]}" >|"$_phasesplit_scratch/descriptors"
  printf '%s' "${_phasesplit_traps[EXIT]-}" >|"$_phasesplit_scratch/exit-trap"
}

phasesplit_warn_of_descriptors() {
  local _phasesplit_each _phasesplit_list=''
  local -a _phasesplit_found=()
  mapfile -t _phasesplit_found <"$_phasesplit_scratch/descriptors"
  phasesplit_read_descriptors
  for _phasesplit_each in "${!_phasesplit_descriptors[@]}"; do
    [[ " ${_phasesplit_found[*]} " == *" $_phasesplit_each "* ]] || _phasesplit_list+=" $_phasesplit_each"
  done
  [[ -z $_phasesplit_list ]] ||
    phasesplit_warn "a phase left file descriptors open in the shell, which cannot cross the end of a stage:$_phasesplit_list. If a later phase uses them, put these phases into one stage with --merge"
}

# Fills _phasesplit_processes with the ids of the processes that phases left, and _phasesplit_process_names (id -> name). In
# a sandbox whose first process is the first bash, all but the runtime's are the build's; elsewhere those are that have its
# environment.
phasesplit_find_processes() {
  local _phasesplit_each _phasesplit_line _phasesplit_id _phasesplit_word _phasesplit_is_ours
  local -a _phasesplit_words=()
  _phasesplit_processes=()
  declare -gA _phasesplit_process_names=()
  for _phasesplit_each in /proc/[0-9]*; do
    _phasesplit_id=${_phasesplit_each#/proc/}
    case $_phasesplit_id in 1 | "$$" | "$PPID" | "$BASHPID" | "$_phasesplit_follower") continue ;; esac
    IFS= read -r -d '' _phasesplit_line <"$_phasesplit_each/stat" || [[ -n $_phasesplit_line ]] || continue
    # The state stands behind the name, which may hold anything.
    [[ ${_phasesplit_line##*) } != [ZX]* ]] || continue
    if [[ $PPID != 1 ]]; then
      mapfile -d '' -t _phasesplit_words <"$_phasesplit_each/environ" || continue
      _phasesplit_is_ours=''
      for _phasesplit_word in "${_phasesplit_words[@]}"; do
        [[ $_phasesplit_word != "NIX_BUILD_TOP=$NIX_BUILD_TOP" ]] || _phasesplit_is_ours=1
      done
      [[ -n $_phasesplit_is_ours ]] || continue
    fi
    _phasesplit_line=${_phasesplit_line#*\(}
    _phasesplit_processes+=("$_phasesplit_id")
    _phasesplit_process_names[$_phasesplit_id]=${_phasesplit_line%)*}
  done 2>/dev/null
}

# Without a command: a PATH may be anything.
phasesplit_sleep() { read -rt "$1" <> <(:) || :; }

# Names the processes that phases left running, and ends them, as Nix would at the end of the builder: a process cannot
# cross the end of a stage, and nothing may change while the state is saved.
phasesplit_end_processes() {
  local _phasesplit_each _phasesplit_list=''
  local -i _phasesplit_round
  # One that is about to end by itself is no loss.
  for _phasesplit_round in 1 2 3; do
    phasesplit_find_processes
    [[ ${#_phasesplit_processes[@]} -gt 0 ]] || return 0
    phasesplit_sleep 0.1
  done
  phasesplit_find_processes
  [[ ${#_phasesplit_processes[@]} -gt 0 ]] || return 0
  for _phasesplit_each in "${_phasesplit_processes[@]}"; do
    _phasesplit_list+="${_phasesplit_list:+, }${_phasesplit_process_names[$_phasesplit_each]} (pid $_phasesplit_each)"
  done
  phasesplit_warn "processes that ${_phasesplit_now[*]} left still run at the end of the stage, cannot cross it, and are ended: $_phasesplit_list. If a later phase needs them, put these phases into one stage with --merge"
  # Their end is no news.
  disown -a 2>/dev/null || true
  for ((_phasesplit_round = 0; _phasesplit_round < 200; _phasesplit_round++)); do
    kill -9 "${_phasesplit_processes[@]}" 2>/dev/null || true
    phasesplit_find_processes
    [[ ${#_phasesplit_processes[@]} -gt 0 ]] || return 0
    phasesplit_sleep 0.01
  done
  phasesplit_fail "processes that its phases left cannot be ended: ${_phasesplit_processes[*]}"
}

# The text $1 with the functions that it leads to, in _phasesplit_reply.
phasesplit_with_functions() {
  local _phasesplit_text=$1 _phasesplit_name _phasesplit_more=1
  local -A _phasesplit_seen=()
  while [[ -n $_phasesplit_more ]]; do
    _phasesplit_more=''
    for _phasesplit_name in "${_phasesplit_function_names[@]}"; do
      [[ -z ${_phasesplit_seen[$_phasesplit_name]-} ]] || continue
      [[ " ${_phasesplit_text//[^a-zA-Z0-9_-]/ } " == *" $_phasesplit_name "* ]] || continue
      _phasesplit_seen[$_phasesplit_name]=1 _phasesplit_more=1
      _phasesplit_text+=$'\n'${_phasesplit_functions[$_phasesplit_name]#* }
    done
  done
  _phasesplit_reply=$_phasesplit_text
}

# An EXIT trap runs where the last stage ends. One that ends a process, set in this stage, means a process of this stage:
# there its number is nobody's, or a stranger's. So it does not go on; what it would do besides is done by nobody, which
# only matters where that shows in the outputs.
phasesplit_drop_exit_trap() {
  local _phasesplit_trap=${_phasesplit_traps[EXIT]-} _phasesplit_words _phasesplit_each _phasesplit_before=''
  IFS= read -r -d '' _phasesplit_before <"$_phasesplit_scratch/exit-trap" || true
  [[ -n $_phasesplit_trap && $_phasesplit_trap != "$_phasesplit_before" ]] || return 0
  phasesplit_with_functions "$_phasesplit_trap"
  _phasesplit_words=" ${_phasesplit_reply//[^a-zA-Z0-9_]/ } "
  case $_phasesplit_words in
    *" kill "* | *" pkill "* | *" killall "* | *" fuser "* | *" wait "*) ;;
    *) return 0 ;;
  esac
  _phasesplit_trap=${_phasesplit_trap#trap -- }
  for _phasesplit_each in "${_phasesplit_output_names[@]}" prefix; do
    [[ $_phasesplit_reply != *"\$$_phasesplit_each"* && $_phasesplit_reply != *"\${$_phasesplit_each"* ]] ||
      phasesplit_fail "a phase set the EXIT trap ${_phasesplit_trap% EXIT}, which ends processes of this stage and writes to an output: it cannot do both at the end of the build. Put the phases from there on into one stage with --merge, or use the unsplit build"
  done
  phasesplit_warn "the EXIT trap ${_phasesplit_trap% EXIT} ends processes of this stage, so it is dropped here, where they have ended: in a later stage it would hit others. If it does more than that, put the phases from there on into one stage with --merge"
  unset -v '_phasesplit_traps[EXIT]'
  [[ -z $_phasesplit_before ]] || _phasesplit_traps[EXIT]=$_phasesplit_before
}

# What the end of a stage has to say and do before its state is saved.
phasesplit_end_outside() {
  phasesplit_warn_of_descriptors
  phasesplit_end_processes
  phasesplit_drop_exit_trap
  phasesplit_warn_of_losses
}

# The last search of finish: no output may name a state of the chain or what the runtime uses, or the package would need all
# of it to run.
phasesplit_refuse_own_paths() {
  local _phasesplit_each
  local -a _phasesplit_options=(--path "$_phasesplit_scratch" --path "$_phasesplit_engine" --path "${BASH_SOURCE[0]}")
  [[ -z $_phasesplit_parent ]] || _phasesplit_options+=(--state "$_phasesplit_parent")
  for _phasesplit_each in "${_phasesplit_output_names[@]}"; do
    _phasesplit_each=${_phasesplit_final[$_phasesplit_each]}
    [[ ! -e $_phasesplit_each && ! -L $_phasesplit_each ]] || _phasesplit_options+=(--output "$_phasesplit_each")
  done
  "$_phasesplit_engine" refuse "${_phasesplit_options[@]}" ||
    phasesplit_fail "an output names a path of the split build (see above), so the package would need the whole chain of states to run"
}

