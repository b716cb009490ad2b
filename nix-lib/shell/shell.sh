# shellcheck shell=bash
# The first file that the bash of `phasesplit shell` reads: the build's shell, as enter.sh wrote it down, and the commands
# that a session has besides. $_PHASESPLIT_CONTROL is the directory of both.

# shellcheck disable=SC1091
source "$_PHASESPLIT_CONTROL/variables"
unset -v _PHASESPLIT_CONTROL

# What the environment expects (nix-lib/runtime/45-shell-script.sh). A session goes on without what it cannot have.
phasesplit_end_definitions() { eval "$_phasesplit_options"; }
phasesplit_stand() { builtin cd -- "$1" || true; }
phasesplit_limit() { builtin ulimit "-S$1" "$2" && { [[ -z ${3-} ]] || builtin ulimit "-H$1" "$3"; } || true; }
_phasesplit_frame='' _phasesplit_options=$(shopt -p extglob expand_aliases)
shopt -s extglob
shopt -u expand_aliases
# shellcheck disable=SC1091
source "$_phasesplit_control/environment"
eval "$_phasesplit_frame"
unset -f phasesplit_end_definitions phasesplit_stand phasesplit_limit

# Shows which phases have run and which come; `phases --names`: those that come, a name a line.
phases() {
  local each
  if [[ ${1-} == --names ]]; then
    for each in "${_phasesplit_phases_here[@]}" "${_phasesplit_phases_later[@]}"; do printf '%s\n' "$each"; done
    return 0
  elif [[ $# -gt 0 ]]; then
    printf 'usage: phases [--names]\n' >&2
    return 2
  fi
  for each in "${_phasesplit_phases_ran[@]}"; do printf 'ran    %s\n' "$each"; done
  for each in "${_phasesplit_phases_here[@]}"; do
    if [[ $each == "$_phasesplit_shell_failed" ]]; then printf 'failed %s\n' "$each"; else printf 'comes  %s\n' "$each"; fi
  done
  for each in "${_phasesplit_phases_later[@]}"; do
    printf 'later  %s (of a later stage, which may get more attributes: phasesplit shell --to)\n' "$each"
  done
}

# Runs all phases that this environment is for.
genericBuild() {
  local each
  for each in "${_phasesplit_phases_here[@]}"; do runPhase "$each"; done
}

# Runs what the build does before a break point inside a stage. Not in a condition: `set -e` holds in the phases.
phasesplit_run_until() {
  local each
  local -i status
  for each in "${_phasesplit_phases_here[@]}"; do
    runPhase "$each"
    status=$?
    ((status == 0)) || return "$status"
    _phasesplit_phases_ran+=("$each")
    _phasesplit_phases_here=("${_phasesplit_phases_here[@]:1}")
    [[ $each != "$_phasesplit_until" ]] || return 0
  done
  printf 'phasesplit: no phase %s was run\n' "$_phasesplit_until" >&2
  return 1
}

# Shows what the session changed in the source, as a patch; `phasesplit-diff --all`: in the whole build directory. The
# program outside answers.
phasesplit-diff() {
  local phasesplit_status phasesplit_text
  printf '%s\n' "$*" >"$_phasesplit_control/request"
  read -r phasesplit_status <"$_phasesplit_control/answer"
  phasesplit_text=$(<"$_phasesplit_control/diff")
  if [[ $phasesplit_status != 0 ]]; then
    printf '%s\n' "$phasesplit_text" >&2
  elif [[ -n $phasesplit_text ]]; then
    printf '%s\n' "$phasesplit_text"
  fi
  return "$phasesplit_status"
}

# A build ends at the first command that fails. In a session a phase ends there, and the session goes on: every function
# on the way up returns. Like `set -e` this does nothing in the conditions of `if` and `||`, and where a phase has `set +e`.
phasesplit_keep_session() {
  local phasesplit_text
  phasesplit_text=$(declare -f runPhase)
  eval "phasesplit_run_phase${phasesplit_text#runPhase}"
  runPhase() {
    _phasesplit_outer_options=$(set +o)
    set -o errexit -o errtrace
    trap 'phasesplit_status=$?; if [[ $- == *e* ]]; then if [[ ${FUNCNAME[0]-} == runPhase ]]; then trap - ERR; eval "$_phasesplit_outer_options"; printf "phasesplit: %s failed with exit code %s\n" "$1" "$phasesplit_status" >&2; fi; return "$phasesplit_status"; fi' ERR
    phasesplit_run_phase "$@"
    trap - ERR
    eval "$_phasesplit_outer_options"
  }
}

if [[ $- == *i* ]]; then
  set +o errexit +o nounset
  phasesplit_keep_session
fi
if [[ -n $_phasesplit_until ]]; then phasesplit_run_until; fi

if [[ $- == *i* ]]; then
  _phasesplit_prompt=$_phasesplit_package
  [[ ! $_phasesplit_prompt =~ ^(.*[^-])-[0-9] ]] || _phasesplit_prompt=${BASH_REMATCH[1]}
  PS1="[$_phasesplit_prompt@$_phasesplit_point] \\w \\\$ "
  printf 'runPhase %s runs it; phases: what has run and what comes; phasesplit-diff: what you changed; exit ends\n' \
    "${_phasesplit_shell_failed:-${_phasesplit_phases_here[0]-PHASE}}" >&2
elif [[ $# -eq 0 ]]; then
  # No terminal and no command: what is piped in.
  source /dev/stdin
elif [[ $# -eq 1 ]]; then
  # One word is text for the shell, as with `bash -c`.
  eval "$1"
else
  "$@"
fi
