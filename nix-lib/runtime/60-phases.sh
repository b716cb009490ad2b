# 60-phases: which of the package's phases run in this stage. The same rule as `phase::cut` in the Rust side.

# stdenv's own list, phases that hooks added included, in _phasesplit_all.
phasesplit_list_phases() {
  declare -F definePhases >/dev/null ||
    phasesplit_fail "this stdenv has no function definePhases: it is older than nixpkgs 22.11; use a newer nixpkgs or the unsplit build"
  definePhases
  # Both forms stdenv allows: a string with spaces, or an array.
  local IFS=$' \t\n'
  # shellcheck disable=SC2154,SC2206
  _phasesplit_all=(${phases[*]})
}

# A phase named in an entry belongs there; one that a hook added, to the entry of the next named phase. It never goes
# backwards, and what trails belongs to the last entry. Fills _phasesplit_now.
phasesplit_cut_phases() {
  local -A owner=()
  local -a pending=()
  local -i index current=0 final=$((${#_phasesplit_entries[@]} - 1))
  local phase
  for ((index = 0; index <= final; index++)); do
    for phase in ${_phasesplit_entries[index]}; do owner[$phase]=$index; done
  done
  _phasesplit_now=()
  for phase in "${_phasesplit_all[@]}"; do
    pending+=("$phase")
    [[ -n ${owner[$phase]-} ]] || continue
    ((owner[$phase] <= current)) || current=${owner[$phase]}
    if ((current >= _phasesplit_first && current <= _phasesplit_last)); then _phasesplit_now+=("${pending[@]}"); fi
    pending=()
  done
  if ((final >= _phasesplit_first && final <= _phasesplit_last)); then _phasesplit_now+=("${pending[@]}"); fi
}

