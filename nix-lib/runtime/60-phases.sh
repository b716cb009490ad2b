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

# Fills _phasesplit_ran, the engine's options that say how long each phase took, from _phasesplit_began: `phase=seconds`.
phasesplit_count_seconds() {
  local _phasesplit_each
  local -i _phasesplit_index _phasesplit_next _phasesplit_start
  printf -v _phasesplit_next '%(%s)T' -1
  _phasesplit_ran=()
  for ((_phasesplit_index = ${#_phasesplit_began[@]} - 1; _phasesplit_index >= 0; _phasesplit_index--)); do
    _phasesplit_each=${_phasesplit_began[_phasesplit_index]}
    # EPOCHSECONDS may be the package's.
    [[ ${_phasesplit_each##*=} =~ ^[1-9][0-9]{0,15}$ ]] && _phasesplit_start=${_phasesplit_each##*=} || _phasesplit_start=$_phasesplit_next
    ((_phasesplit_start <= _phasesplit_next)) || _phasesplit_start=$_phasesplit_next
    _phasesplit_ran=(--phase "${_phasesplit_each%=*}=$((_phasesplit_next - _phasesplit_start))" "${_phasesplit_ran[@]}")
    _phasesplit_next=$_phasesplit_start
  done
}

# A phase named in an entry belongs there; one that a hook added, to the entry of the next named phase. It never goes
# backwards, and what trails belongs to the last entry. A phase that is cut into parts is named in several entries and
# runs in each: what stands before it belongs to the first of them, what stands after it to the last. Fills
# _phasesplit_now.
phasesplit_cut_phases() {
  local -A opens=() closes=()
  local -a pending=()
  local -i index current=0 final=$((${#_phasesplit_entries[@]} - 1))
  local phase
  for ((index = 0; index <= final; index++)); do
    for phase in ${_phasesplit_entries[index]}; do
      opens[$phase]=${opens[$phase]-$index} closes[$phase]=$index
    done
  done
  _phasesplit_now=()
  for phase in "${_phasesplit_all[@]}"; do
    if [[ -z ${opens[$phase]-} ]]; then
      pending+=("$phase")
      continue
    fi
    ((opens[$phase] <= current)) || current=${opens[$phase]}
    if ((current >= _phasesplit_first && current <= _phasesplit_last)); then _phasesplit_now+=("${pending[@]}"); fi
    pending=()
    # Once, however many of its entries this stage stands for: its script here is that of the last.
    index=$current
    ((closes[$phase] <= current)) || current=${closes[$phase]}
    if ((index <= _phasesplit_last && current >= _phasesplit_first)); then _phasesplit_now+=("$phase"); fi
  done
  if ((final >= _phasesplit_first && final <= _phasesplit_last)); then _phasesplit_now+=("${pending[@]}"); fi
}
