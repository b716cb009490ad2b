# 50-mentions: the check behind held-back attributes. An attribute is held back from the stages before its scope because
# nobody there reads it; nix-lib sees the package's own scripts, but not what hooks bring and sources hold. So each stage
# notes which held-back names it can reach, the notes travel with the state, and the stage that first gets such an
# attribute fails if an earlier one would have read or set it.
#
# The names come from the table (`--later`), not from what the package has now: otherwise adding an attribute would
# rebuild every stage before it.
#
# Searched are, by the engine (engine/src/reach): the phases of this stage and all functions, hooks and values they lead
# to; the files that these source from the tree or name in the store; the code of stdenv's setup and of the setup hooks that
# runs while they are sourced; and (engine/src/mentions) the text files of the build directory. A name counts as a word, as
# one that may be put together (`${phase}Flags`), or as part of a read of everything (`env`, `export -p`, `substituteAll`,
# .attrs.json). Not seen are programs of the inputs that read a variable by its name, and what compiled files hold.

# Notes that this stage $2 (reads, sets …) the name $1: an attribute, COMMAND=INPUT, or * for all. The first note stays:
# it names the earliest stage.
phasesplit_note() {
  if [[ $1 == '*' ]]; then
    [[ -n $_phasesplit_reads_all ]] || _phasesplit_reads_all="stage $_phasesplit_stage $2"
  elif [[ -z ${_phasesplit_mentioned[$1]-} ]]; then
    _phasesplit_mentioned[$1]="stage $_phasesplit_stage $2"
  fi
}

