# 90-stage: the stage itself.

# The outputs, where they lie in this stage, as the engine's --output options in _phasesplit_output_options.
phasesplit_collect_outputs() {
  local _phasesplit_name
  _phasesplit_output_options=()
  for _phasesplit_name in "${_phasesplit_output_names[@]}"; do
    phasesplit_place_of "$_phasesplit_name"
    _phasesplit_output_options+=(--output "$_phasesplit_name=$_phasesplit_place")
  done
}

# Brings back the state of the stage before: build directory, outputs, then the shell.
phasesplit_restore() {
  declare -gA _phasesplit_mentioned=() _phasesplit_in_source=()
  _phasesplit_reads_all=''
  [[ -n $_phasesplit_parent ]] || return 0
  local _phasesplit_shell=$_phasesplit_scratch/shell _phasesplit_name
  local -a _phasesplit_staged_options=()
  [[ -z $_phasesplit_pinned ]] ||
    echo "phasesplit: pinned: this stage continues from $_phasesplit_pinned whatever changed before it; compare the result with the unsplit build (phasesplit verify)"
  phasesplit_collect_outputs
  phasesplit_collect_outside
  for _phasesplit_name in "${_phasesplit_output_names[@]}"; do
    _phasesplit_staged_options+=(--staged "$_phasesplit_name=${_phasesplit_staged[$_phasesplit_name]}")
  done
  "$_phasesplit_engine" restore --from "$_phasesplit_parent" --build-dir "$NIX_BUILD_TOP" --shell "$_phasesplit_shell" \
    --listing "$_phasesplit_scratch/listing" \
    "${_phasesplit_output_options[@]}" "${_phasesplit_staged_options[@]}" "${_phasesplit_outside_options[@]}" \
    "${_phasesplit_nix_files[@]/#/--replace=}" --replace=env-vars ||
    phasesplit_fail "the state $_phasesplit_parent could not be restored (see above; a builder script that makes files before genericBuild makes them in every stage, and cannot be split)"
  [[ -z $_phasesplit_finish ]] || phasesplit_relocate "$_phasesplit_shell"
  # Before the shell is the package's. What changes from here on is this stage's.
  : >|"$_phasesplit_scratch/restored"
  phasesplit_source_shell "$_phasesplit_shell"
}

# $1: the shell state. From its end on the shell is the package's, and may have functions with the names of builtins.
phasesplit_source_shell() {
  phasesplit_begin_definitions
  # shellcheck disable=SC1090
  builtin source "$1"
  # Written last: a full disk, or text that ends a script early, must not pass for a state.
  [[ -n ${_phasesplit_whole-} ]] ||
    phasesplit_fail "the shell state in $_phasesplit_parent is not whole: it cannot be sourced to its end"
}

# The engine's --map options, one for each output, in _phasesplit_map_options.
phasesplit_collect_maps() {
  local name
  _phasesplit_map_options=()
  for name in "${_phasesplit_output_names[@]}"; do
    _phasesplit_map_options+=(--map "${_phasesplit_staged[$name]}=${_phasesplit_final[$name]}")
  done
}

# Staged prefixes become the real output paths, once: in the outputs, which the engine restored right there, and in the
# shell state ($1). The build directory is never rewritten (ninja, libtool and CMake would build again), so links keep
# the staged names alive for it.
phasesplit_relocate() {
  local name said
  local -a trees=()
  phasesplit_collect_maps
  for name in "${_phasesplit_output_names[@]}"; do
    if [[ -e ${_phasesplit_final[$name]} || -L ${_phasesplit_final[$name]} ]]; then
      trees+=(--tree "${_phasesplit_final[$name]}")
    fi
  done
  if ! said=$("$_phasesplit_engine" relocate "${_phasesplit_map_options[@]}" --text "$1" "${trees[@]}" 2>&1); then
    printf '%s\n' "$said" >&2
    phasesplit_fail "the outputs could not be moved to their real paths (see above)"
  fi
  # What could not be searched is said at the end, of the outputs as they are then.
  phasesplit_pass_on "$said" 'could not be searched'
  for name in "${_phasesplit_output_names[@]}"; do
    "$_phasesplit_engine" link "${_phasesplit_final[$name]}" "${_phasesplit_staged[$name]}"
  done
}

