
# 70-keep-failed: `--keep-failed`. A stage with this option, when a phase fails, saves what there is, marks that state as
# failed, and succeeds: so a failed build comes back from any builder, through any cache. Stages do not have the option
# (it would change their derivations); `failed.<stage>` in split.nix are derivations of the same stages that do.
#
# The first bash (20-build-directory) saves, after the second has ended in whatever way. What it needs to know the second
# leaves at the path of the state, where no phase looks, until the state itself is put there:
#   phase   the phase that runs and when it began; empty where what fails is not the package's doing
#   ran     the phases before it, with their seconds
#   shell   the shell state at the end, if the shell came to write it; begin: at the begin of the phase

# In a subshell of the package's shell. $1: the phase about to run, or what stands for one; empty behind the last.
phasesplit_mark_phase() {
  if [[ -n $_phasesplit_keep ]]; then
    phasesplit_guard
    if [[ -n $1 ]]; then
      # The one about to run has begun already.
      [[ $1 == *' '* ]] || unset -v '_phasesplit_began[-1]'
      phasesplit_count_seconds
      { [[ ${#_phasesplit_ran[@]} -eq 0 ]] || printf '%s\n' "${_phasesplit_ran[@]}"; } >|"$_phasesplit_keep/ran"
      printf '%s %(%s)T\n' "$1" -1 >|"$_phasesplit_keep/phase"
      phasesplit_load_mentions
      ( phasesplit_write_shell "$_phasesplit_keep/begin" )
    else
      : >|"$_phasesplit_keep/phase"
    fi
  fi
}

# Writes the shell state to $1 and leaves the shell as it is. Without a word where that is impossible.
phasesplit_snapshot_shell() {
  ( phasesplit_guard; phasesplit_load_mentions; phasesplit_write_shell "$1" ) 2>/dev/null || builtin true
}

# Called with the restored state in place. An exit trap of a phase's own takes the place of this one; then the shell that
# is kept is that of the phase's begin.
phasesplit_watch_phases() {
  ( builtin trap -p EXIT ) >|"$_phasesplit_keep/trap"
  IFS= builtin read -r -d '' _phasesplit_exit_trap <"$_phasesplit_keep/trap" || builtin true
  _phasesplit_exit_command=''
  [[ -z $_phasesplit_exit_trap ]] || builtin eval "phasesplit_take_command ${_phasesplit_exit_trap#trap }"
  # What was there runs as it would: with the exit status in $?, and under errexit if that is on.
  builtin trap 'phasesplit_leave_shell
    if [[ $_phasesplit_status -eq 0 ]]; then builtin eval "$_phasesplit_exit_command"
    else phasesplit_return "$_phasesplit_status" || builtin eval "$_phasesplit_exit_command"; fi' EXIT
}

phasesplit_take_command() { _phasesplit_exit_command=$2; }
phasesplit_return() { builtin return "$1"; }

# At the exit of the second bash: its state, where a phase ended it.
phasesplit_leave_shell() {
  _phasesplit_status=$?
  [[ ! -s $_phasesplit_keep/phase ]] || phasesplit_snapshot_shell "$_phasesplit_keep/shell"
}

# "$@": this script and the package's scripts. Runs the stage in a child, its log through the engine, which keeps the end of it;
# gives the child's status.
phasesplit_run_logged() {
  local _phasesplit_log_name _phasesplit_log_id _phasesplit_log_end _phasesplit_status=0
  "$_phasesplit_engine" mkdir "$_phasesplit_keep" || phasesplit_fail "cannot make $_phasesplit_keep (see above)"
  # Here, whatever umask a phase leaves behind.
  : >"$_phasesplit_keep/phase"
  : >"$_phasesplit_keep/ran"
  # Its command line says nothing either.
  coproc _phasesplit_log { _phasesplit_log_tail=$_phasesplit_scratch/log exec -a bash "$_phasesplit_engine"; }
  _phasesplit_log_id=$! _phasesplit_log_end=${_phasesplit_log[1]}
  read -r _phasesplit_log_name <&"${_phasesplit_log[0]}" || phasesplit_fail "its log cannot be followed (see above)"
  # Opened by the child: a terminal that this process opened would become its own.
  printf 'stream %s\nfollower %s\n' "$_phasesplit_log_name" "$_phasesplit_log_id" >>"$_phasesplit_scratch/options"
  (phasesplit_become_stage "$@") >"$_phasesplit_log_name" 2>&1 || _phasesplit_status=$?
  exec {_phasesplit_log_end}>&-
  wait "$_phasesplit_log_id" || phasesplit_fail "the end of its log could not be kept (see above)"
  return "$_phasesplit_status"
}

# Ends what phases left running, so that nothing changes while it is saved. Only where this is the first process of a
# sandbox, and so all others are this build's.
phasesplit_end_leftovers() {
  local _phasesplit_each _phasesplit_line
  local -i _phasesplit_round _phasesplit_alive=1
  [[ $$ == 1 ]] && kill -9 -1 2>/dev/null || return 0
  for ((_phasesplit_round = 0; _phasesplit_round < 1000 && _phasesplit_alive; _phasesplit_round++)); do
    _phasesplit_alive=0
    for _phasesplit_each in /proc/[0-9]*; do
      [[ $_phasesplit_each != /proc/1 ]] || continue
      IFS= read -r _phasesplit_line <"$_phasesplit_each/stat" || continue
      # The state stands behind the name, which may hold anything.
      [[ ${_phasesplit_line##*) } == Z* ]] || _phasesplit_alive=1
    done 2>/dev/null
  done
}

# $1: the build directory, $2: how the second bash ended. Where a phase failed, saves what there is and succeeds; where the
# failure is not the package's, fails as the stage did. The state of a finish that succeeded is saved here too.
phasesplit_keep() {
  local _phasesplit_status=$2 _phasesplit_phase='' _phasesplit_began _phasesplit_shell=''
  local -a _phasesplit_failed=()
  [[ ! -e $_phasesplit_keep/phase ]] || read -r _phasesplit_phase <"$_phasesplit_keep/phase" || true
  if [[ $_phasesplit_status -eq 0 && ( -z $_phasesplit_finish || -z $_phasesplit_phase ) ]]; then
    phasesplit_check_result
    return
  fi
  [[ -n $_phasesplit_phase ]] || return "$_phasesplit_status"
  _phasesplit_began=${_phasesplit_phase##* } _phasesplit_phase=${_phasesplit_phase% *}

  phasesplit_end_leftovers
  phasesplit_warn_of_losses
  mapfile -t _phasesplit_ran <"$_phasesplit_keep/ran"
  if [[ $_phasesplit_status -eq 0 ]]; then
    phasesplit_check_outputs
  else
    [[ $_phasesplit_phase == *' '* ]] || _phasesplit_ran+=(--phase "$_phasesplit_phase=$((EPOCHSECONDS - _phasesplit_began))")
    _phasesplit_failed=(--failed-phase "$_phasesplit_phase" --failed-code "$_phasesplit_status" --failed-log "$_phasesplit_scratch/log")
  fi
  [[ ! -e $_phasesplit_keep/shell ]] || _phasesplit_shell=$(<"$_phasesplit_keep/shell")
  if [[ $_phasesplit_shell != *$'\n_phasesplit_whole=1' ]]; then
    [[ ! -e $_phasesplit_keep/begin ]] || _phasesplit_shell=$(<"$_phasesplit_keep/begin")
    echo "phasesplit: how the shell was at the end is not known; how it was when $_phasesplit_phase began is kept" >&2
  fi
  printf '%s\n' "$_phasesplit_shell" >|"$_phasesplit_scratch/saved"
  "$_phasesplit_engine" clear "$_phasesplit_keep" || phasesplit_fail "$_phasesplit_keep could not be emptied (see above)"
  phasesplit_save_tree "$1" "${_phasesplit_failed[@]}"
  [[ $_phasesplit_status -eq 0 ]] || printf 'phasesplit: %s: stage %s: %s failed with exit code %s; what it left is kept in %s\n' \
    "$_phasesplit_package" "$_phasesplit_stage" "$_phasesplit_phase" "$_phasesplit_status" "$_phasesplit_state" >&2
}
