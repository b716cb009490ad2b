# 30-environment: makes the stage look like the package's own build: its name, its outputs (at their staged prefixes),
# and a stdenv whose setup hands genericBuild over to us.

# The directory for what the runtime needs while the stage runs. Never part of a state (the engine leaves it out).
# Before stdenv's setup there is no PATH, so what bash cannot do itself the engine does.
phasesplit_make_scratch() {
  _phasesplit_scratch=$NIX_BUILD_TOP/.phasesplit
  "$_phasesplit_engine" mkdir "$_phasesplit_scratch"
  "$_phasesplit_engine" mkdir "$_phasesplit_scratch/stdenv"
}

# The package's stdenv, with a setup that loads the real one and then takes over. Builder scripts source
# "$stdenv/setup" themselves, some early, some late, some a second time: wherever they do it, they get both. A child that
# does it gets the real one alone.
phasesplit_make_stdenv() {
  local real="${1:?}"
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

# Looks at stdenv, the derivation's name and the outputs' paths in the structured attributes. `declare` in a sourced file
# makes locals here, so this look has no effect on the shell.
phasesplit_peek_structured() {
  local -A outputs=()
  local stdenv='' name='' _phasesplit_each
  # shellcheck disable=SC1090
  source "$_phasesplit_attrs_script"
  _phasesplit_real_stdenv=$stdenv
  _phasesplit_nix_name=$name
  for _phasesplit_each in "${!outputs[@]}"; do _phasesplit_nix_outputs[$_phasesplit_each]=${outputs[$_phasesplit_each]}; done
}

# Where Nix wants this derivation's outputs: the state in _phasesplit_state or, in finish, the package's own in
# _phasesplit_final (name -> path). A finish that keeps what a failure leaves has a state too, and `--kept-outputs`.
phasesplit_find_outputs() {
  local _phasesplit_each _phasesplit_top=${_phasesplit_nix_top:-$NIX_BUILD_TOP}
  declare -gA _phasesplit_nix_outputs=()
  _phasesplit_state='' _phasesplit_attrs_script='' _phasesplit_keep=''
  if [[ -n ${NIX_ATTRS_SH_FILE-} || -e $_phasesplit_top/.attrs.sh ]]; then
    _phasesplit_attrs_script=${NIX_ATTRS_SH_FILE-} _phasesplit_attrs_json=${NIX_ATTRS_JSON_FILE-}
    # Nix 2.8 names the files by their path outside the sandbox.
    [[ -e $_phasesplit_attrs_script ]] || _phasesplit_attrs_script=$_phasesplit_top/.attrs.sh
    [[ -e $_phasesplit_attrs_json ]] || _phasesplit_attrs_json=$_phasesplit_top/.attrs.json
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

# Where the package's output $1 lies while this stage runs, in _phasesplit_reply.
phasesplit_place_of() {
  _phasesplit_reply=${_phasesplit_final[$1]:-${_phasesplit_staged[$1]}}
}

# Structured attributes come as files, not as variables: copies of both, as the package would see them.
phasesplit_enter_structured() {
  local overrides text name map='' pairs=''
  overrides="declare stdenv=${_phasesplit_scratch@Q}/stdenv"
  text=$(<"$_phasesplit_attrs_json")
  if [[ -n $_phasesplit_state ]]; then
    for name in "${_phasesplit_output_names[@]}"; do
      phasesplit_place_of "$name"
      map+=${map:+,}"\"$name\":\"$_phasesplit_reply\""
      pairs+=" [${name@Q}]=${_phasesplit_reply@Q}"
    done
    overrides+=$'\n'"declare -A outputs=($pairs )"$'\n'"declare name=${_phasesplit_package@Q}"
    phasesplit_replace_once "$text" "\"outputs\":{\"out\":\"$_phasesplit_state\"}" "\"outputs\":{$map}"
    phasesplit_replace_once "$_phasesplit_reply" "\"name\":\"$_phasesplit_nix_name\"" "\"name\":\"$_phasesplit_package\""
    text=$_phasesplit_reply
  fi
  printf '%s\n' "$text" >"$_phasesplit_scratch/attrs.json"
  printf '%s\n%s\n' "$(<"$_phasesplit_attrs_script")" "$overrides" >"$_phasesplit_scratch/attrs.sh"
  export NIX_ATTRS_SH_FILE=$_phasesplit_scratch/attrs.sh NIX_ATTRS_JSON_FILE=$_phasesplit_scratch/attrs.json
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
    export "$_phasesplit_each=$_phasesplit_reply"
  done
}

# Files that Nix writes into its build directory for every derivation of the chain (exportReferencesGraph): never part of
# a state, and where the stage runs elsewhere, copied there. They are lines of text.
phasesplit_bring_nix_files() {
  local _phasesplit_each
  [[ -n ${_phasesplit_nix_top-} ]] || return 0
  for _phasesplit_each in "${_phasesplit_nix_files[@]}"; do
    printf '%s\n' "$(<"$_phasesplit_nix_top/$_phasesplit_each")" >"$NIX_BUILD_TOP/$_phasesplit_each"
  done
}

phasesplit_enter_environment() {
  phasesplit_make_scratch
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

