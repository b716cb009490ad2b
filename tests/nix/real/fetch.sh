#!/usr/bin/env bash
# Brings the sources of the real packages into the Nix store, each pinned by its
# sha256 in sources.tsv, through the registries' ordinary clients (apt, pip,
# cargo). Nothing on the machine is changed but the store and cargo's cache.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: fetch.sh [--offline] [--status-dir DIR] [PACKAGE…]

Puts the sources of each PACKAGE (default: all) into the Nix store. What is
there already is not downloaded again. Prints one JSON object a package:
  {"package":"hello","state":"available","paths":["/nix/store/…"]}
  {"package":"hello","state":"skipped","reason":"…"}
and, with --status-dir, writes it to DIR/PACKAGE.json as well.

  --offline     look into the store only
exit codes: 0 done, skipped packages included
            1 a registry served other bytes than the pinned ones, or Nix failed
            2 wrong usage
USAGE
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
offline=
status_dir=
wanted=()

say() { printf 'fetch: %s\n' "$*" >&2; }
die() {
  local code=$1
  shift
  say "$*"
  exit "$code"
}

parse_arguments() {
  while (($#)); do
    case $1 in
      --offline) offline=1 ;;
      --status-dir)
        [[ ${2-} ]] || die 2 "--status-dir needs a directory"
        status_dir=$2
        shift
        ;;
      -h | --help)
        usage
        exit 0
        ;;
      -*) die 2 "unknown option: $1" ;;
      *) wanted+=("$1") ;;
    esac
    shift
  done
}

# All lines of sources.tsv of one package.
sources_of() {
  local package=$1
  awk -F '\t' -v p="$package" '$1 == p && !/^#/' "$here/sources.tsv"
}

all_packages() { awk -F '\t' '!/^#/ && NF && !seen[$1]++ { print $1 }' "$here/sources.tsv"; }

# The store path that a fixed-output derivation with this name and hash has.
fixed_path() {
  local mode=$1 sha256=$2 name=$3
  if [[ $mode == nar ]]; then
    nix-store --print-fixed-path --recursive sha256 "$sha256" "$name"
  else
    nix-store --print-fixed-path sha256 "$sha256" "$name"
  fi
}

is_valid() { nix-store --check-validity "$1" 2>/dev/null; }

# What a tool that failed says is wrong: its first error, else its last line.
complaint() { grep -m 1 -E '^(E|error|ERROR):' "$1" || tail -n 1 "$1"; }

have() { command -v "$1" >/dev/null; }

# Why the last source could not be had; read by the caller.
reason=

# A work directory of this run, one for all packages, so that apt reads its
# index once.
work=
make_work() {
  [[ $work ]] && return
  work=$(mktemp -d "${TMPDIR:-/tmp}/real-sources.XXXXXX")
  # $work is expanded now: the trap outlives no variable.
  # shellcheck disable=SC2064
  trap "chmod -R u+w -- '$work'; rm -rf -- '$work'" EXIT
}

# --- Debian -----------------------------------------------------------------

debian_suite=bookworm

# Source entries for the suite, on the mirrors that this machine uses for its
# own. Security and update suites are left out: the upstream tarballs lie in
# the release itself.
write_deb_src() {
  local into=$1 codename=$2 file
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -r $file ]] || continue
    # A deb822 file: stanzas apart by empty lines.
    awk -v RS= -v own="$codename" -v suite="$debian_suite" '
      /(^|\n)Enabled:[ \t]*no/ { next }
      {
        n = split($0, line, "\n"); keep = 0; text = ""
        for (i = 1; i <= n; i++) {
          if (line[i] ~ /^#/) continue
          if (line[i] ~ /^Types:/) line[i] = "Types: deb-src"
          if (line[i] ~ /^Suites:/) {
            m = split(line[i], word, /[ \t]+/)
            for (j = 2; j <= m; j++) if (word[j] == own) keep = 1
            line[i] = "Suites: " suite
          }
          text = text line[i] "\n"
        }
        if (keep) print text
      }' "$file"
  done >"$into/machine.sources"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [[ -r $file ]] || continue
    awk -v own="$codename" -v suite="$debian_suite" '
      $1 == "deb" {
        at = 3
        if ($2 ~ /^\[/) { for (at = 2; $at !~ /\]$/; at++); at += 2 }
        if ($at != own) next
        $1 = "deb-src"; $at = suite
        print
      }' "$file"
  done >"$into/machine.list"
}

