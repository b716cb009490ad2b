# shellcheck shell=bash
# The stage runtime: takes the place of a package's first script, runs one stage of the chain, leaves its state.
# Written for bash 5.0 and later, and for any state of `set`, `shopt` and IFS a package may leave behind.
#
# 10-options: what split.nix passes (`stageArguments` there is the other side of this contract).

# Prints a message to the build log and ends the stage. What fails is then not a phase (70-keep-failed).
phasesplit_fail() {
  [[ ! -e ${_phasesplit_keep-}/phase ]] || : >|"$_phasesplit_keep/phase"
  printf 'phasesplit: %s: stage %s: %s\n' "$_phasesplit_package" "$_phasesplit_stage" "$1" >&2
  exit 1
}

# Warns in the build log, and in the state, so that a build which reuses the stage can say it too: `build` shows both. A
# warning is one line of bounded length: the engine gets it as an argument, and Linux bounds these.
phasesplit_warn() {
  local _phasesplit_text=${1//$'\n'/ }
  [[ ${#_phasesplit_text} -le 2000 ]] || _phasesplit_text=${_phasesplit_text:0:2000}…
  [[ ${#_phasesplit_warnings[@]} -ge 400 ]] || _phasesplit_warnings+=(--warning "$_phasesplit_text")
  printf 'phasesplit: %s: stage %s: warning: %s\n' "$_phasesplit_package" "$_phasesplit_stage" "$_phasesplit_text" >&2
}

phasesplit_read_options() {
  _phasesplit_warnings=()
  _phasesplit_package='' _phasesplit_stage='' _phasesplit_engine='' _phasesplit_parent='' _phasesplit_pinned='' _phasesplit_finish=''
  _phasesplit_inside='' _phasesplit_stream='' _phasesplit_keep_failed='' _phasesplit_directory='' _phasesplit_entries=() _phasesplit_first=0 _phasesplit_last=0
  declare -gA _phasesplit_later=() _phasesplit_later_commands=() _phasesplit_staged=() _phasesplit_final=()
  _phasesplit_given=() _phasesplit_output_names=() _phasesplit_nix_files=()
  local word
  while [[ $# -gt 0 ]]; do
    case $1 in
      --package) _phasesplit_package=$2 ;;
      --stage) _phasesplit_stage=$2 ;;
      --entries) IFS=, read -r -a _phasesplit_entries <<<"$2" ;;
      --range) _phasesplit_first=${2% *} _phasesplit_last=${2#* } ;;
      --outputs)
        for word in $2; do
          _phasesplit_output_names+=("${word%%=*}")
          _phasesplit_staged[${word%%=*}]=${word#*=}
        done
        ;;
      --later)
        for word in $2; do
          # A command that a late input brings, or an attribute.
          case $word in
            *=*) _phasesplit_later_commands[${word%%=*}]=${word#*=} ;;
            *) _phasesplit_later[$word]=1 ;;
          esac
        done
        ;;
      --given) read -r -a _phasesplit_given <<<"$2" ;;
      --nix-files) read -r -a _phasesplit_nix_files <<<"$2" ;;
      --directory) _phasesplit_directory=$2 ;;
      --engine) _phasesplit_engine=$2 ;;
      --parent) _phasesplit_parent=$2 ;;
      --pinned) _phasesplit_pinned=$2 ;;
      --stream) _phasesplit_stream=$2 ;;
      --kept-outputs)
        for word in $2; do _phasesplit_final[${word%%=*}]=${word#*=}; done
        ;;
      --keep-failed) _phasesplit_keep_failed=1; shift; continue ;;
      --finish) _phasesplit_finish=1; shift; continue ;;
      --inside) _phasesplit_inside=1; shift; continue ;;
      --) shift; _phasesplit_scripts=("$@"); return ;;
      *) phasesplit_fail "the runtime does not know the option $1: split.nix and its runtime are of different versions" ;;
    esac
    shift 2
  done
  phasesplit_fail "the package's own builder script is missing from the arguments"
}