phasesplit_is_anything_later() {
  [[ ${#_phasesplit_later[@]} -gt 0 || ${#_phasesplit_later_commands[@]} -gt 0 ]]
}

# Prints, as records of the engine's `reach`, the files that stdenv's setup and its inputs had sourced.
phasesplit_print_sourced() {
  local _phasesplit_input
  printf 'sourced\0%s\0' "$_phasesplit_real_stdenv/setup"
  # The first six are nixpkgs' lists of all inputs, with what they propagate; then the host set's; then what any stdenv has.
  # shellcheck disable=SC2154,SC2048,SC2086
  for _phasesplit_input in "${pkgsBuildBuild[@]}" "${pkgsBuildHost[@]}" "${pkgsBuildTarget[@]}" "${pkgsHostHost[@]}" \
    "${pkgsHostTarget[@]}" "${pkgsTargetTarget[@]}" "${_nativeInputs[@]}" "${_hostInputs[@]}" \
    ${nativeBuildInputs[*]} ${buildInputs[*]} ${propagatedNativeBuildInputs[*]} ${propagatedBuildInputs[*]} \
    ${defaultNativeBuildInputs[*]} ${defaultBuildInputs[*]}; do
    [[ -f $_phasesplit_input ]] || _phasesplit_input+=/nix-support/setup-hook
    [[ ! -f $_phasesplit_input ]] || printf 'sourced\0%s\0' "$_phasesplit_input"
  done
}

# "$@": phases about to run. Prints the whole request.
phasesplit_print_reach() {
  local _phasesplit_each
  local -A _phasesplit_own=()
  local -i _phasesplit_index
  for _phasesplit_each in "${!_phasesplit_later[@]}"; do
    printf 'wanted\0%s\0%s\0' "$_phasesplit_each" "$_phasesplit_each"
  done
  for _phasesplit_each in "${!_phasesplit_later_commands[@]}"; do
    printf 'wanted\0%s\0%s\0' "$_phasesplit_each" "$_phasesplit_each=${_phasesplit_later_commands[$_phasesplit_each]}"
  done
  # genericBuild's own steps lead everywhere; dumpVars writes everything, to a file that is no part of a state.
  printf 'pass-over\0%s\0' phases genericBuild definePhases runPhase dumpVars
  # Hooks of every configure phase (nixpkgs' and the host set's) that change installFlags, but only for several outputs:
  # then nix-lib gives installFlags to configure.
  [[ ${_phasesplit_output_names[*]} != out ]] || printf 'pass-over\0%s\0' _multioutConfig _outputFlags
  for _phasesplit_each in "$@"; do
    _phasesplit_own[$_phasesplit_each]=1
    printf 'root\0the list of phases\0%s\0' "$_phasesplit_each"
  done
  for ((_phasesplit_index = _phasesplit_last + 1; _phasesplit_index < ${#_phasesplit_entries[@]}; _phasesplit_index++)); do
    for _phasesplit_each in ${_phasesplit_entries[_phasesplit_index]}; do
      [[ -n ${_phasesplit_own[$_phasesplit_each]-} ]] || printf 'later-phase\0%s\0' "$_phasesplit_each"
    done
  done
  # What they do before genericBuild they do in every stage.
  for _phasesplit_each in "${_phasesplit_scripts[@]}"; do
    printf 'root\0the builder script %s\0%s\0' "$_phasesplit_each" "$(<"$_phasesplit_each")"
  done
  for _phasesplit_each in "${_phasesplit_function_names[@]}"; do
    printf 'function\0%s\0%s\0' "$_phasesplit_each" "${_phasesplit_functions[$_phasesplit_each]#* }"
  done
  for _phasesplit_each in "${_phasesplit_variable_names[@]}"; do
    printf 'variable\0%s\0%s\0' "$_phasesplit_each" "${_phasesplit_variables[$_phasesplit_each]}"
  done
  phasesplit_print_sourced
}

# "$@": phases about to run, in a guarded subshell with the restored state in place. Notes what they can reach.
phasesplit_note_mentions() {
  _phasesplit_runs_source=''
  phasesplit_is_anything_later || return 0
  local _phasesplit_file=$_phasesplit_scratch/reach IFS=$' \t\n'
  local -a _phasesplit_answers=()
  local -i _phasesplit_index
  phasesplit_print_reach "$@" >|"$_phasesplit_file"
  "$_phasesplit_engine" reach <"$_phasesplit_file" >|"$_phasesplit_file.found" ||
    phasesplit_fail "the text of its phases could not be searched (see above)"
  mapfile -d '' -t _phasesplit_answers <"$_phasesplit_file.found"
  for ((_phasesplit_index = 0; _phasesplit_index < ${#_phasesplit_answers[@]}; _phasesplit_index += 2)); do
    case ${_phasesplit_answers[_phasesplit_index]} in
      /runs) _phasesplit_runs_source=${_phasesplit_answers[_phasesplit_index + 1]} ;;
      /unproven) phasesplit_warn "not proven that the files its phases name read no attribute that is held back: the environment is listed in ${_phasesplit_answers[_phasesplit_index + 1]}" ;;
      *) phasesplit_note "${_phasesplit_answers[_phasesplit_index]}" "${_phasesplit_answers[_phasesplit_index + 1]}" ;;
    esac
  done
  phasesplit_count_source
}

# What the source reads from its environment counts as soon as something runs that may run it: a phase other than
# unpackPhase and patchPhase, or a script or hook of these that runs more than plain tools (`/runs`, engine/src/reach). Only
# what is still held back by then.
phasesplit_count_source() {
  local _phasesplit_each _phasesplit_name _phasesplit_command
  [[ -n $_phasesplit_runs_source ]] || return 0
  for _phasesplit_each in "${!_phasesplit_in_source[@]}"; do
    _phasesplit_name=$_phasesplit_each
    case $_phasesplit_each in
      /all)
        phasesplit_note '*' "may read every variable from its environment: ${_phasesplit_in_source[/all]}, a file of the source, does"
        continue
        ;;
      # A name in a list, and a file that reads by names which it has from elsewhere.
      /named/*)
        [[ -n ${_phasesplit_in_source[/computed]-} ]] || continue
        _phasesplit_name=${_phasesplit_each#/named/}
        ;;
      nativeBuildInputs | buildInputs)
        for _phasesplit_command in "${!_phasesplit_later_commands[@]}"; do
          phasesplit_note "$_phasesplit_command=${_phasesplit_later_commands[$_phasesplit_command]}" "may read $_phasesplit_each from its environment: ${_phasesplit_in_source[$_phasesplit_each]}, a file in the build directory, does"
        done
        continue
        ;;
    esac
    [[ -z ${_phasesplit_later[$_phasesplit_name]-} ]] ||
      phasesplit_note "$_phasesplit_name" "may read it from its environment: ${_phasesplit_in_source[$_phasesplit_each]}, a file in the build directory, does"
  done
}

# At the end of a stage: notes which held-back names the files read that are new or changed since the restore.
phasesplit_note_source() {
  phasesplit_is_anything_later || return 0
  local _phasesplit_file=$_phasesplit_scratch/names _phasesplit_key _phasesplit_unproven=''
  local -a _phasesplit_answers=() _phasesplit_which=(--all) _phasesplit_own_options=()
  local -i _phasesplit_index
  [[ ! -e $_phasesplit_scratch/restored ]] || _phasesplit_which=("--newer-than=$_phasesplit_scratch/restored")
  # With structured attributes there is a file of all of them.
  [[ -z $_phasesplit_attrs_script ]] || _phasesplit_which+=(--attributes)
  {
    [[ ${#_phasesplit_later[@]} -eq 0 ]] || printf '%s\n' "${!_phasesplit_later[@]}"
    # The lists that late inputs are missing in.
    [[ ${#_phasesplit_later_commands[@]} -eq 0 ]] || printf '%s\n' nativeBuildInputs buildInputs
  } >|"$_phasesplit_file"
  phasesplit_collect_own "$NIX_BUILD_TOP"
  "$_phasesplit_engine" mentions --build-dir "$NIX_BUILD_TOP" --names "$_phasesplit_file" "${_phasesplit_which[@]}" \
    "${_phasesplit_own_options[@]}" >|"$_phasesplit_file.found" || phasesplit_fail "the build directory could not be searched (see above)"
  mapfile -d '' -t _phasesplit_answers <"$_phasesplit_file.found"
  for ((_phasesplit_index = 0; _phasesplit_index < ${#_phasesplit_answers[@]}; _phasesplit_index += 2)); do
    _phasesplit_key=${_phasesplit_answers[_phasesplit_index]}
    if [[ $_phasesplit_key == /unproven/* ]]; then
      _phasesplit_unproven+="${_phasesplit_unproven:+; }${_phasesplit_key#/unproven/} (${_phasesplit_answers[_phasesplit_index + 1]})"
    # The first file stays: it counts from the earliest stage.
    elif [[ -z ${_phasesplit_in_source[$_phasesplit_key]-} ]]; then
      _phasesplit_in_source[$_phasesplit_key]=${_phasesplit_answers[_phasesplit_index + 1]}
    fi
  done
  [[ -z $_phasesplit_unproven ]] ||
    phasesplit_warn "not proven that the source reads no attribute that is held back: it lists its environment in $_phasesplit_unproven"
  # A stage may have made and run a file, or unpacked and built.
  phasesplit_count_source
}

# $1: what a note says. The stage it names, in _phasesplit_reply.
phasesplit_noted_stage() {
  _phasesplit_reply=${1#stage }
  _phasesplit_reply=${_phasesplit_reply%% *}
}

# Called with the restored state in place: what is new in this stage must not have been reached before.
phasesplit_check_given() {
  local _phasesplit_name _phasesplit_who
  [[ ${#_phasesplit_given[@]} -gt 0 ]] || return 0
  for _phasesplit_name in "${_phasesplit_given[@]}"; do
    _phasesplit_who=${_phasesplit_mentioned[$_phasesplit_name]-}
    [[ -n $_phasesplit_who ]] || continue
    phasesplit_noted_stage "$_phasesplit_who"
    if [[ $_phasesplit_name == *=* ]]; then
      phasesplit_fail "the input ${_phasesplit_name#*=}, which brings ${_phasesplit_name%%=*}, was held back until here, but $_phasesplit_who: the stages from there on may be wrong without it. Remove ${_phasesplit_name#*=} from lateInputs, or name it there for the stage \"$_phasesplit_reply\" (lateInputs.$_phasesplit_reply = [ \"${_phasesplit_name#*=}\" ];)"
    fi
    phasesplit_fail "the attribute $_phasesplit_name was held back until here, but $_phasesplit_who: the stages from there on may be wrong without it. Give it to that stage: add  scope.$_phasesplit_name = \"$_phasesplit_reply\";  to the arguments of split, or  --scope $_phasesplit_name=$_phasesplit_reply  on the command line"
  done
  [[ -n $_phasesplit_reads_all ]] || return 0
  phasesplit_noted_stage "$_phasesplit_reads_all"
  phasesplit_fail "${_phasesplit_given[*]} was held back until here, but $_phasesplit_reads_all: the stages from there on may be wrong without it. Give that stage all attributes: add  readsAll = \"$_phasesplit_reply\";  to the arguments of split, or  --reads-all $_phasesplit_reply  on the command line"
}

phasesplit_print_mentioned() {
  local _phasesplit_name
  for _phasesplit_name in "${!_phasesplit_mentioned[@]}"; do
    printf '_phasesplit_mentioned[%s]=%q\n' "$_phasesplit_name" "${_phasesplit_mentioned[$_phasesplit_name]}"
  done
  for _phasesplit_name in "${!_phasesplit_in_source[@]}"; do
    printf '_phasesplit_in_source[%s]=%q\n' "$_phasesplit_name" "${_phasesplit_in_source[$_phasesplit_name]}"
  done
  [[ -z $_phasesplit_reads_all ]] || printf '_phasesplit_reads_all=%q\n' "$_phasesplit_reads_all"
}

# What the stage noted before its first phase, for the subshell that goes on with it at the end.
phasesplit_write_mentions() {
  {
    phasesplit_print_mentioned
    printf '_phasesplit_runs_source=%q\n' "$_phasesplit_runs_source"
  } >|"$_phasesplit_scratch/mentions"
}

phasesplit_load_mentions() {
  # shellcheck disable=SC1091
  source "$_phasesplit_scratch/mentions"
}
