# Sets everything a shell can hold in one phase and writes down, two stages later, what is left of it. The unsplit
# build is the oracle: there one shell runs all phases, so both must write the same.
{ stdenv }:
stdenv.mkDerivation {
  name = "shell-state";
  dontUnpack = true;
  dontPatchShebangs = true;
  fromAttribute = "kept";
  goneLater = "present until configure";

  configurePhase = ''
    scalar=$'quotes \' " ` $HOME \\ tab\t newline\n end'
    control=$'\1\177\033'
    bytes=$'\xff\xc3\x28\x80'
    empty=
    trailing=$'line\n\n'
    array=(one "two words" $'three\nlines' "" $'\1' $'\xff' '*' '[x]' '$(touch pwned)')
    sparse=([3]=three [10]=ten)
    emptyArray=()
    declare -gA map=([key]=value ["a key"]="a value" [$'new\nline']=x ["]"]=bracket ['$x']='$(y)' ["@"]=at ["*"]=star)
    declare -gi integer=41
    declare -gr constant=fixed
    declare -gl lower=LOWER
    declare -gn reference=scalar
    export exported=$'ex\nported'
    exportedLocal=1; export exportedLocal; export -n exportedLocal
    unset goneLater
    fromAttribute+=" and changed"
    PATH=/in/front:$PATH:/behind
    export NEW_PATH=/new/path
    IFS_SAVED=$IFS

    plain() { echo "plain $1"; }
    exportedFunction() { cat <<EOF
    here $1
    EOF
    }
    export -f exportedFunction
    quoting() { echo "a 'b' \"c\" \$d" $'\t' "''${array[@]}" | tr a-z A-Z; [[ x =~ ^(x|y)$ ]] && echo matched; }
    shopt -s extglob nullglob
    extended() { case $1 in +([0-9])) echo number ;; *) echo other ;; esac; }
    set -o nolog -o physical
    set +o pipefail
    umask 027
    trap 'echo trapped usr1' USR1
    trap 'echo "an error trap"' ERR
    trap 'true; echo left | cat >/dev/null' TERM
    postConfigureHooks+=('echo a hook')
    preInstallHooks+=(recordHook)
    recordHook() { hooked+=(ran); }
    mkdir -p "deep/with space"
    cd deep
    pushd "with space" >/dev/null
  '';

  buildPhase = ''
    integer+=1
    array+=(added)
    map[added]=in-build
    unset 'array[1]'
  '';

  installPhase = ''
    runHook preInstall
    mkdir -p $out
    {
      declare -p scalar control bytes empty trailing array sparse emptyArray map integer constant lower reference
      declare -p exported exportedLocal fromAttribute NEW_PATH IFS_SAVED hooked
      echo "''${goneLater-unset} ''${goneLater+set}"
      echo "''${PATH%%:*} ''${PATH##*:}"
      plain text; exportedFunction text; quoting; extended 12; extended x
      bash -c 'exportedFunction from-a-child; declare -p exported; printf "%s\n" "''${exportedLocal-not exported}"'
      shopt -p extglob nullglob
      set +o | sort
      umask
      trap -p
      kill -USR1 $BASHPID
      echo "''${PWD#$NIX_BUILD_TOP}" "''${#DIRSTACK[@]}"
      popd >/dev/null
      echo "''${PWD#$NIX_BUILD_TOP}"
      integer+=1
      echo $integer
      (constant=other) 2>/dev/null || echo constant is constant
      declare -p preInstallHooks postConfigureHooks
      declare -F plain exportedFunction quoting extended recordHook
      type plain quoting extended exportedFunction
      echo "$IFS" | od -c
    } >$out/shell 2>&1
    [[ ! -e pwned ]]
  '';

  # finish, where names of outputs were moved too
  preFixup = ''
    {
      declare -p scalar array map integer
      plain finish
      umask
    } >$out/finish
  '';
  postInstall = "true";
}
