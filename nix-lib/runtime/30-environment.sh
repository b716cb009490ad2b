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
# "$stdenv/setup" themselves, some early and some late: wherever they do it, they get both.
phasesplit_make_stdenv() {
  local real="${1:?}"
  {
    printf 'stdenv=%q\n' "$real"
    # shellcheck disable=SC2016 # expanded when the package's builder sources it
    printf '%s\n' 'source "$stdenv/setup"' 'phasesplit_take_over'
  } >"$_phasesplit_scratch/stdenv/setup"
}

# $1: text, $2: what must occur in it exactly once, $3: its replacement. Result in REPLY.
phasesplit_replace_once() {
  local text=$1 old=$2 new=$3
  local before=${text%%"$old"*}
  local after=${text#*"$old"}
  if [[ $before == "$text" || $after == *"$old"* ]]; then
    phasesplit_fail "the structured attributes do not hold $old exactly once; this version of Nix writes them in a form that phasesplit does not know"
  fi
  REPLY=$before$new$after
}

# Looks at stdenv and the outputs' paths in the structured attributes ($1). `declare` in a sourced file makes locals
# here, so this look has no effect on the shell.
phasesplit_peek_structured() {
  local -A outputs=()
  local stdenv=''
  # shellcheck disable=SC1090
  source "$1"
  _phasesplit_real_stdenv=$stdenv
  local _phasesplit_each
  for _phasesplit_each in "${!outputs[@]}"; do _phasesplit_nix_outputs[$_phasesplit_each]=${outputs[$_phasesplit_each]}; done
}

# Structured attributes come as files, not as variables: copies of both, as the package would see them.
phasesplit_enter_structured() {
  local script=${NIX_ATTRS_SH_FILE-} json=${NIX_ATTRS_JSON_FILE-} top=${_phasesplit_nix_top:-$NIX_BUILD_TOP}
  local overrides text name map='' pairs=''
  declare -gA _phasesplit_nix_outputs=()
  # Nix 2.8 names the files by their path outside the sandbox.
  [[ -e $script ]] || script=$top/.attrs.sh
  [[ -e $json ]] || json=$top/.attrs.json
  phasesplit_peek_structured "$script"
  phasesplit_make_stdenv "$_phasesplit_real_stdenv"

  overrides="declare stdenv=${_phasesplit_scratch@Q}/stdenv"
  text=$(<"$json")
  if [[ -z $_phasesplit_finish ]]; then
    _phasesplit_state=${_phasesplit_nix_outputs[out]}
    for name in "${_phasesplit_output_names[@]}"; do
      map+=${map:+,}"\"$name\":\"${_phasesplit_staged[$name]}\""
      pairs+=" [${name@Q}]=${_phasesplit_staged[$name]@Q}"
    done
    overrides+=$'\n'"declare -A outputs=($pairs )"$'\n'"declare name=${_phasesplit_package@Q}"
    phasesplit_replace_once "$text" "\"outputs\":{\"out\":\"$_phasesplit_state\"}" "\"outputs\":{$map}"
    phasesplit_replace_once "$REPLY" "\"name\":\"$_phasesplit_package-phase-$_phasesplit_stage\"" "\"name\":\"$_phasesplit_package\""
    text=$REPLY
  else
    for name in "${_phasesplit_output_names[@]}"; do _phasesplit_final[$name]=${_phasesplit_nix_outputs[$name]}; done
  fi
  printf '%s\n' "$text" >"$_phasesplit_scratch/attrs.json"
  printf '%s\n%s\n' "$(<"$script")" "$overrides" >"$_phasesplit_scratch/attrs.sh"
  export NIX_ATTRS_SH_FILE=$_phasesplit_scratch/attrs.sh NIX_ATTRS_JSON_FILE=$_phasesplit_scratch/attrs.json
}

phasesplit_enter_plain() {
  local _phasesplit_each
  phasesplit_make_stdenv "$stdenv"
  export stdenv=$_phasesplit_scratch/stdenv
  if [[ -n $_phasesplit_finish ]]; then
    for _phasesplit_each in "${_phasesplit_output_names[@]}"; do _phasesplit_final[$_phasesplit_each]=${!_phasesplit_each}; done
    return
  fi
  # shellcheck disable=SC2154 # `out` is the state, named by Nix
  _phasesplit_state=$out
  # shellcheck disable=SC2178 # the other form of outputs
  export outputs="${_phasesplit_output_names[*]}" name=$_phasesplit_package
  [[ -n ${_phasesplit_staged[out]-} ]] || unset -v out
  for _phasesplit_each in "${_phasesplit_output_names[@]}"; do
    export "$_phasesplit_each=${_phasesplit_staged[$_phasesplit_each]}"
  done
}

phasesplit_enter_environment() {
  declare -gA _phasesplit_final=()
  _phasesplit_state=''
  phasesplit_make_scratch
  if [[ -n ${NIX_ATTRS_SH_FILE-} || -e ${_phasesplit_nix_top:-$NIX_BUILD_TOP}/.attrs.sh ]]; then
    phasesplit_enter_structured
  else
    phasesplit_enter_plain
  fi
  # Came through the environment, and is not the package's.
  export -n _phasesplit_nix_top
}

