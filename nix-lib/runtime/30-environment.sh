# 30-environment: makes the stage look like the package's own build: its name, its outputs (at their staged prefixes),
# and a stdenv whose setup hands genericBuild over to us.

# The package's stdenv, with a setup that loads the real one and then takes over. Builder scripts source
# "$stdenv/setup" themselves, some early, some late, some a second time: wherever they do it, they get both. A child that
# does it gets the real one alone.
phasesplit_make_stdenv() {
  local real="${1:?}"
  [[ -d $_phasesplit_scratch/stdenv ]] || "$_phasesplit_engine" mkdir "$_phasesplit_scratch/stdenv"
  {
    printf 'stdenv=%q\n' "$real"
    # shellcheck disable=SC2016 # expanded when the package's builder sources it
    printf '%s\n' 'source "$stdenv/setup"' '! declare -F phasesplit_take_over >/dev/null || phasesplit_take_over'
  } >"$_phasesplit_scratch/stdenv/setup"
}

# $1: text, $2: what must occur in it exactly once, $3: its replacement. Result in _phasesplit_reply.
phasesplit_replace_once() {
  local text=$1 old=$2 new=$3
  local before=${text%%"$old"*}
  local after=${text#*"$old"}
  if [[ $before == "$text" || $after == *"$old"* ]]; then
    phasesplit_fail "the structured attributes do not hold $old exactly once; this version of Nix writes them in a form that phasesplit does not know"
  fi
  _phasesplit_reply=$before$new$after
}

# Where Nix put the structured attributes: _phasesplit_attrs_script and _phasesplit_attrs_json, empty where there are none.
phasesplit_find_attributes() {
  local _phasesplit_top=${_phasesplit_nix_top:-$NIX_BUILD_TOP}
  _phasesplit_attrs_script='' _phasesplit_attrs_json=''
  [[ -n ${NIX_ATTRS_SH_FILE-} || -e $_phasesplit_top/.attrs.sh ]] || return 0
  _phasesplit_attrs_script=${NIX_ATTRS_SH_FILE-} _phasesplit_attrs_json=${NIX_ATTRS_JSON_FILE-}
  # Nix 2.8 names the files by their path outside the sandbox.
  [[ -e $_phasesplit_attrs_script ]] || _phasesplit_attrs_script=$_phasesplit_top/.attrs.sh
  [[ -e $_phasesplit_attrs_json ]] || _phasesplit_attrs_json=$_phasesplit_top/.attrs.json
}

# Looks at stdenv, the derivation's name, the stage's options and the outputs' paths in the structured attributes. `declare` in a sourced file
# makes locals here, so this look has no effect on the shell.
phasesplit_peek_structured() {
  local -A outputs=()
  local stdenv='' name='' phasesplitStage='' _phasesplit_each
  declare -gA _phasesplit_nix_outputs=()
  # shellcheck disable=SC1090
  source "$_phasesplit_attrs_script"
  _phasesplit_real_stdenv=$stdenv
  _phasesplit_nix_name=$name
  _phasesplit_attribute=$phasesplitStage
  for _phasesplit_each in "${!outputs[@]}"; do _phasesplit_nix_outputs[$_phasesplit_each]=${outputs[$_phasesplit_each]}; done
}

# Where Nix wants this derivation's outputs: the state in _phasesplit_state or, in finish, the package's own in
# _phasesplit_final (name -> path). A finish that keeps what a failure leaves has a state too, and `--kept-outputs`.
phasesplit_find_outputs() {
  local _phasesplit_each
  declare -gA _phasesplit_nix_outputs=()
  _phasesplit_state='' _phasesplit_keep=''
  phasesplit_find_attributes
  if [[ -n $_phasesplit_attrs_script ]]; then
    phasesplit_peek_structured
  else
    _phasesplit_real_stdenv=$stdenv
    for _phasesplit_each in out "${_phasesplit_output_names[@]}"; do
      _phasesplit_nix_outputs[$_phasesplit_each]=${!_phasesplit_each-}
    done
  fi
  if [[ -z $_phasesplit_finish || -n $_phasesplit_keep_failed ]]; then
    _phasesplit_state=${_phasesplit_nix_outputs[out]}
    [[ -z $_phasesplit_keep_failed ]] || _phasesplit_keep=$_phasesplit_state
    return
  fi
  for _phasesplit_each in "${_phasesplit_output_names[@]}"; do
    _phasesplit_final[$_phasesplit_each]=${_phasesplit_nix_outputs[$_phasesplit_each]}
  done
}

# Where the package's output $1 lies while this stage runs, in _phasesplit_place.
phasesplit_place_of() {
  _phasesplit_place=${_phasesplit_final[$1]:-${_phasesplit_staged[$1]}}
}

# Structured attributes come as files, not as variables. They become what the package would see, in their places: the
# outputs' paths and the name, and nothing of ours.
phasesplit_enter_structured() {
  local name map='' pairs=''
  _phasesplit_attrs_overrides=''
  phasesplit_replace_once "$(<"$_phasesplit_attrs_script")" "declare phasesplitStage='${_phasesplit_attribute//\'/\'\\\'\'}'"$'\n' ''
  _phasesplit_attrs_text=$_phasesplit_reply
  phasesplit_quote_json "$_phasesplit_attribute"
  phasesplit_replace_once "$(<"$_phasesplit_attrs_json")" "\"phasesplitStage\":$_phasesplit_reply," ''
  if [[ -n $_phasesplit_state ]]; then
    for name in "${_phasesplit_output_names[@]}"; do
      phasesplit_place_of "$name"
      map+=${map:+,}"\"$name\":\"$_phasesplit_place\""
      pairs+=" [${name@Q}]=${_phasesplit_place@Q}"
    done
    _phasesplit_attrs_overrides="declare -A outputs=($pairs )"$'\n'"declare name=${_phasesplit_package@Q}"$'\n'
    phasesplit_replace_once "$_phasesplit_reply" "\"outputs\":{\"out\":\"$_phasesplit_state\"}" "\"outputs\":{$map}"
    phasesplit_replace_once "$_phasesplit_reply" "\"name\":\"$_phasesplit_nix_name\"" "\"name\":\"$_phasesplit_package\""
  fi
  if [[ -n ${_phasesplit_nix_top-} ]]; then
    _phasesplit_attrs_script=$NIX_BUILD_TOP/.attrs.sh _phasesplit_attrs_json=$NIX_BUILD_TOP/.attrs.json
    [[ -z ${NIX_ATTRS_SH_FILE-} ]] || export NIX_ATTRS_SH_FILE=$_phasesplit_attrs_script
    [[ -z ${NIX_ATTRS_JSON_FILE-} ]] || export NIX_ATTRS_JSON_FILE=$_phasesplit_attrs_json
  fi
  printf '%s' "$_phasesplit_reply" >|"$_phasesplit_attrs_json"
  printf '%s\n%s' "$_phasesplit_attrs_text" "$_phasesplit_attrs_overrides" >|"$_phasesplit_attrs_script"
  printf 'declare stdenv=%q/stdenv\n' "$_phasesplit_scratch" >>"$_phasesplit_attrs_script"
}

# From the first phase on, the package's own stdenv is in the file again.
phasesplit_leave_structured() {
  [[ -z $_phasesplit_attrs_script || ! -f $_phasesplit_attrs_script ]] ||
    printf '%s\n%s' "$_phasesplit_attrs_text" "$_phasesplit_attrs_overrides" >|"$_phasesplit_attrs_script"
}

# $1 as Nix writes it in JSON, in _phasesplit_reply.
phasesplit_quote_json() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  _phasesplit_reply=\"${text//$'\n'/\\n}\"
}

