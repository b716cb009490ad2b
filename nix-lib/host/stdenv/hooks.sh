# shellcheck shell=bash
# Hooks: for `preBuild`, a function or variable of that name (or a program), then each element of `preBuildHooks`.

# _eval HOOK ARGUMENT...: a function gets the arguments; anything else is text. In a function of its own, so that
# `return` in a text ends the hook and not whoever runs it.
_eval() {
  if declare -F "${1:?hook}" >/dev/null; then
    "$@"
  else
    eval "$1"
  fi
}

# _callImplicitHook DEFAULT NAME: what the package itself defined under NAME; DEFAULT is the status where it did not.
_callImplicitHook() {
  local default="${1:?status}" hookName="${2:?name}"
  if declare -F "$hookName" >/dev/null; then
    "$hookName"
  elif type -p "$hookName" >/dev/null; then
    # shellcheck source=/dev/null
    source "$hookName"
  elif [[ -n ${!hookName:-} ]]; then
    eval "${!hookName}"
  else
    return "$default"
  fi
}

# runHook NAME ARGUMENT...: all of them, in the order they were added; the first failure stops.
runHook() {
  local hookName="${1:?name}" hook
  shift
  local registered="${hookName%Hook}Hooks[@]"
  for hook in "_callImplicitHook 0 $hookName" ${!registered+"${!registered}"}; do
    nixTalkativeLog "$hookName: $hook"
    _eval "$hook" "$@"
  done
  return 0
}

# runOneHook NAME ARGUMENT...: the same until one succeeds; fails if none does.
runOneHook() {
  local hookName="${1:?name}" hook
  shift
  local registered="${hookName%Hook}Hooks[@]"
  for hook in "_callImplicitHook 1 $hookName" ${!registered+"${!registered}"}; do
    nixTalkativeLog "$hookName: $hook"
    if _eval "$hook" "$@"; then return 0; fi
  done
  return 1
}
