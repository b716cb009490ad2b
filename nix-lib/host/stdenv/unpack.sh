# shellcheck shell=bash
# unpackPhase: sources into the build directory, and which directory they made.

unpackCmdHooks+=(_defaultUnpack)

# _defaultUnpack SOURCE: directories and tar archives; other kinds come with hooks of inputs (unzip).
_defaultUnpack() {
  local source="${1:?source}" target
  if [[ -d $source ]]; then
    target="$(stripHash "$source")"
    if [[ -e $target ]]; then
      echo "cannot copy $source: $target is there already (two sources of one name?)" >&2
      return 1
    fi
    # Links among the files of a store path may be the store's own deduplication, so they are not kept.
    cp -r --preserve=timestamps --reflink=auto -- "$source" "$target"
    return
  fi
  case "$source" in
    *.tar | *.tar.* | *.tgz | *.tbz | *.tbz2 | *.txz | *.tzst | *.crate)
      tar --extract --file "$source" --mode=+w --warning=no-timestamp --no-same-owner
      ;;
    *.zip) unzip -qq -o "$source" ;;
    *) return 1 ;;
  esac
}

unpackFile() {
  curSrc="${1:?source}"
  echo "unpacking source archive $curSrc"
  if ! runOneHook unpackCmd "$curSrc"; then
    echo "do not know how to unpack source archive $curSrc" >&2
    exit 1
  fi
}

# _newDirectory NAME...: the one directory here that is not among the names; in sourceRoot.
_newDirectory() {
  local entry
  for entry in *; do
    if [[ ! -d $entry || " $* " == *" $entry "* ]]; then continue; fi
    if [[ -n $sourceRoot ]]; then
      echo "unpacking made several directories ($sourceRoot, $entry, …): set sourceRoot" >&2
      exit 1
    fi
    sourceRoot="$entry"
  done
}

unpackPhase() {
  runHook preUnpack

  local -a sources=() before=()
  local entry
  concatTo sources srcs
  if ((${#sources[@]} == 0)); then concatTo sources src; fi
  if ((${#sources[@]} == 0)); then
    echo "neither src nor srcs says where the sources are" >&2
    exit 1
  fi
  for entry in *; do
    if [[ -d $entry ]]; then before+=("$entry"); fi
  done
  for entry in "${sources[@]}"; do unpackFile "$entry"; done

  : "${sourceRoot=}"
  if [[ -n ${setSourceRoot:-} ]]; then
    runOneHook setSourceRoot
  elif [[ -z $sourceRoot ]]; then
    _newDirectory "${before[@]}"
  fi
  if [[ -z $sourceRoot ]]; then
    echo "unpacking made no directory: set sourceRoot" >&2
    exit 1
  fi
  echo "source root is $sourceRoot"
  if [[ ${dontMakeSourcesWritable:-0} != 1 ]]; then chmod -R u+w -- "$sourceRoot"; fi

  runHook postUnpack
}
