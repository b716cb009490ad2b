# shellcheck shell=bash disable=SC1090,SC2034,SC2154
# Runs a generated program whole, or one stage of it, with the runtime's own functions and without Nix.
#
# usage: harness.sh whole|stage PROGRAM DIRECTORY RUNTIME ENGINE [STATE-BEFORE STATE-AFTER PHASE…]
#
# PROGRAM defines variables with the texts of phases, as a package's attributes are; DIRECTORY is the build directory.

_phasesplit_cp=$(type -P cp)
mode=$1 _phasesplit_runtime=$4 _phasesplit_engine=$5
NIX_BUILD_TOP=$3 LOG=$3.log PROBE=$3.probe
source "$2"
cd -- "$NIX_BUILD_TOP" || exit

runPhase() {
  local curPhase="$*"
  eval "${!curPhase:-$curPhase}"
}

# Everything a shell has, under whatever the program left. Names that bash computes, and the harness's own, are left out.
probe() {
  local probeLine probeName probeLines
  : "${PROBE:?}"
  {
    builtin enable -a
    builtin enable $(builtin enable -n | while builtin read -r _ _ n; do builtin echo "$n"; done) 2>/dev/null
    # BASHOPTS follows posix mode and BASH_COMPAT only when an option is set.
    builtin shopt -s "${BASHOPTS%%:*}"
    builtin printf 'options %s %s %s\n' "${BASHOPTS//compat[0-9][0-9]:/}" "$SHELLOPTS" "$(builtin umask)"
    builtin printf 'at %q %q %s %s\n' "$PWD" "${OLDPWD-unset}" "$([[ . -ef $PWD ]] && builtin echo there)" "$#"
    builtin printf 'random %s %s %s\n' ${seeded:+"${RANDOM-unset}" "${RANDOM-unset}" "${RANDOM-unset}"}
    builtin printf 'seconds %s\n' "$((${SECONDS:-0} / 100)) ${EPOCHSECONDS+set} ${EPOCHREALTIME+set} ${LINENO+set} ${SRANDOM+set}"
    builtin dirs -l -p
    builtin trap -p
    builtin ulimit -Sa
    builtin ulimit -Ha
    builtin alias -p
    for probeName in "${!BASH_CMDS[@]}"; do
      [[ $probeName != my* ]] || builtin printf 'hashed %q %q\n' "$probeName" "${BASH_CMDS[$probeName]}"
    done
    builtin mapfile -t probeLines < <(builtin declare -F)
    for probeLine in "${probeLines[@]}"; do
      case $probeLine in *' phasesplit_'* | *' genericBuild') builtin continue ;; esac
      builtin printf '%s\n' "$probeLine"
      builtin declare -f -- "${probeLine#declare -* }"
    done
  } >|"$PROBE" 2>/dev/null
  ( builtin declare -p ) >|"$PROBE.variables" 2>&1
  # What comes after the last phase is lost with its shell.
  [[ ! -e $LOG ]] || "$_phasesplit_cp" "$LOG" "$PROBE.log"
}

source "$_phasesplit_runtime"
if [[ $mode == whole ]]; then
  _phasesplit_now=("${all[@]}")
  genericBuild() {
    for curPhase in "${_phasesplit_now[@]}"; do runPhase "$curPhase"; done
    builtin exit 0
  }
  set --
  genericBuild
  exit 9
fi
# An error may end that block and nothing more.
[[ $mode == stage ]] || exit 9

source "$_phasesplit_runtime"
_phasesplit_package=generated _phasesplit_stage=stage _phasesplit_keep='' _phasesplit_finish='' _phasesplit_warnings=()
_phasesplit_given=() _phasesplit_output_names=() _phasesplit_real_stdenv='' _phasesplit_gzip=''
declare -A _phasesplit_later=() _phasesplit_later_commands=() _phasesplit_mentioned=() _phasesplit_in_source=()
_phasesplit_reads_all='' _phasesplit_scratch=$3.scratch _phasesplit_parent=$6 _phasesplit_after=$7
mkdir -p "$_phasesplit_scratch"
_phasesplit_now=("${@:8}")

phasesplit_list_phases() { :; }
phasesplit_cut_phases() { :; }
phasesplit_check_streams() { :; }
phasesplit_note_source() { :; }
phasesplit_warn_of_losses() { :; }
phasesplit_save_tree() {
  "$_phasesplit_cp" "$_phasesplit_scratch/saved" "$_phasesplit_after"
  [[ ! -e $LOG ]] || "$_phasesplit_cp" "$LOG" "$_phasesplit_after.log"
}
phasesplit_restore() {
  # What the shell before ran after it was saved is lost.
  rm -f "$LOG"
  [[ ! -e $_phasesplit_parent.log ]] || cp "$_phasesplit_parent.log" "$LOG"
  [[ -z $_phasesplit_parent ]] || phasesplit_source_shell "$_phasesplit_parent"
}
phasesplit_define_generic_build
set --
genericBuild
exit 9
