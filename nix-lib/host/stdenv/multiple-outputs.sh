# shellcheck shell=bash
# shellcheck disable=SC2154  # attributes of the package, or set by another part of the standard environment
# Several outputs: flags that install things where they belong, and moving what went elsewhere.

preConfigureHooks+=(_outputFlags)
preFixupHooks+=(_moveDocumentation _moveDevelopmentFiles)
postFixupHooks+=(_propagateOtherOutputs)

_oneOutput() { [[ "$(getAllOutputNames)" == out ]]; }

# _docName: the name of the package's directory under share/doc, on standard output.
_docName() {
  local name_="" script="${configureScript:-./configure}"
  if [[ -f $script ]]; then name_="$(sed -n "s/^PACKAGE_TARNAME='\(.*\)'\$/\1/p" "$script")"; fi
  # Some scripts have a macro there instead of a name.
  if [[ ! $name_ =~ ^[a-zA-Z0-9_-]+$ ]]; then name_="${pname:-${name%%-[0-9]*}}"; fi
  echo "$name_"
}

_outputFlags() {
  if _oneOutput || [[ -z ${setOutputFlags-1} ]]; then return 0; fi
  if [[ -z ${shareDocName:-} ]]; then shareDocName="$(_docName)"; fi
  prependToVar configureFlags \
    --bindir="${!outputBin}/bin" --sbindir="${!outputBin}/sbin" \
    --includedir="${!outputInclude}/include" \
    --mandir="${!outputMan}/share/man" --infodir="${!outputInfo}/share/info" \
    --docdir="${!outputDoc}/share/doc/$shareDocName" \
    --libdir="${!outputLib}/lib" --libexecdir="${!outputLib}/libexec" \
    --localedir="${!outputLib}/share/locale"
  prependToVar installFlags \
    pkgconfigdir="${!outputDev}/lib/pkgconfig" \
    m4datadir="${!outputDev}/share/aclocal" aclocaldir="${!outputDev}/share/aclocal"
}

# moveToOutput PATTERN DIRECTORY|REMOVE: what matches the pattern (relative to an output) in the other outputs.
moveToOutput() {
  local pattern="${1:?pattern}" target="${2:?target}" output from to
  for output in $(getAllOutputNames); do
    if [[ ${!output} == "$target" ]]; then continue; fi
    # The pattern is one on purpose.
    # shellcheck disable=SC2231
    for from in "${!output}"/$pattern; do
      if [[ ! -e $from && ! -L $from ]]; then continue; fi
      if [[ $target == REMOVE ]]; then
        echo "Removing $from"
        rm -r -- "$from"
      else
        to="$target${from#"${!output}"}"
        echo "Moving $from to $to"
        if [[ -d $from && -d $to ]]; then
          # Merging, not nesting; dotfiles too.
          cp -al -- "$from/." "$to/"
          rm -r -- "$from"
        else
          mkdir -p -- "${to%/*}"
          mv -- "$from" "$to"
        fi
      fi
      rmdir -p --ignore-fail-on-non-empty -- "${from%/*}" 2>/dev/null || true
    done
  done
}

# _outputDirectory NAME: the directory of the output named by the variable, or REMOVE.
_outputDirectory() {
  local output="${!1}"
  if [[ $output == REMOVE ]]; then echo REMOVE; else echo "${!output}"; fi
}

_moveDocumentation() {
  moveToOutput share/info "$(_outputDirectory outputInfo)"
  moveToOutput share/doc "$(_outputDirectory outputDoc)"
  moveToOutput share/gtk-doc "$(_outputDirectory outputDevdoc)"
  moveToOutput share/devhelp/books "$(_outputDirectory outputDevdoc)"
  moveToOutput share/man "$(_outputDirectory outputMan)"
  moveToOutput share/man/man3 "$(_outputDirectory outputDevman)"
}

_moveDevelopmentFiles() {
  if _oneOutput || [[ -z ${moveToDev-1} ]]; then return 0; fi
  moveToOutput include "${!outputInclude}"
  local directory file
  for directory in lib/pkgconfig share/pkgconfig lib/cmake share/aclocal; do
    moveToOutput "$directory" "${!outputDev}"
  done
  for file in "${!outputDev}"/{lib,share}/pkgconfig/*.pc; do
    if [[ ! -f $file ]]; then continue; fi
    echo "Patching '$file' includedir to output ${!outputInclude}"
    sed -i "/^includedir=/s,=\${prefix},=${!outputInclude}," "$file"
  done
}

# Whoever has the development output as an input needs the libraries and headers too.
_propagateOtherOutputs() {
  if _oneOutput; then return 0; fi
  local output
  local -a others=()
  if [[ -n ${propagatedBuildOutputs+set} ]]; then
    concatTo others propagatedBuildOutputs
  else
    for output in "$outputBin" "$outputInclude" "$outputLib"; do
      if [[ $output != "$outputDev" && " ${others[*]} " != *" $output "* ]]; then others+=("$output"); fi
    done
  fi
  if ((${#others[@]} == 0)); then return 0; fi
  mkdir -p "${!outputDev}/nix-support"
  for output in "${others[@]}"; do
    printf ' %s' "${!output}" >>"${!outputDev}/nix-support/propagated-build-inputs"
  done
}
