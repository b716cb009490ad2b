# shellcheck shell=bash
# After unpacking: tells cargo to take crates from cargoDeps or cargoVendorDir, and nowhere else. cargoRoot: where
# Cargo.lock lies in the sources.

postUnpackHooks+=(cargoSetupPostUnpackHook)
postPatchHooks+=(cargoSetupPostPatchHook)

cargoSetupPostUnpackHook() {
  echo "Executing cargoSetupPostUnpackHook"
  if [[ -n ${cargoVendorDir:-} ]]; then
    cargoDepsCopy="$PWD/${sourceRoot:?}/${cargoRoot:+$cargoRoot/}$cargoVendorDir"
  elif [[ -n ${cargoDeps:-} ]]; then
    # A copy, since packages patch crates.
    unpackFile "$cargoDeps"
    cargoDepsCopy="$PWD/$(stripHash "$cargoDeps")"
    cargoDepsCopy="${cargoDepsCopy%.tar.*}"
    chmod -R u+w -- "$cargoDepsCopy"
  else
    echo "no vendored crates (cargoDeps, cargoVendorDir): only crates without dependencies will build"
    return 0
  fi
  if [[ ! -d $cargoDepsCopy ]]; then
    echo "the vendored crates should be in $cargoDepsCopy, which does not exist" >&2
    return 1
  fi
  export cargoDepsCopy

  mkdir -p .cargo
  if [[ -f $cargoDepsCopy/.cargo/config.toml ]]; then
    substitute "$cargoDepsCopy/.cargo/config.toml" .cargo/config.toml --subst-var-by vendor "$cargoDepsCopy"
  else
    printf '%s\n' '[source.crates-io]' 'replace-with = "vendored-sources"' \
      '[source.vendored-sources]' "directory = \"$cargoDepsCopy\"" >.cargo/config.toml
  fi
  printf '\n[net]\noffline = true\n' >>.cargo/config.toml
  echo "Finished cargoSetupPostUnpackHook"
}

cargoSetupPostPatchHook() {
  if [[ -f ${cargoRoot:+$cargoRoot/}Cargo.lock ]]; then return 0; fi
  echo "there is no Cargo.lock in ${cargoRoot:-the sources}: without it the versions of crates are not fixed" >&2
  return 1
}
