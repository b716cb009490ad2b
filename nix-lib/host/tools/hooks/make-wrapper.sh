# shellcheck shell=bash
# shellcheck disable=SC2016  # what is in single quotes is expanded by the wrapper
# Shell scripts around programs, which set up their environment. The options are those of the nixpkgs manual.

# assertExecutable FILE
assertExecutable() {
  if [[ ! -f ${1:?file} || ! -x $1 ]]; then
    echo "makeWrapper: $1 is not an executable file" >&2
    return 1
  fi
}

# _wrapperLines OPTION...: the body of the wrapper on standard output.
_wrapperLines() {
  local name separator value argv0='"$0"' flags="" appended="" resolve=""
  while (($#)); do
    case "$1" in
      --set)
        printf 'export %s=%q\n' "${2:?--set needs a name}" "$3"
        shift 3
        ;;
      --set-default)
        printf 'export %s=${%s-%q}\n' "${2:?--set-default needs a name}" "$2" "$3"
        shift 3
        ;;
      --unset)
        printf 'unset %s\n' "${2:?--unset needs a name}"
        shift 2
        ;;
      --chdir)
        printf 'cd %q\n' "${2:?--chdir needs a directory}"
        shift 2
        ;;
      --run)
        printf '%s\n' "${2:?--run needs a command}"
        shift 2
        ;;
      --prefix | --suffix)
        name="${2:?$1 needs a name}" separator="${3:?$1 needs a separator}" value="$4"
        if [[ $1 == --prefix ]]; then
          printf '%s=%q${%s:+%q$%s}\nexport %s\n' "$name" "$value" "$name" "$separator" "$name" "$name"
        else
          printf '%s=${%s:+$%s%q}%q\nexport %s\n' "$name" "$name" "$name" "$separator" "$value" "$name"
        fi
        shift 4
        ;;
      --add-flags | --add-flag)
        if [[ $1 == --add-flag ]]; then printf -v value '%q' "$2"; else value="$2"; fi
        flags+=" $value"
        shift 2
        ;;
      --append-flags | --append-flag)
        if [[ $1 == --append-flag ]]; then printf -v value '%q' "$2"; else value="$2"; fi
        appended+=" $value"
        shift 2
        ;;
      --argv0)
        printf -v argv0 '%q' "${2:?--argv0 needs a name}"
        shift 2
        ;;
      --inherit-argv0)
        argv0='"$0"'
        shift
        ;;
      --resolve-argv0)
        resolve=1
        shift
        ;;
      *)
        echo "makeWrapper: unknown option $1" >&2
        return 1
        ;;
    esac
  done
  if [[ -n $resolve ]]; then argv0='"$(readlink -f -- "$0")"'; fi
  printf 'exec -a %s %q %s "$@" %s\n' "$argv0" "$_wrapped" "$flags" "$appended" | tr -s ' '
}

# makeWrapper PROGRAM WRAPPER OPTION...
makeWrapper() {
  local _wrapped="${1:?program}" wrapper="${2:?wrapper}" body
  shift 2
  assertExecutable "$_wrapped"
  body="$(_wrapperLines "$@")"
  mkdir -p "$(dirname "$wrapper")"
  # The wrapper may be a link to what it wraps.
  rm -f "$wrapper"
  printf '#!%s -e\n%s\n' "${SHELL:-/bin/bash}" "$body" >"$wrapper"
  chmod +x "$wrapper"
}
makeShellWrapper() { makeWrapper "$@"; }

# wrapProgram PROGRAM OPTION...: the program moves to `.PROGRAM-wrapped` beside its wrapper.
wrapProgram() {
  local program="${1:?program}" hidden
  shift
  assertExecutable "$program"
  hidden="$(dirname "$program")/.$(basename "$program")-wrapped"
  while [[ -e $hidden ]]; do hidden+=_; done
  mv "$program" "$hidden"
  makeWrapper "$hidden" "$program" --inherit-argv0 "$@"
}
wrapProgramShell() { wrapProgram "$@"; }
