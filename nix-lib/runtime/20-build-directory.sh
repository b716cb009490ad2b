# 20-build-directory: every stage of a chain must run at the same path, or CMake and others refuse the restored tree.
#
# In the sandbox that path is /build. Outside it Nix gives each derivation a directory of its own, so the stage runs in
# a second bash, in a stable directory and under a lock, and this one cleans up whatever happens to the second.
# The staged prefixes need the same care there: without a sandbox they lie in the real store.

phasesplit_is_sandboxed() {
  [[ $NIX_BUILD_TOP == /build ]]
}

# "$@": this script and its arguments. Runs the stage in a child and exits with its status; in the child, and in the
# sandbox, returns.
phasesplit_enter_build_directory() {
  [[ -z $_phasesplit_inside ]] || return 0
  ! phasesplit_is_sandboxed || return 0

  # Not the staged hash: relocation would take it for the staged prefix.
  _phasesplit_stable=/tmp/phasesplit-$_phasesplit_directory
  local lock=$_phasesplit_stable.lock lock_fd status=0
  # Created and opened apart: the kernel (fs.protected_regular) refuses O_CREAT on another user's file in /tmp.
  [[ -e $lock ]] || (umask 022; set -C; : >"$lock") 2>/dev/null || [[ -e $lock ]] ||
    phasesplit_fail "cannot create the lock $lock"
  exec {lock_fd}<"$lock"
  "$_phasesplit_engine" lock --fd "$lock_fd" --path "$lock"

  # What a killed build left; the engine refuses what belongs to another user.
  "$_phasesplit_engine" clear "${_phasesplit_staged[@]}" "$_phasesplit_stable"
  "$_phasesplit_engine" mkdir "$_phasesplit_stable"
  echo "phasesplit: no sandbox: this stage runs in $_phasesplit_stable"
  # PWD goes with the others so that a script that trusts it agrees with the directory it is in. $BASH cannot be trusted:
  # started without a PATH, bash guesses it from the login shell.
  (
    cd -- "$_phasesplit_stable"
    exec {lock_fd}<&-
    export _phasesplit_nix_top=$NIX_BUILD_TOP
    NIX_BUILD_TOP=$_phasesplit_stable TMPDIR=$_phasesplit_stable TMP=$_phasesplit_stable \
      TEMP=$_phasesplit_stable TEMPDIR=$_phasesplit_stable PWD=$_phasesplit_stable \
      exec "/proc/$BASHPID/exe" -e "$1" --inside "${@:2}"
  ) || status=$?
  "$_phasesplit_engine" clear "${_phasesplit_staged[@]}" "$_phasesplit_stable"
  exit "$status"
}

