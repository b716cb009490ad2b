# shellcheck shell=bash
# configurePhase for CMake. cmakeFlags, cmakeBuildType, cmakeBuildDir, cmakeDir, dontUseCmakeConfigure.

cmakeConfigurePhase() {
  runHook preConfigure

  # A source tree may already have a file named `build`, hence the package's choice.
  : "${cmakeBuildDir:=build}"
  if [[ -z ${dontUseCmakeBuildDir:-} ]]; then
    mkdir -p "$cmakeBuildDir"
    cd "$cmakeBuildDir" || return
    : "${cmakeDir:=..}"
  else
    : "${cmakeDir:=.}"
  fi

  if [[ -z ${dontAddPrefix:-} ]]; then prependToVar cmakeFlags "-DCMAKE_INSTALL_PREFIX=${prefix:?}"; fi
  local include="${outputInclude:?}" lib="${outputLib:?}" bin="${outputBin:?}"
  prependToVar cmakeFlags \
    "-DCMAKE_INSTALL_BINDIR=${!bin}/bin" \
    "-DCMAKE_INSTALL_SBINDIR=${!bin}/sbin" \
    "-DCMAKE_INSTALL_LIBDIR=${!lib}/lib" \
    "-DCMAKE_INSTALL_LIBEXECDIR=${!lib}/libexec" \
    "-DCMAKE_INSTALL_LOCALEDIR=${!lib}/share/locale" \
    "-DCMAKE_INSTALL_INCLUDEDIR=${!include}/include" \
    "-DCMAKE_INSTALL_OLDINCLUDEDIR=${!include}/include" \
    "-DCMAKE_BUILD_TYPE=${cmakeBuildType:-Release}" \
    "-DBUILD_TESTING=$(if [[ -n ${doCheck:-} ]]; then echo ON; else echo OFF; fi)" \
    -DCMAKE_EXPORT_NO_PACKAGE_REGISTRY=ON \
    -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF
  # man and info stay relative: the fixup phase moves them to their output.

  # What the hook of ninja says by being there; a package's own -G comes later and wins.
  if [[ -n ${_ninjaIsAnInput:-} ]]; then prependToVar cmakeFlags -GNinja; fi

  local -a flags=()
  concatTo flags cmakeFlags cmakeFlagsArray
  echoCmd 'cmake flags' "${flags[@]}"
  cmake "$cmakeDir" "${flags[@]}"

  # CMake knows all dependencies, so its builds run in parallel unless the package says no.
  : "${enableParallelBuilding=1}" "${enableParallelChecking=1}" "${enableParallelInstalling=1}"

  runHook postConfigure
}

if [[ -z ${dontUseCmakeConfigure:-} && -z ${configurePhase:-} ]]; then
  export setOutputFlags=
  configurePhase=cmakeConfigurePhase
fi
