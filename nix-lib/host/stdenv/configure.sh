# shellcheck shell=bash
# configurePhase: a configure script as Autoconf makes them, or any program named by configureScript.


configurePhase() {
  runHook preConfigure

  : "${configureScript=}"
  if [[ -z $configureScript && -x ./configure ]]; then configureScript=./configure; fi

  # shellcheck disable=SC2154  # prefix is set by environment.sh
  if [[ -z ${dontAddPrefix:-} && -n $prefix ]]; then
    prependToVar configureFlags "${prefixKey:---prefix=}$prefix"
  fi
  if [[ -f $configureScript ]]; then
    # Each is built once: tracking dependencies only costs time.
    if [[ -z ${dontAddDisableDepTrack:-} ]] && grep -q dependency-tracking "$configureScript"; then
      prependToVar configureFlags --disable-dependency-tracking
    fi
    if [[ -z ${dontDisableStatic:-} ]] && grep -q enable-static "$configureScript"; then
      prependToVar configureFlags --disable-static
    fi
    if [[ -z ${dontPatchShebangsInConfigure:-} ]]; then patchShebangs --build "$configureScript"; fi
  fi

  if [[ -n $configureScript ]]; then
    local -a flags=()
    concatTo flags configureFlags configureFlagsArray
    echoCmd 'configure flags' "${flags[@]}"
    # Words: packages write configureScript = "python3 configure.py".
    # shellcheck disable=SC2086
    $configureScript "${flags[@]}"
  else
    echo "no configure script, doing nothing"
  fi

  runHook postConfigure
}
