# shellcheck shell=bash
# shellcheck disable=SC2154  # attributes of the package, or set by another part of the standard environment
# Small repairs of every output: one place for programs, libraries and documentation; compressed manuals.

fixupOutputHooks+=(_joinSbin _joinLib64 _moveToShare _compressManuals)

# _joinDirectory FROM TO: FROM's entries into TO, and a link in FROM's place for whoever still looks there.
_joinDirectory() {
  local from="$prefix/${1:?from}" to="$prefix/${2:?to}"
  [[ -d $from && ! -L $from ]] || return 0
  echo "moving $from/* to $to"
  mkdir -p "$to"
  shopt -s dotglob nullglob
  local entry
  for entry in "$from"/*; do mv "$entry" "$to/"; done
  shopt -u dotglob nullglob
  rmdir "$from"
  ln -s "${2##*/}" "$from"
}

_joinSbin() { [[ -n ${dontMoveSbin:-} ]] || _joinDirectory sbin bin; }
_joinLib64() { [[ -n ${dontMoveLib64:-} ]] || _joinDirectory lib64 lib; }

_moveToShare() {
  [[ ${forceShare-unset} != "" ]] || return 0
  local directory
  local -a directories=()
  concatTo directories forceShare
  if ((${#directories[@]} == 0)); then directories=(man doc info); fi
  for directory in "${directories[@]}"; do
    if [[ ! -d $prefix/$directory ]]; then continue; fi
    if [[ -e $prefix/share/$directory ]]; then
      echo "both $directory and share/$directory exist in $prefix, leaving them"
    else
      echo "moving $prefix/$directory to $prefix/share/$directory"
      mkdir -p "$prefix/share"
      mv "$prefix/$directory" "$prefix/share/"
    fi
  done
}

# Without times (-n), so that two builds agree. Links must follow the files they point at.
_compressManuals() {
  [[ -z ${dontGzipMan:-} && -d $prefix/share/man ]] || return 0
  echo "gzipping man pages under $prefix/share/man/"
  local page target
  # Hard links among pages would make gzip refuse; -f compresses each name.
  find "$prefix/share/man" -type f -print0 | grep -zvE '\.(gz|bz2|xz|zst)$' |
    xargs -0 -r -n 16 -P "$NIX_BUILD_CORES" gzip -n -f || true
  while IFS= read -r -d '' page; do
    target="$(readlink "$page")"
    if [[ $target == *.gz || ! -f ${page%/*}/$target.gz ]]; then continue; fi
    ln -s "$target.gz" "$page.gz"
    rm "$page"
  done < <(find "$prefix/share/man" -type l -print0 | sort -z)
}