# Set once apt's index is there ("yes") or is known not to come (the reason).
debian_ready=
apt=()

prepare_debian() {
  [[ $debian_ready ]] && return
  if ! have apt-get; then
    debian_ready="apt-get is not on this machine"
    return
  fi
  make_work
  local dir=$work/debian codename
  mkdir -p "$dir"/{lists/partial,parts,cache/archives/partial,files}
  codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  write_deb_src "$dir/parts" "${codename:-$debian_suite}"
  apt=(apt-get -q
    -o "Dir::Etc::sourcelist=/dev/null"
    -o "Dir::Etc::sourceparts=$dir/parts"
    -o "Dir::State::lists=$dir/lists"
    -o "Dir::Cache=$dir/cache"
    -o "APT::Sandbox::User="
    -o "Acquire::Languages=none"
    -o "Acquire::Retries=2")
  if ! [[ -s $dir/parts/machine.sources || -s $dir/parts/machine.list ]]; then
    debian_ready="apt has no Debian mirror for $codename"
  elif ! "${apt[@]}" -o APT::Update::Error-Mode=any update >"$dir/log" 2>&1; then
    debian_ready="apt-get update: $(complaint "$dir/log")"
  else
    debian_ready=yes
  fi
}

from_debian() {
  local name=$1 file=$2 into=$3
  prepare_debian
  if [[ $debian_ready != yes ]]; then
    reason=$debian_ready
    return 1
  fi
  local dir=$work/debian
  if ! (cd "$dir/files" && "${apt[@]}" source --only-source --download-only --tar-only "$name") >"$dir/log" 2>&1; then
    reason="apt-get source $name: $(complaint "$dir/log")"
    return 1
  fi
  if [[ ! -f $dir/files/$file ]]; then
    reason="Debian's $name has no $file any more"
    return 1
  fi
  mv -- "$dir/files/$file" "$into"
}

# --- PyPI -------------------------------------------------------------------

from_pypi() {
  local name=$1 version=$2 into=$3 python
  # Debian's own python first: it builds the package later, with its setuptools.
  for python in /usr/bin/python3 python3; do
    "$python" -m pip --version >/dev/null 2>&1 && break
    python=
  done
  if [[ ! $python ]]; then
    reason="python3 has no pip"
    return 1
  fi
  make_work
  local dir=$work/pypi
  mkdir -p "$dir"
  # pip asks the build backend for metadata; the machine's own will do.
  local common=("$python" -m pip --quiet --disable-pip-version-check download --no-deps --dest "$dir" --no-binary "$name" "$name==$version")
  if ! "${common[@]}" --no-build-isolation >"$dir/log" 2>&1 && ! "${common[@]}" >"$dir/log" 2>&1; then
    reason="pip download $name: $(complaint "$dir/log")"
    return 1
  fi
  local file
  file=$(find "$dir" -maxdepth 1 -name "*$version.tar.gz" -print -quit)
  if [[ ! $file ]]; then
    reason="pip brought no source archive of $name"
    return 1
  fi
  mv -- "$file" "$into"
}

# --- crates -----------------------------------------------------------------

# Every crate of the lock file as "name version sha256".
locked_crates() {
  awk -F '"' '
    $1 == "name = " { name = $2 }
    $1 == "version = " { version = $2 }
    $1 == "checksum = " { print name, version, $2 }' "$1"
}

prepare_crates() {
  local package=$1
  if ! have cargo; then
    reason="cargo is not on this machine"
    return 1
  fi
  make_work
  local dir=$work/crates/$package
  [[ -d $dir ]] && return
  mkdir -p "$dir"
  cp -- "$here/$package"/Cargo.{toml,lock} "$dir/"
  : >"$dir/lib.rs"
  if ! (cd "$dir" && cargo fetch --quiet --locked) >"$dir/log" 2>&1; then
    reason="cargo fetch: $(complaint "$dir/log")"
    rm -rf -- "$dir"
    return 1
  fi
}

