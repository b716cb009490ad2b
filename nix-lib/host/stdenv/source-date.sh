# shellcheck shell=bash
# SOURCE_DATE_EPOCH: the time of the newest source file, so that what embeds a time embeds the same one in every build.

postUnpackHooks+=(_takeSourceDate)

_takeSourceDate() {
  local newest
  newest="$(find "${sourceRoot:-.}" -type f -newermt '@315619200' -printf '%Ts\n' 2>/dev/null | sort -n | tail -n 1)"
  [[ -n $newest ]] || return 0
  # A time just now is the unpacking's, not the sources'.
  if ((newest > $(date +%s) - 600)); then
    echo "not setting SOURCE_DATE_EPOCH: the newest file is too recent to have come with the sources"
    return 0
  fi
  echo "setting SOURCE_DATE_EPOCH to timestamp $newest of the newest source file"
  export SOURCE_DATE_EPOCH="$newest"
}
