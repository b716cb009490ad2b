# shellcheck shell=bash
# The stage runtime: takes the place of a package's first script, runs one stage of the chain, leaves its state.
# Written for bash 5.0 and later, and for any state of `set`, `shopt` and IFS a package may leave behind.
#
# 10-options: what split.nix passes (`stageOptions` there is the other side of this contract).

# Prints a message to the build log and ends the stage. What fails is then not a phase (70-keep-failed).
phasesplit_fail() {
  [[ ! -e ${_phasesplit_keep-}/phase ]] || : >|"$_phasesplit_keep/phase"
  printf 'phasesplit: %s: stage %s: %s\n' "$_phasesplit_package" "$_phasesplit_stage" "$1" >&2
  exit 1
}

# Warns in the build log, and in the state, so that a build which reuses the stage can say it too: `build` shows both. In a
# file, because subshells warn. One line, which the engine can be given as an argument.
phasesplit_warn() {
  local _phasesplit_text="${1//$'\n'/ }"
  [[ ${#_phasesplit_text} -le 2000 ]] || _phasesplit_text=${_phasesplit_text:0:2000}…
  printf '%s\0' "$_phasesplit_text" >>"$_phasesplit_scratch/warnings"
  printf 'phasesplit: %s: stage %s: warning: %s\n' "$_phasesplit_package" "$_phasesplit_stage" "$_phasesplit_text" >&2
}

# The text of the attribute phasesplitStage, in _phasesplit_options. No phase gets to see it. The second bash
# (20-build-directory) reads a copy, so that the attribute is not even in its /proc/self/environ.
phasesplit_take_options() {
  _phasesplit_inside=${_phasesplit_inside-}
  if [[ -n $_phasesplit_inside ]]; then
    _phasesplit_scratch=$_phasesplit_inside
    _phasesplit_options=$(<"$_phasesplit_scratch/options")
  elif [[ -n ${phasesplitStage-} ]]; then
    _phasesplit_options=$phasesplitStage
  else
    phasesplit_find_attributes
    [[ -z $_phasesplit_attrs_script ]] || phasesplit_peek_structured
    _phasesplit_options=${_phasesplit_attribute-}
  fi
  unset -v phasesplitStage
  # Came through the environment, and is not the package's.
  export -n _phasesplit_inside
}

# "$@": the package's own scripts. The options have a line each: NAME VALUE.
phasesplit_read_options() {
  _phasesplit_package='' _phasesplit_stage='' _phasesplit_engine='' _phasesplit_parent='' _phasesplit_pinned='' _phasesplit_finish=''
  _phasesplit_stream='' _phasesplit_follower='' _phasesplit_keep_failed='' _phasesplit_directory='' _phasesplit_entries=() _phasesplit_first=0 _phasesplit_last=0
  declare -gA _phasesplit_later=() _phasesplit_later_commands=() _phasesplit_staged=() _phasesplit_final=()
  _phasesplit_given=() _phasesplit_output_names=() _phasesplit_scripts=("$@")
  local _phasesplit_word _phasesplit_value _phasesplit_rest
  phasesplit_take_options
  _phasesplit_rest=$_phasesplit_options$'\n'
  while [[ -n $_phasesplit_rest ]]; do
    _phasesplit_value=${_phasesplit_rest%%$'\n'*} _phasesplit_rest=${_phasesplit_rest#*$'\n'}
    _phasesplit_word=${_phasesplit_value%% *} _phasesplit_value=${_phasesplit_value#* }
    case $_phasesplit_word in
      package) _phasesplit_package=$_phasesplit_value ;;
      stage) _phasesplit_stage=$_phasesplit_value ;;
      entries)
        # An entry is a list of phases, separated by blanks; so only commas divide here.
        local IFS=,
        # shellcheck disable=SC2206
        _phasesplit_entries=($_phasesplit_value)
        unset -v IFS
        ;;
      range) _phasesplit_first=${_phasesplit_value% *} _phasesplit_last=${_phasesplit_value#* } ;;
      outputs)
        for _phasesplit_word in $_phasesplit_value; do
          _phasesplit_output_names+=("${_phasesplit_word%%=*}")
          _phasesplit_staged[${_phasesplit_word%%=*}]=${_phasesplit_word#*=}
        done
        ;;
      later)
        for _phasesplit_word in $_phasesplit_value; do
          # A command that a late input brings, or an attribute.
          case $_phasesplit_word in
            *=*) _phasesplit_later_commands[${_phasesplit_word%%=*}]=${_phasesplit_word#*=} ;;
            *) _phasesplit_later[$_phasesplit_word]=1 ;;
          esac
        done
        ;;
      given)
        # shellcheck disable=SC2206
        _phasesplit_given=($_phasesplit_value)
        ;;
      directory) _phasesplit_directory=$_phasesplit_value ;;
      scratch) : "${_phasesplit_scratch:=$_phasesplit_value}" ;;
      engine) _phasesplit_engine=$_phasesplit_value ;;
      parent) _phasesplit_parent=$_phasesplit_value ;;
      pinned) _phasesplit_pinned=$_phasesplit_value ;;
      stream) _phasesplit_stream=$_phasesplit_value ;;
      follower) _phasesplit_follower=$_phasesplit_value ;;
      kept-outputs)
        for _phasesplit_word in $_phasesplit_value; do _phasesplit_final[${_phasesplit_word%%=*}]=${_phasesplit_word#*=}; done
        ;;
      keep-failed) _phasesplit_keep_failed=1 ;;
      finish) _phasesplit_finish=1 ;;
      *) phasesplit_fail "the runtime does not know the option $_phasesplit_word: split.nix and its runtime are of different versions" ;;
    esac
  done
  [[ ${#_phasesplit_scripts[@]} -gt 0 ]] ||
    phasesplit_fail "the package's own builder script is missing from the arguments"
}

