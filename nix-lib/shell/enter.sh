# shellcheck shell=bash
# What `phasesplit shell` puts in place of running a stage. The stage runtime sources this file, if _PHASESPLIT_ENTER names
# it, when all its functions are there and nothing has been done (90-stage.sh); so a shell is made by the very code that
# makes the stage, up to the first phase. Not part of the runtime's own text: a change here rebuilds nothing.
#
# The other side is src/command/shell/entry.rs, which sets these:
#
# _PHASESPLIT_ENTER        this file; beside it lie shell.sh and what is written here
# _PHASESPLIT_STATE        the state to restore
# _PHASESPLIT_FIRST        the first entry of the chain that has not run
# _PHASESPLIT_FAILED       the phase that failed, if the state is what a failed stage left; its stage's own environment is loaded
# _PHASESPLIT_UNTIL        the phase to run first, with those before it, or nothing: shell.sh does
# _PHASESPLIT_EXTRACTED    without a sandbox: where the state's outputs/ and shell lie already; its build/ is the build directory
# _PHASESPLIT_MADE_AT      without a sandbox: the build directory that the state was made in
# _PHASESPLIT_POINT        the point's name, for the prompt
#
# and writes the bash to end in, with its arguments, to the file `command` beside this one, each word ended by a NUL.