phasesplit_enter_plain() {
  local _phasesplit_each
  export stdenv=$_phasesplit_scratch/stdenv
  [[ -n $_phasesplit_state ]] || return 0
  # shellcheck disable=SC2178 # the other form of outputs
  export outputs="${_phasesplit_output_names[*]}" name=$_phasesplit_package
  [[ -n ${_phasesplit_staged[out]-} ]] || unset -v out
  for _phasesplit_each in "${_phasesplit_output_names[@]}"; do
    phasesplit_place_of "$_phasesplit_each"
    export "$_phasesplit_each=$_phasesplit_place"
  done
}

# Notes which files Nix itself put into the build directory, before anything else can: those of `passAsFile`, of
# structured attributes and of exportReferencesGraph. Where the stage runs elsewhere they are copied there, and what names
# them is adapted. They hold text.
phasesplit_bring_nix_files() {
  local _phasesplit_each _phasesplit_text _phasesplit_options
  _phasesplit_options=$(shopt -p nullglob dotglob) || true
  shopt -s nullglob dotglob
  _phasesplit_nix_files=("${_phasesplit_nix_top:-$NIX_BUILD_TOP}"/*)
  eval "$_phasesplit_options"
  _phasesplit_nix_files=("${_phasesplit_nix_files[@]##*/}")
  [[ -n ${_phasesplit_nix_top-} ]] || return 0
  for _phasesplit_each in "${_phasesplit_nix_files[@]}"; do
    [[ -f $_phasesplit_nix_top/$_phasesplit_each ]] || continue
    IFS= read -r -d '' _phasesplit_text <"$_phasesplit_nix_top/$_phasesplit_each" || true
    printf '%s' "$_phasesplit_text" >"$NIX_BUILD_TOP/$_phasesplit_each"
  done
  for _phasesplit_each in ${passAsFile-}; do
    _phasesplit_each+=Path
    [[ ${!_phasesplit_each-} != "$_phasesplit_nix_top"/* ]] ||
      printf -v "$_phasesplit_each" '%s' "$NIX_BUILD_TOP/${!_phasesplit_each##*/}"
  done
}

# Notes how Nix's files are when the first phase begins, and whether stdenv will write its own: a save leaves out what is
# still so.
phasesplit_note_nix_files() {
  local _phasesplit_each
  local -a _phasesplit_there=()
  for _phasesplit_each in "${_phasesplit_nix_files[@]}"; do
    [[ ! -e $NIX_BUILD_TOP/$_phasesplit_each ]] || _phasesplit_there+=("$_phasesplit_each")
  done
  "$_phasesplit_engine" note --build-dir "$NIX_BUILD_TOP" --to "$_phasesplit_scratch/nix-files" "${_phasesplit_there[@]}" ||
    phasesplit_fail "the files that Nix made could not be noted (see above)"
  if declare -F dumpVars >/dev/null && [[ ${noDumpEnvVars:-0} != 1 ]]; then : >"$_phasesplit_scratch/dumps"; fi
}

phasesplit_enter_environment() {
  local _phasesplit_each
  # Started by way of /proc, this bash is called `exe`: the package's builder has the name of the first one.
  if [[ -n $_phasesplit_inside ]] && IFS= read -r _phasesplit_each <"/proc/$PPID/comm"; then
    printf '%s' "$_phasesplit_each" >"/proc/$$/comm" || true
  fi 2>/dev/null
  phasesplit_bring_nix_files
  phasesplit_make_stdenv "$_phasesplit_real_stdenv"
  if [[ -n $_phasesplit_attrs_script ]]; then
    phasesplit_enter_structured
  else
    phasesplit_enter_plain
  fi
  # Came through the environment, and is not the package's.
  export -n _phasesplit_nix_top
}
