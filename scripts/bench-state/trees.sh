# shellcheck shell=bash
# The trees that bench-state.sh measures on. Each make_NAME puts one into the directory $1, or returns 1 and says why not
# on standard error. Sourced at the root of the repository.

say() { printf 'bench-state: %s\n' "$*" >&2; }

# The store paths of the sources of a package of tests/nix/real, one a line.
real_sources() {
  local status
  status=$(bash tests/nix/real/fetch.sh "$1" 2>/dev/null) && jq -er 'select(.state == "available").paths[]' <<<"$status"
}

# The Linux source of Debian's linux-source-6.1: 84,000 files, 1.5 GB. PHASESPLIT_BENCH_LINUX names a source tree, or a
# linux-source-*.tar.xz, to take instead.
make_linux() {
  local into=$1 from=${PHASESPLIT_BENCH_LINUX:-} package
  if [[ -d $from ]]; then
    cp -a -- "$from" "$into/linux"
    return
  fi
  if [[ -z $from ]]; then
    mkdir -p "$into.deb"
    if ! (cd -- "$into.deb" && apt-get -q download linux-source-6.1 >log 2>&1); then
      say "apt-get download linux-source-6.1: $(tail -n 1 "$into.deb/log")"
      return 1
    fi
    package=$(echo "$into.deb"/*.deb)
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$into.deb" ./usr/src/linux-source-6.1.tar.xz
    from=$into.deb/usr/src/linux-source-6.1.tar.xz
  fi
  tar -x -C "$into" -f "$from" && rm -rf -- "$into.deb"
}

# A CMake build tree: ninja's source and its build, with tests.
make_cmake() {
  local into=$1 source
  source=$(real_sources ninja) || { say "the source of ninja is not to be had here"; return 1; }
  tar -x -C "$into" -f "$source"
  local dir
  dir=$(echo "$into"/*/)
  {
    cmake -S "$dir" -B "$dir/build" -G 'Unix Makefiles' -DCMAKE_BUILD_TYPE=RelWithDebInfo &&
      cmake --build "$dir/build" --parallel "$(nproc)"
  } >"$into.log" 2>&1 || { tail -n 5 "$into.log" >&2; return 1; }
}

# A cargo target directory: hexyl's debug build, with its dependencies from their vendor directory.
make_cargo() {
  local into=$1 crate vendor dir
  { read -r crate && read -r vendor; } < <(real_sources hexyl) || { say "the source of hexyl is not to be had here"; return 1; }
  tar -x -C "$into" -f "$crate"
  dir=$(echo "$into"/*/)
  mkdir "$dir/.cargo"
  printf '[source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "%s"\n' "$vendor" >"$dir/.cargo/config.toml"
  (cd -- "$dir" && CARGO_TARGET_DIR=target cargo build --quiet --offline) >"$into.log" 2>&1 ||
    { tail -n 5 "$into.log" >&2; return 1; }
}
