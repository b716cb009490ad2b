# 50-mentions: the check behind held-back attributes. An attribute is held back from the stages before its scope because
# nobody there reads it; nix-lib sees the package's own scripts, but not the functions that hooks bring. So each stage
# notes which held-back names its phases can reach, the note travels with the state, and the stage that first gets such
# an attribute fails if an earlier one would have read or set it.
#
# The names come from the table (`--later`), not from what the package has now: otherwise adding an attribute would
# rebuild every stage before it.

# Text to words: everything that cannot be part of a variable's name separates.
_phasesplit_separators=$' \t\n!"#$%&\'()*+,-./:;<=>?@[\\]^`{|}~'

# Adds text $1, said to be from $2, to what is to be searched.
phasesplit_reach() {
  _phasesplit_reached_texts+=("$1")
  _phasesplit_reached_labels+=("$2")
}

# Functions and variables as they are now, what a restored state brought included.
phasesplit_look_at_shell() {
  [[ -n $_phasesplit_parent ]] || return 0
  phasesplit_read_shell_options
  phasesplit_set_own_options
  local IFS=$' \t\n'
  phasesplit_read_variables ''
  phasesplit_read_functions
  phasesplit_put_back_options
}

# Whether text $2, in which function $1 is a word, may call it. For a phase's function that takes more than the word:
# hooks choose later phases while they configure (`installPhase=mesonInstallPhase`; the stage that runs it will search
# it) and ask which was chosen (`[[ ${buildPhase-} == ninjaBuildPhase ]]`). What is left when assignments, comparisons
# and the ways to name the variable are taken away counts as a call.
phasesplit_is_called() {
  local _phasesplit_name=$1 _phasesplit_text=$2
  [[ $_phasesplit_name == *Phase ]] || return 0
  _phasesplit_text=${_phasesplit_text//[=-]$_phasesplit_name/}
  _phasesplit_text=${_phasesplit_text//[=-]\"$_phasesplit_name\"/}
  _phasesplit_text=${_phasesplit_text//= $_phasesplit_name/}
  _phasesplit_text=${_phasesplit_text//= \"$_phasesplit_name\"/}
  _phasesplit_text=${_phasesplit_text//\$$_phasesplit_name/}
  _phasesplit_text=${_phasesplit_text//\$\{$_phasesplit_name/}
  _phasesplit_text=${_phasesplit_text//\$\{\#$_phasesplit_name/}
  _phasesplit_text=${_phasesplit_text//-v $_phasesplit_name/}
  _phasesplit_text=${_phasesplit_text//$_phasesplit_name=/}
  _phasesplit_text=${_phasesplit_text//$_phasesplit_name+=/}
  [[ $_phasesplit_text == *"$_phasesplit_name"* ]]
}

# "$@": phases about to run. Fills _phasesplit_mentioned (name -> who reads it).
phasesplit_note_mentions() {
  [[ ${#_phasesplit_later[@]} -gt 0 ]] || return 0
  local -a _phasesplit_reached_texts=() _phasesplit_reached_labels=() _phasesplit_words=()
  local -A _phasesplit_seen=([phases]=1 [genericBuild]=1 [definePhases]=1 [runPhase]=1 [dumpVars]=1)
  local -i _phasesplit_at
  local _phasesplit_phase _phasesplit_word _phasesplit_label IFS=$_phasesplit_separators
  # Hooks of every configure phase (nixpkgs' and the host set's) that change installFlags, but only for several outputs:
  # then nix-lib gives installFlags to configure.
  if [[ ${_phasesplit_output_names[*]} == out ]]; then _phasesplit_seen[_multioutConfig]=1 _phasesplit_seen[_outputFlags]=1; fi
  for _phasesplit_phase in "$@"; do
    phasesplit_reach "$_phasesplit_phase" "the list of phases"
  done
  # What they do before genericBuild they do in every stage.
  for _phasesplit_word in "${_phasesplit_scripts[@]}"; do
    phasesplit_reach "$(<"$_phasesplit_word")" "the builder script $_phasesplit_word"
  done
  for ((_phasesplit_at = 0; _phasesplit_at < ${#_phasesplit_reached_texts[@]}; _phasesplit_at++)); do
    # shellcheck disable=SC2206 # splitting is the point; globbing is off
    _phasesplit_words=(${_phasesplit_reached_texts[_phasesplit_at]})
    _phasesplit_label=${_phasesplit_reached_labels[_phasesplit_at]}
    for _phasesplit_word in "${_phasesplit_words[@]}"; do
      [[ -n $_phasesplit_word && -z ${_phasesplit_seen[$_phasesplit_word]-} ]] || continue
      _phasesplit_seen[$_phasesplit_word]=1
      if [[ -n ${_phasesplit_later[$_phasesplit_word]-} ]]; then
        _phasesplit_mentioned[$_phasesplit_word]="stage $_phasesplit_stage reads it in $_phasesplit_label"
      fi
      if [[ -n ${_phasesplit_functions[$_phasesplit_word]-} ]] &&
        phasesplit_is_called "$_phasesplit_word" "${_phasesplit_reached_texts[_phasesplit_at]}"; then
        phasesplit_reach "${_phasesplit_functions[$_phasesplit_word]}" "the function $_phasesplit_word"
      fi
      if [[ -n ${_phasesplit_variables[${_phasesplit_word}Hooks]-} ]]; then
        phasesplit_reach "${_phasesplit_variables[${_phasesplit_word}Hooks]}" "${_phasesplit_word}Hooks"
      fi
      if [[ -n ${_phasesplit_variables[$_phasesplit_word]-} && $_phasesplit_word != *Phases ]]; then
        phasesplit_reach "${_phasesplit_variables[$_phasesplit_word]#*=}" "$_phasesplit_word"
      fi
    done
  done
}

# Called with the restored state in place: an attribute that is new in this stage must not have been reached before.
phasesplit_check_given() {
  local _phasesplit_name
  for _phasesplit_name in "${_phasesplit_given[@]}"; do
    [[ -n ${_phasesplit_mentioned[$_phasesplit_name]-} ]] || continue
    phasesplit_fail "the attribute $_phasesplit_name was held back until here, but ${_phasesplit_mentioned[$_phasesplit_name]}: the stages before may be wrong without it. Give it to them: add  scope.$_phasesplit_name = \"unpack\";  (or the stage just named) to the arguments of split"
  done
}

phasesplit_print_mentioned() {
  local _phasesplit_name
  [[ ${#_phasesplit_mentioned[@]} -gt 0 ]] || return 0
  for _phasesplit_name in "${!_phasesplit_mentioned[@]}"; do
    printf '_phasesplit_mentioned[%s]=%q\n' "$_phasesplit_name" "${_phasesplit_mentioned[$_phasesplit_name]}"
  done
}

