# shellcheck shell=bash
# shellcheck disable=SC2154  # attributes of the package, or set by another part of the standard environment
# Interpreters of scripts: `#!/usr/bin/env python3` becomes the program found on PATH, so that it stays the same one.

fixupOutputHooks+=(_patchOutputShebangs)

_patchOutputShebangs() {
  [[ -z ${dontPatchShebangs:-} && -d $prefix ]] || return 0
  patchShebangs "$prefix"
}

# _interpreterFor SEARCHPATH LINE: what should stand after `#!` instead of LINE; empty for "leave it". In _interpreter.
_interpreterFor() {
  local searchPath="$1" line="$2" program arguments=""
  local -a words
  read -r -a words <<<"$line"
  _interpreter=""
  program="${words[0]-}"
  [[ $program == /* && $program != "$NIX_STORE"/* ]] || return 0
  if [[ $program == */bin/env ]]; then
    if [[ ${words[1]-} == -S ]]; then
      program="${words[2]-}" arguments="${words[*]:3}"
    elif [[ ${words[1]-} == -* || ${words[1]-} == *=* ]]; then
      echo "cannot patch the interpreter \"$line\": env has options of its own" >&2
      return 1
    else
      program="${words[1]-}" arguments="${words[*]:2}"
    fi
  else
    arguments="${words[*]:1}"
  fi
  local found
  found="$(PATH="$searchPath" type -P "${program##*/}")" || return 0
  _interpreter="$found${arguments:+ $arguments}"
}

# patchShebangs [--build|--host] [--update] [--] PATH...: executable scripts under the paths. --build searches PATH, --host (the
# default for files in the store) HOST_PATH.
patchShebangs() {
  local searchName="" file line _interpreter stamp
  while (($#)); do
    case "$1" in
      --host) searchName=HOST_PATH ;;
      --build) searchName=PATH ;;
      --update) ;;
      --)
        shift
        break
        ;;
      -*)
        echo "patchShebangs: unknown option $1" >&2
        return 1
        ;;
      *) break ;;
    esac
    shift
  done
  if [[ -z $searchName ]]; then
    if [[ ${1-} == "$NIX_STORE"/* ]]; then searchName=HOST_PATH; else searchName=PATH; fi
  fi
  echo "patching script interpreter paths in $*"
  while IFS= read -r -d '' file; do
    isScript "$file" || continue
    IFS= read -r line <"$file" || [[ -n $line ]] || continue
    line="${line#\#!}"
    _interpreterFor "${!searchName}" "$line"
    if [[ -z $_interpreter || $_interpreter == "${line# }" ]]; then continue; fi
    echo "$file: interpreter directive changed from \"#!$line\" to \"$_interpreter\""
    # A new time would make make(1) think the script was edited.
    stamp="$(stat -c %y "$file")"
    # `c` takes the text as it is but for backslashes.
    sed -i -e "1c \\#!${_interpreter//\\/\\\\}" "$file"
    touch --date "$stamp" "$file"
  done < <(find "$@" -type f -perm -0100 -print0)
}