# There is no first bash here that would have to outlive a second one: the sandbox is removed from outside.
phasesplit_stay_outside() {
  _phasesplit_control=${_PHASESPLIT_ENTER%/*}
  _phasesplit_parent=$_PHASESPLIT_STATE
  _phasesplit_shell_first=$_PHASESPLIT_FIRST
  _phasesplit_shell_failed=$_PHASESPLIT_FAILED
  _phasesplit_until=$_PHASESPLIT_UNTIL
  _phasesplit_extracted=$_PHASESPLIT_EXTRACTED
  _phasesplit_made_at=$_PHASESPLIT_MADE_AT
  _phasesplit_point=$_PHASESPLIT_POINT
  _phasesplit_scratch=$_phasesplit_control/scratch
  "$_phasesplit_engine" mkdir "$_phasesplit_scratch" || phasesplit_fail "cannot make $_phasesplit_scratch (see above)"
  # Nothing that fails here is to be kept.
  _phasesplit_keep=''
  unset -v _PHASESPLIT_ENTER _PHASESPLIT_STATE _PHASESPLIT_FIRST _PHASESPLIT_FAILED _PHASESPLIT_UNTIL _PHASESPLIT_EXTRACTED \
    _PHASESPLIT_MADE_AT _PHASESPLIT_POINT
}

# The state that a failed stage left. Of finish the outputs are at their last paths already.
phasesplit_restore_failed() {
  local _phasesplit_each
  declare -gA _phasesplit_mentioned=() _phasesplit_in_source=()
  _phasesplit_reads_all=''
  phasesplit_collect_outputs
  phasesplit_collect_outside
  "$_phasesplit_engine" restore --accept-failed --from "$_phasesplit_parent" --build-dir "$NIX_BUILD_TOP" \
    --shell "$_phasesplit_scratch/shell" "${_phasesplit_output_options[@]}" \
    "${_phasesplit_outside_options[@]}" "${_phasesplit_nix_files[@]/#/--replace=}" --replace=env-vars ||
    phasesplit_fail "the state $_phasesplit_parent could not be restored (see above)"
  if [[ -n $_phasesplit_finish ]]; then
    for _phasesplit_each in "${_phasesplit_output_names[@]}"; do
      "$_phasesplit_engine" link "${_phasesplit_final[$_phasesplit_each]}" "${_phasesplit_staged[$_phasesplit_each]}"
    done
  fi
  phasesplit_source_shell "$_phasesplit_scratch/shell"
}

# Without a sandbox nothing can lie where the build had it, so the outputs have places in the session's directory.
phasesplit_move_outputs() {
  local _phasesplit_each
  for _phasesplit_each in "${_phasesplit_output_names[@]}"; do
    export "$_phasesplit_each=$_phasesplit_extracted/outputs/$_phasesplit_each"
  done
}

# The shell state names the directories of the build: only the lines that change to one are adapted.
phasesplit_restore_extracted() {
  local _phasesplit_line _phasesplit_directory
  declare -gA _phasesplit_mentioned=() _phasesplit_in_source=()
  _phasesplit_reads_all=''
  phasesplit_stand() { builtin cd "${1//"$_phasesplit_made_at"/"$NIX_BUILD_TOP"}" || builtin cd "$NIX_BUILD_TOP" || builtin true; }
  phasesplit_source_shell "$_phasesplit_extracted/shell"
  PWD=$(builtin pwd)
  phasesplit_move_outputs
}

# Fills _phasesplit_now as phasesplit_cut_phases does, for the entries $1 to $2.
phasesplit_phases_of() {
  local -i _phasesplit_first=$1 _phasesplit_last=$2
  phasesplit_cut_phases
}

# What has run, what this environment is for, and what comes after it.
phasesplit_sort_phases() {
  local _phasesplit_each
  local -i _phasesplit_end=$((${#_phasesplit_entries[@]} - 1))
  local -A _phasesplit_seen=()
  phasesplit_phases_of 0 $((_phasesplit_shell_first - 1))
  _phasesplit_phases_ran=("${_phasesplit_now[@]}")
  phasesplit_phases_of "$_phasesplit_shell_first" "$_phasesplit_last"
  _phasesplit_phases_here=()
  for _phasesplit_each in "${_phasesplit_now[@]}"; do
    if [[ -n $_phasesplit_shell_failed && ${#_phasesplit_phases_here[@]} -eq 0 && $_phasesplit_each != "$_phasesplit_shell_failed" ]]; then
      _phasesplit_phases_ran+=("$_phasesplit_each")
    else
      _phasesplit_phases_here+=("$_phasesplit_each")
    fi
  done
  _phasesplit_phases_later=()
  if ((_phasesplit_last < _phasesplit_end)); then
    phasesplit_phases_of $((_phasesplit_last + 1)) "$_phasesplit_end"
    for _phasesplit_each in "${_phasesplit_phases_here[@]}"; do _phasesplit_seen[$_phasesplit_each]=1; done
    # A phase that is cut goes on in a later stage.
    for _phasesplit_each in "${_phasesplit_now[@]}"; do
      [[ -n ${_phasesplit_seen[$_phasesplit_each]-} ]] || _phasesplit_phases_later+=("$_phasesplit_each")
    done
  fi
}

# A bash that reads a terminal has defaults of its own, and keeps those: only what the build changed is written.
phasesplit_fresh_base() {
  local _phasesplit_each
  _phasesplit_base_variable_names=() _phasesplit_base_function_names=() _phasesplit_base_aliases=()
  declare -gA _phasesplit_base_variables=() _phasesplit_base_functions=() _phasesplit_base_traps=() _phasesplit_base_hashed=()
  declare -gA _phasesplit_base_scalars=() _phasesplit_base_builtins=() _phasesplit_base_limits=()
  for _phasesplit_each in "${!_phasesplit_builtins[@]}"; do _phasesplit_base_builtins[$_phasesplit_each]=on; done
  for _phasesplit_each in "${!_phasesplit_limits[@]}"; do _phasesplit_base_limits[$_phasesplit_each]=${_phasesplit_limits[$_phasesplit_each]}; done
  _phasesplit_base_scalars[shopt]=$(BASH_ENV='' "/proc/$BASHPID/exe" --noprofile --norc -c 'echo "$BASHOPTS"')
  _phasesplit_base_scalars[set]=$(BASH_ENV='' "/proc/$BASHPID/exe" --noprofile --norc -c 'echo "$SHELLOPTS"')
}

# In place of running the stage: the state is restored, and the whole shell written down for the bash that the user gets.
# A bash that reads a terminal cannot be got from inside a function.
phasesplit_begin() {
  stdenv=$_phasesplit_real_stdenv
  phasesplit_leave_structured
  [[ -z $_phasesplit_gzip ]] || export GZIP_NO_TIMESTAMPS=1
  phasesplit_list_phases
  phasesplit_sort_phases
  if [[ -n $_phasesplit_extracted ]]; then
    phasesplit_restore_extracted
  elif [[ -n $_phasesplit_shell_failed ]]; then
    phasesplit_restore_failed
  else
    phasesplit_restore
  fi
  # The rest is for the bash that comes after this one.
  phasesplit_guard
  # What runs when a build ends would run when the user leaves.
  unset -v '_phasesplit_traps[EXIT]'
  _phasesplit_mentioned=() _phasesplit_in_source=() _phasesplit_reads_all=''
  phasesplit_load_base() { phasesplit_fresh_base; }
  phasesplit_write_shell "$_phasesplit_control/environment"
  # What the frame would set is set in the session.
  phasesplit_print_framed "$_phasesplit_frame" >>"$_phasesplit_control/environment"
  # It would be read before the environment.
  unset -v BASH_ENV || true
  declare -p _phasesplit_package _phasesplit_phases_ran _phasesplit_phases_here _phasesplit_phases_later \
    _phasesplit_shell_failed _phasesplit_until _phasesplit_control _phasesplit_point >|"$_phasesplit_control/variables"
  printf '%s' "${sourceRoot-}" >|"$_phasesplit_control/source-root"
  local -a _phasesplit_words=()
  mapfile -d '' -t _phasesplit_words <"$_phasesplit_control/command"
  export _PHASESPLIT_CONTROL=$_phasesplit_control
  exec -a bash "${_phasesplit_words[@]}"
}