# $1: what the engine wrote to standard error. Its warnings become the stage's; the rest goes to the log. $2: text of a
# warning that is left out.
phasesplit_pass_on() {
  local line
  while IFS= read -r line; do
    case $line in
      "warning: "*"${2-}"*) [[ -n ${2-} ]] || phasesplit_warn "${line#warning: }" ;;
      "warning: "*) phasesplit_warn "${line#warning: }" ;;
      ?*) printf '%s\n' "$line" >&2 ;;
    esac
  done <<<"$1"
}

# Run outside the stage's own bash, after it ended with success. A phase may end the build with `exit 0`: before the last
# stage that leaves no state, and whatever would have come after it is unknown.
phasesplit_check_result() {
  if [[ -n $_phasesplit_finish ]]; then
    phasesplit_check_outputs
  elif [[ ! -e $_phasesplit_state/info.json ]]; then
    phasesplit_fail "it ended with success before its state was saved: a phase or the builder script calls exit. Let it return instead, or use the unsplit build"
  fi
}

# At the end of finish nothing may name a staged prefix: fixup, installCheck, exit hooks and what the builder script has
# after genericBuild may have copied from the build directory (nixpkgs moves a Python package's wheels to $dist there).
# What they brought is relocated like the rest was, or refused like the rest would have been.
phasesplit_check_outputs() {
  local name said
  local -a paths=() trees=()
  phasesplit_refuse_own_paths
  [[ -n $_phasesplit_parent ]] || return 0
  phasesplit_collect_maps
  for name in "${_phasesplit_output_names[@]}"; do
    if [[ -e ${_phasesplit_final[$name]} || -L ${_phasesplit_final[$name]} ]]; then
      paths+=("${_phasesplit_final[$name]}")
      trees+=(--tree "${_phasesplit_final[$name]}")
    fi
  done
  [[ ${#paths[@]} -gt 0 ]] || return 0
  # Nearly always this is all, and one pass.
  if ! said=$("$_phasesplit_engine" scan "${_phasesplit_map_options[@]}" "${paths[@]}" 2>&1); then
    echo "phasesplit: a phase after install brought a staged prefix into an output, from the build directory: it is relocated as well" >&2
    said=$("$_phasesplit_engine" relocate "${_phasesplit_map_options[@]}" "${trees[@]}" 2>&1) || {
      printf '%s\n' "$said" >&2
      phasesplit_fail "a phase after install put a staged prefix into an output (see above): it copied something from the build directory that names it. Do that before install, or use the unsplit build"
    }
    phasesplit_pass_on "$said" 'could not be searched'
    said=$("$_phasesplit_engine" scan "${_phasesplit_map_options[@]}" "${paths[@]}" 2>&1) ||
      phasesplit_fail "a phase after install put a staged prefix into an output, and relocation left it there: $said"
  fi
  phasesplit_pass_on "$said"
}

# Open files do not cross a boundary. A later phase that uses one fails by itself, but for standard input, output and
# error: there it would read or write elsewhere in silence. The process above this one still has the streams Nix gave, or
# knows the one it gave in their place (70-keep-failed).
phasesplit_check_streams() {
  local _phasesplit_fd _phasesplit_given_stream
  for _phasesplit_fd in 0 1 2; do
    _phasesplit_given_stream=/proc/$PPID/fd/$_phasesplit_fd
    [[ -z $_phasesplit_stream || $_phasesplit_fd == 0 ]] || _phasesplit_given_stream=$_phasesplit_stream
    [[ /proc/$BASHPID/fd/$_phasesplit_fd -ef $_phasesplit_given_stream ]] && continue
    [[ $_phasesplit_fd != 2 ]] || exec 2>"$_phasesplit_given_stream" || true
    phasesplit_fail "a phase redirected the shell's own file descriptor $_phasesplit_fd (exec with < or >), which no state can hold. Redirect the commands of that phase alone ({ …; } >file), merge the stages that need it (--merge), or use the unsplit build"
  done
}

# $1: the build directory. What of it is not the package's, as options of save and mentions, in _phasesplit_own_options.
phasesplit_collect_own() {
  local _phasesplit_line
  _phasesplit_own_options=()
  [[ ! -e $_phasesplit_scratch/nix-files ]] || _phasesplit_own_options+=(--nix-files "$_phasesplit_scratch/nix-files")
  # What stdenv writes before each phase, not a package's file of that name.
  if [[ -e $_phasesplit_scratch/dumps && -f $1/env-vars && ! -L $1/env-vars ]]; then
    IFS= read -r _phasesplit_line <"$1/env-vars" || true
    [[ $_phasesplit_line != 'declare -x '* && $_phasesplit_line != 'export '* ]] || _phasesplit_own_options+=(--exclude env-vars)
  fi
}

# $1: the build directory, then more options. Saves what is there, with the shell state in $_phasesplit_scratch/saved.
phasesplit_save_tree() {
  local -a _phasesplit_own_options=() _phasesplit_warnings=()
  [[ ! -e $_phasesplit_scratch/warnings ]] || mapfile -d '' -n 400 -t _phasesplit_warnings <"$_phasesplit_scratch/warnings"
  phasesplit_collect_outputs
  phasesplit_collect_outside
  phasesplit_collect_own "$1"
  "$_phasesplit_engine" save --to "$_phasesplit_state" --build-dir "$1" --shell "$_phasesplit_scratch/saved" \
    "${_phasesplit_output_options[@]}" --package "$_phasesplit_package" --stage "$_phasesplit_stage" \
    ${_phasesplit_parent:+"--parent=$_phasesplit_parent" "--listing=$_phasesplit_scratch/listing"} ${_phasesplit_pinned:+"--pinned=$_phasesplit_pinned"} \
    "${_phasesplit_ran[@]}" "${_phasesplit_warnings[@]/#/--warning=}" "${_phasesplit_own_options[@]}" \
    "${_phasesplit_outside_options[@]}" "${_phasesplit_foreign_options[@]}" "${@:2}" ||
    phasesplit_fail "the state could not be saved (see above)"
}

# Saves the state, in a subshell. Then the build ends. What the builder script has after genericBuild, and the exit hooks, belong to the
# end of the whole build: only finish runs them.
phasesplit_save() {
  phasesplit_guard
  curPhase=${_phasesplit_now[-1]-}
  phasesplit_count_seconds
  phasesplit_load_mentions
  [[ -z $_phasesplit_keep ]] || : >|"$_phasesplit_keep/phase"
  phasesplit_check_streams
  phasesplit_end_outside
  phasesplit_note_source
  phasesplit_write_shell "$_phasesplit_scratch/saved"
  [[ -z $_phasesplit_keep ]] || "$_phasesplit_engine" clear "$_phasesplit_keep"
  phasesplit_save_tree "$NIX_BUILD_TOP"
}

# What comes before the first phase. `phasesplit shell` has its own.
phasesplit_begin() {
  if [[ $BASHPID != "$$" ]]; then
    phasesplit_fail "its builder script calls genericBuild in a subshell or a pipeline, so what comes after it cannot be put off to the last stage; use the unsplit build"
  fi
  if [[ -n ${_phasesplit_called-} ]]; then
    phasesplit_fail "its builder script calls genericBuild more than once; use the unsplit build"
  fi
  # From here on the phases see the real one.
  stdenv=$_phasesplit_real_stdenv
  [[ -z $_phasesplit_gzip ]] || export GZIP_NO_TIMESTAMPS=1
  if [[ -n ${buildCommand-} || -n ${buildCommandPath-} ]]; then
    phasesplit_fail "it is one buildCommand, so it has no phases to split; use the unsplit build"
  fi
  _phasesplit_called=1
  phasesplit_leave_structured
  phasesplit_note_nix_files
  phasesplit_list_phases
  phasesplit_cut_phases
  _phasesplit_frame='' _phasesplit_drawn='' _phasesplit_stood_in='' _phasesplit_stood_by='' _phasesplit_began=() _phasesplit_ran=()
  phasesplit_seed_random
  ( phasesplit_guard; phasesplit_write_base ) || exit 1
  phasesplit_restore
  # As the shell may be the package's from here on.
  ( phasesplit_guard; phasesplit_remember_outside; phasesplit_check_given; phasesplit_note_mentions "${_phasesplit_now[@]}"; phasesplit_write_mentions ) || builtin exit 1
  [[ -z $_phasesplit_keep ]] || phasesplit_watch_phases
}

# In place of stdenv's. The package's traps on DEBUG, ERR and RETURN must see what they would see of that one: its `for`
# and `runPhase`. So nothing else here may be a command, but for what runs before the frame (45-shell-script) and what
# runs when all is saved. Neither a subshell nor a definition is one, and redirections are expanded all the same: that
# notes when each phase began, and draws from RANDOM.
phasesplit_define_generic_build() {
  if [[ -z $_phasesplit_finish ]]; then
    genericBuild() {
      phasesplit_begin
      builtin eval "$_phasesplit_frame"
      for curPhase in "${_phasesplit_now[@]}"; do
        { phasesplit_nothing() { :; }; } <<<"${_phasesplit_began[${#_phasesplit_began[@]}]:=$curPhase=${EPOCHSECONDS-}}"
        ( [[ -z $_phasesplit_keep ]] || phasesplit_mark_phase "$curPhase" )
        runPhase "$curPhase"
      done
      { phasesplit_nothing() { :; }; } <<<"${_phasesplit_drawn:=${RANDOM-} ${RANDOM-} ${RANDOM-} ${RANDOM-}}"
      if ( phasesplit_save ); then builtin enable trap; builtin trap - EXIT; builtin exit 0; fi
      # Its own EXIT trap may end processes that the save has ended, and whose numbers others have.
      builtin enable trap
      builtin trap - EXIT
      builtin exit 1
    }
  elif [[ -n $_phasesplit_keep ]]; then
    genericBuild() {
      phasesplit_begin
      builtin eval "$_phasesplit_frame"
      for curPhase in "${_phasesplit_now[@]}"; do
        { phasesplit_nothing() { :; }; } <<<"${_phasesplit_began[${#_phasesplit_began[@]}]:=$curPhase=${EPOCHSECONDS-}}"
        ( phasesplit_mark_phase "$curPhase" )
        runPhase "$curPhase"
      done
      # The words of info::AFTER_PHASES in engine/src.
      ( phasesplit_mark_phase 'after the phases' )
    }
  else
    genericBuild() {
      phasesplit_begin
      builtin eval "$_phasesplit_frame"
      for curPhase in "${_phasesplit_now[@]}"; do runPhase "$curPhase"; done
    }
  fi
}

# Called by the stand-in for stdenv's setup, right after the real one.
phasesplit_take_over() {
  declare -F runPhase >/dev/null ||
    phasesplit_fail "this stdenv has no function runPhase; use the unsplit build"
  # In a phase, or after genericBuild, a second setup is as much the package's own affair as it is in the unsplit build.
  [[ -z ${_phasesplit_called-} ]] || return 0
  stdenv=$_phasesplit_scratch/stdenv
  # The one thing stdenv's genericBuild does besides: its gzip wrapper reads this to leave timestamps out.
  _phasesplit_gzip=''
  [[ $(declare -f genericBuild) != *GZIP_NO_TIMESTAMPS* ]] || _phasesplit_gzip=1
  phasesplit_define_generic_build
}

phasesplit_read_options "$@"
# `phasesplit shell` puts functions of its own in place of some of these (nix-lib/shell).
# shellcheck disable=SC1090
[[ -z ${_PHASESPLIT_ENTER-} ]] || source "$_PHASESPLIT_ENTER"
phasesplit_find_outputs
phasesplit_stay_outside "${BASH_SOURCE[0]}" "$@"
phasesplit_enter_environment
set --
# shellcheck disable=SC1090
source "${_phasesplit_scripts[@]}"
[[ -n ${_phasesplit_called-} ]] ||
  phasesplit_fail "its builder script never called genericBuild, so it has no phases to split; use the unsplit build"
# A bash that ends in another program's exec can be taken for killed (NixOS/nix#2176).
exit 0
