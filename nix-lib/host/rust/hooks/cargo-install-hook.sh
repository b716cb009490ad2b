# shellcheck shell=bash
# installPhase for cargo: programs to bin, libraries to lib. dontCargoInstall.

postBuildHooks+=(cargoInstallPostBuildHook)

# `cargo test` builds programs anew, with other features unified into them: what is to be installed is set aside first.
cargoInstallPostBuildHook() {
  # Package files use the names of both directories.
  local built="${CARGO_TARGET_DIR:-target}/@target@/${cargoBuildType:-release}"
  export releaseDir="$built"
  tmpDir="$built-tmp"
  rm -rf "$tmpDir"
  mkdir -p "$tmpDir"
  find "$built" -maxdepth 1 -type f \
    \( -executable -o -name '*.so' -o -name '*.so.*' -o -name '*.a' \) -exec cp -p -t "$tmpDir" {} +
}

cargoInstallHook() {
  echo "Executing cargoInstallHook"
  runHook preInstall
  local file lib="${outputLib:?}" bin="${outputBin:?}"
  for file in "${tmpDir:?nothing was built}"/*; do
    case "$file" in
      *.so | *.so.* | *.a) install -D "$file" "${!lib}/lib/${file##*/}" ;;
      *) if [[ -x $file ]]; then install -D -m 755 "$file" "${!bin}/bin/${file##*/}"; fi ;;
    esac
  done
  runHook postInstall
  echo "Finished cargoInstallHook"
}

if [[ -z ${dontCargoInstall:-} && -z ${installPhase:-} ]]; then installPhase=cargoInstallHook; fi