# The downloaded archive of one crate in cargo's cache.
crate_file() {
  local file=$1 cache
  for cache in "${CARGO_HOME:-$HOME/.cargo}"/registry/cache/*/; do
    if [[ -f $cache$file ]]; then
      printf '%s\n' "$cache$file"
      return
    fi
  done
  return 1
}

from_crates() {
  local package=$1 file=$2 into=$3 found
  prepare_crates "$package" || return 1
  if [[ $file == vendor ]]; then
    vendor "$package" "$into"
  elif found=$(crate_file "$file"); then
    cp -- "$found" "$into"
  else
    reason="cargo did not keep $file"
    return 1
  fi
}

# A vendor directory made from the archives. `cargo vendor` writes another one
# in every cargo version; this one depends on the lock file alone. The package
# itself stands in that lock file too and is left out.
vendor() {
  local package=$1 into=$2 name version sha256 found
  mkdir -p "$into"
  while read -r name version sha256; do
    [[ $name == "$package" ]] && continue
    if ! found=$(crate_file "$name-$version.crate"); then
      reason="cargo did not keep $name-$version.crate"
      return 1
    fi
    tar -xzf "$found" -C "$into" --no-same-owner --no-same-permissions
    # No file's hash is recorded: the archive's hash is what the lock pins.
    printf '{"files":{},"package":"%s"}' "$sha256" >"$into/$name-$version/.cargo-checksum.json"
  done < <(locked_crates "$here/$package/Cargo.lock")
}

# --- one source, one package -------------------------------------------------

sha256_of() {
  local mode=$1 path=$2
  if [[ $mode == nar ]]; then
    nix-hash --type sha256 "$path"
  else
    sha256sum -- "$path" | cut -d ' ' -f 1
  fi
}

# Prints the store path of one source. 1: not to be had (reason is set).
bring() {
  local registry=$1 origin=$2 name=$3 mode=$4 sha256=$5 path got added
  path=$(fixed_path "$mode" "$sha256" "$name")
  if ! is_valid "$path"; then
    if [[ $offline ]]; then
      reason="$name is not in the store"
      return 1
    fi
    make_work
    mkdir -p "$work/store"
    say "$name"
    # shellcheck disable=SC2086 # two words: the name in the registry and the file
    "from_$registry" $origin "$work/store/$name" || return 1
    got=$(sha256_of "$mode" "$work/store/$name")
    [[ $got == "$sha256" ]] || die 1 "$name: the registry's sha256 is $got, pinned is $sha256"
    local recursive=()
    [[ $mode == nar ]] && recursive=(--recursive)
    added=$(nix-store --add-fixed "${recursive[@]}" sha256 "$work/store/$name") || die 1 "nix-store --add-fixed failed for $name"
    [[ $added == "$path" ]] || die 1 "$name became $added, not $path"
    rm -rf -- "${work:?}/store/$name"
  fi
  paths+=("$path")
}

json_string() {
  local text=$1
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//[[:cntrl:]]/ }
  printf '"%s"' "$text"
}

report() {
  local package=$1 state=$2 line path list=
  if [[ $state == available ]]; then
    for path in "${paths[@]}"; do list+="${list:+,}$(json_string "$path")"; done
    line="{\"package\":\"$package\",\"state\":\"available\",\"paths\":[$list]}"
  else
    say "skipped $package: $reason"
    line="{\"package\":\"$package\",\"state\":\"skipped\",\"reason\":$(json_string "$reason")}"
  fi
  printf '%s\n' "$line"
  [[ ! $status_dir ]] || printf '%s\n' "$line" >"$status_dir/$package.json"
}

fetch_package() {
  local package=$1 registry origin name mode sha256
  paths=()
  reason=
  while IFS=$'\t' read -r _ registry origin name mode sha256; do
    if ! bring "$registry" "$origin" "$name" "$mode" "$sha256"; then
      report "$package" skipped
      return
    fi
  done < <(sources_of "$package")
  report "$package" available
}

main() {
  parse_arguments "$@"
  have nix-store || die 1 "nix-store is not on PATH"
  ((${#wanted[@]})) || mapfile -t wanted < <(all_packages)
  [[ ! $status_dir ]] || mkdir -p -- "$status_dir"
  local package
  for package in "${wanted[@]}"; do
    [[ $(sources_of "$package") ]] || die 2 "no such package: $package"
  done
  for package in "${wanted[@]}"; do fetch_package "$package"; done
}

main "$@"
