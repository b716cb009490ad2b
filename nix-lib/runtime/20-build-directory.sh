# 20-build-directory: every stage of a chain must run at the same path, or CMake and others refuse the restored tree.
#
# The stage runs in a second bash. This one outlives whatever happens to the second (`exit 0` in a phase, an EXIT trap,
# commands after genericBuild), so what must hold at the end is checked here.
#
# In the sandbox the path is /build. Outside it Nix gives each derivation a directory of its own, so the second bash gets
# a stable directory, under a lock, and this one cleans up. The staged prefixes need the same care there: without a
# sandbox they lie in the real store.

phasesplit_is_sandboxed() {
  [[ $NIX_BUILD_TOP == /build ]]
}

# The directory for what the runtime needs while the stage runs: outside the build directory, which a package may list,
# copy or empty. In the sandbox it is a path of the store that is gone with the sandbox, as the staged prefixes are;
# otherwise it lies in the directory that Nix gave, where no phase runs. Before stdenv's setup there is no PATH, so what
# bash cannot do itself the engine does.
phasesplit_make_scratch() {
  phasesplit_is_sandboxed || _phasesplit_scratch=$NIX_BUILD_TOP/.phasesplit
  "$_phasesplit_engine" mkdir "$_phasesplit_scratch" || phasesplit_fail "cannot make $_phasesplit_scratch (see above)"
  phasesplit_note_outside
  # Written last: what is newer is the stage's.
  printf '%s\n' "$_phasesplit_options" >"$_phasesplit_scratch/options"
}

# "$@": this script and the package's scripts. Replaces this (sub)shell by the bash that runs the stage, with the options
# the package's own builder would have. $BASH cannot be trusted: started without a PATH, bash guesses it from the login
# shell; as `bash`, the name Nix starts it under, the second one guesses the same.
phasesplit_become_stage() {
  local -a _phasesplit_flags=()
  [[ $- != *e* ]] || _phasesplit_flags+=(-e)
  [[ $- != *u* ]] || _phasesplit_flags+=(-u)
  # It counts itself once more.
  SHLVL=$((SHLVL - 1))
  export _phasesplit_inside=$_phasesplit_scratch
  exec -a bash "/proc/$BASHPID/exe" "${_phasesplit_flags[@]}" "$@"
}

# The processes that work in the stable directory, as `_phasesplit_found`: the last one's id, or nothing.
phasesplit_find_survivor() {
  local _phasesplit_each
  local -a _phasesplit_words=()
  _phasesplit_found=''
  for _phasesplit_each in /proc/[0-9]*; do
    # The same stage in a sandbox is no neighbour: its top is /build.
    mapfile -d '' -t _phasesplit_words <"$_phasesplit_each/environ" || continue
    [[ " ${_phasesplit_words[*]} " == *" _phasesplit_inside="* ]] || continue
    if [[ " ${_phasesplit_words[*]} " == *" NIX_BUILD_TOP=$_phasesplit_stable "* ]]; then
      _phasesplit_found=${_phasesplit_each#/proc/}
    fi
  done 2>/dev/null
}

# The lock goes when the first bash goes. If that one alone was killed, and Nix has no build users whose processes it
# ends, the second still works in the stable directory. A subshell of the stage before may take a moment to end, though.
phasesplit_refuse_survivors() {
  local _phasesplit_found _phasesplit_tries
  for _phasesplit_tries in {1..20}; do
    phasesplit_find_survivor
    [[ -n $_phasesplit_found ]] || return 0
    # A tenth of a second, without a command: there is no PATH yet.
    read -rt 0.1 <> <(:) || :
  done
  phasesplit_fail "process $_phasesplit_found, of an earlier build that was killed, still works in $_phasesplit_stable. Wait until it has ended, or end it, then build again"
}

# A local that shadows an exported variable is exported in its place, and the package's attributes are such variables: so
# no local here has a name that an attribute could have.

# "$@": this script and the package's scripts. Runs the stage in a child and exits with its status; in the child, returns.
phasesplit_stay_outside() {
  [[ -z $_phasesplit_inside ]] || return 0
  local _phasesplit_status=0
  phasesplit_make_scratch
  if phasesplit_is_sandboxed; then
    if [[ -n $_phasesplit_keep ]]; then
      phasesplit_run_logged "$@" || _phasesplit_status=$?
      phasesplit_keep "$NIX_BUILD_TOP" "$_phasesplit_status"
      exit
    fi
    (phasesplit_become_stage "$@") || _phasesplit_status=$?
    [[ $_phasesplit_status -ne 0 ]] || phasesplit_check_result
    exit "$_phasesplit_status"
  fi

  # Not the staged hash: relocation would take it for the staged prefix.
  _phasesplit_stable=/tmp/phasesplit-$_phasesplit_directory
  local _phasesplit_lock=$_phasesplit_stable.lock _phasesplit_lock_fd _phasesplit_run=phasesplit_become_stage
  local -a _phasesplit_places=("${_phasesplit_staged[@]}" "$_phasesplit_stable")
  if [[ -n $_phasesplit_keep ]]; then
    _phasesplit_run=phasesplit_run_logged
    # Of finish: no output of this derivation, so nothing that Nix cares for.
    _phasesplit_places+=("${_phasesplit_final[@]}")
  fi
  # Created and opened apart: the kernel (fs.protected_regular) refuses O_CREAT on another user's file in /tmp.
  [[ -e $_phasesplit_lock ]] || (umask 022; set -C; : >"$_phasesplit_lock") 2>/dev/null || [[ -e $_phasesplit_lock ]] ||
    phasesplit_fail "cannot create the lock $_phasesplit_lock"
  exec {_phasesplit_lock_fd}<"$_phasesplit_lock"
  "$_phasesplit_engine" lock --fd "$_phasesplit_lock_fd" --path "$_phasesplit_lock" ||
    phasesplit_fail "cannot take the lock $_phasesplit_lock (see above)"

  phasesplit_refuse_survivors

  # What a killed build left; the engine refuses what belongs to another user.
  "$_phasesplit_engine" clear "${_phasesplit_places[@]}" ||
    phasesplit_fail "what an earlier build left cannot be removed (see above)"
  "$_phasesplit_engine" mkdir "$_phasesplit_stable" || phasesplit_fail "cannot make $_phasesplit_stable (see above)"
  echo "phasesplit: no sandbox: this stage runs in $_phasesplit_stable"
  # PWD goes with the others so that a script that trusts it agrees with the directory it is in.
  (
    cd -- "$_phasesplit_stable" || exit
    exec {_phasesplit_lock_fd}<&-
    export _phasesplit_nix_top=$NIX_BUILD_TOP
    NIX_BUILD_TOP=$_phasesplit_stable TMPDIR=$_phasesplit_stable TMP=$_phasesplit_stable \
      TEMP=$_phasesplit_stable TEMPDIR=$_phasesplit_stable PWD=$_phasesplit_stable \
      "$_phasesplit_run" "$@"
  ) || _phasesplit_status=$?
  if [[ -n $_phasesplit_keep ]]; then
    (phasesplit_keep "$_phasesplit_stable" "$_phasesplit_status") && _phasesplit_status=0 || _phasesplit_status=$?
  else
    [[ $_phasesplit_status -ne 0 ]] || (phasesplit_check_result) || _phasesplit_status=1
  fi
  "$_phasesplit_engine" clear "${_phasesplit_places[@]}"
  exit "$_phasesplit_status"
}

