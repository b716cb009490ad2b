# shellcheck shell=bash
# Messages for people who debug hooks. They go to $NIX_LOG_FD, which Nix sets only in builds.
# NIX_DEBUG is Nix's verbosity, 0 (errors) to 7 (vomit).

if ! [[ ${NIX_DEBUG:-0} =~ ^[0-7]$ ]]; then
  echo "setup: NIX_DEBUG is \"$NIX_DEBUG\", expected a number from 0 to 7" >&2
  exit 1
fi
if ((${NIX_DEBUG:-0} >= 6)); then set -x; fi

# nixLog MESSAGE...: whatever the verbosity, after the name of the calling function.
nixLog() {
  [[ -n ${NIX_LOG_FD-} ]] || return 0
  printf '%s: %s\n' "${FUNCNAME[1]-}" "$*" >&"$NIX_LOG_FD"
}

# _nixLogAt LEVEL NAME MESSAGE...: only where NIX_DEBUG asks for LEVEL.
_nixLogAt() {
  local level="${1:?level}" label="${2:?label}"
  [[ -n ${NIX_LOG_FD-} ]] && ((${NIX_DEBUG:-0} >= level)) || return 0
  shift 2
  printf '%s: %s: %s\n' "$label" "${FUNCNAME[2]-}" "$*" >&"$NIX_LOG_FD"
}

nixErrorLog() { _nixLogAt 0 ERROR "$@"; }
nixWarnLog() { _nixLogAt 1 WARN "$@"; }
nixNoticeLog() { _nixLogAt 2 NOTICE "$@"; }
nixInfoLog() { _nixLogAt 3 INFO "$@"; }
nixTalkativeLog() { _nixLogAt 4 TALKATIVE "$@"; }
nixChattyLog() { _nixLogAt 5 CHATTY "$@"; }
nixDebugLog() { _nixLogAt 6 DEBUG "$@"; }
nixVomitLog() { _nixLogAt 7 VOMIT "$@"; }

# echoCmd LABEL ARGUMENT...: the arguments so that where one ends can be seen.
echoCmd() {
  local label="${1:?label}"
  shift
  printf '%s:' "$label"
  if (($#)); then printf ' %q' "$@"; fi
  echo
}
