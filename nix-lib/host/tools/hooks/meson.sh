# shellcheck shell=bash
# Phases for Meson. mesonFlags, mesonBuildType, mesonBuildDir, mesonCheckFlags, mesonInstallFlags, mesonInstallTags,
# dontUseMesonConfigure, dontUseMesonCheck, dontUseMesonInstall. Building is Ninja's, whose hook comes as an input.

mesonConfigurePhase() {
  runHook preConfigure

  : "${mesonBuildDir:=build}"
  if [[ -z ${dontAddPrefix:-} ]]; then prependToVar mesonFlags "--prefix=${prefix:?}"; fi
  local include="${outputInclude:?}" lib="${outputLib:?}" bin="${outputBin:?}" man="${outputMan:?}" info="${outputInfo:?}"
  prependToVar mesonFlags \
    "--libdir=${!lib}/lib" "--libexecdir=${!lib}/libexec" \
    "--bindir=${!bin}/bin" "--sbindir=${!bin}/sbin" \
    "--includedir=${!include}/include" \
    "--mandir=${!man}/share/man" "--infodir=${!info}/share/info" \
    "--localedir=${!lib}/share/locale" \
    -Dauto_features="${mesonAutoFeatures:-enabled}" \
    -Dwrap_mode="${mesonWrapMode:-nodownload}" \
    --buildtype="${mesonBuildType:-plain}"

  local -a flags=()
  concatTo flags mesonFlags mesonFlagsArray
  echoCmd 'mesonConfigurePhase flags' "${flags[@]}"
  meson setup "$mesonBuildDir" "${flags[@]}"
  cd "$mesonBuildDir" || return

  : "${enableParallelBuilding=1}" "${enableParallelChecking=1}" "${enableParallelInstalling=1}"
  if [[ ${checkPhase-} == ninjaCheckPhase && -z ${dontUseMesonCheck:-} ]]; then checkPhase=mesonCheckPhase; fi
  if [[ ${installPhase-} == ninjaInstallPhase && -z ${dontUseMesonInstall:-} ]]; then installPhase=mesonInstallPhase; fi

  runHook postConfigure
}

mesonCheckPhase() {
  runHook preCheck
  local -a flags=()
  concatTo flags mesonCheckFlags mesonCheckFlagsArray checkFlags checkFlagsArray
  echoCmd 'mesonCheckPhase flags' "${flags[@]}"
  meson test --no-rebuild --print-errorlogs "${flags[@]}"
  runHook postCheck
}

mesonInstallPhase() {
  runHook preInstall
  local -a flags=() tags=()
  concatTo tags mesonInstallTags
  if ((${#tags[@]})); then flags+=(--tags "$(concatStringsSep , tags)"); fi
  concatTo flags mesonInstallFlags mesonInstallFlagsArray installFlags installFlagsArray
  echoCmd 'mesonInstallPhase flags' "${flags[@]}"
  meson install --no-rebuild "${flags[@]}"
  runHook postInstall
}

if [[ -z ${dontUseMesonConfigure:-} && -z ${configurePhase:-} ]]; then
  # Meson takes the directories of the outputs by its own flags.
  export setOutputFlags=
  configurePhase=mesonConfigurePhase
  if [[ -z ${dontUseMesonCheck:-} && -z ${checkPhase:-} ]]; then checkPhase=mesonCheckPhase; fi
  if [[ -z ${dontUseMesonInstall:-} && -z ${installPhase:-} ]]; then installPhase=mesonInstallPhase; fi
fi
