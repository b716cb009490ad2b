# Pure tests of nix-lib: evaluates to the list of cases that failed, each with what was expected and what came.
# Nothing is built. Run: nix-instantiate --eval --read-write-mode --strict --json tests/nix/lib
let
  splitPackage = import ../../../nix-lib;

  # The attributes of a package as nixpkgs' mkDerivation hands them to `derivation`.
  attributes = {
    name = "tiny-1.0";
    system = "x86_64-linux";
    builder = "/bin/bash";
    args = [
      "-e"
      (builtins.toFile "source-stdenv.sh" "source $stdenv/setup; source $1")
      (builtins.toFile "default-builder.sh" "genericBuild")
    ];
    stdenv = "/stdenv";
    src = "/source";
    outputs = [
      "out"
      "dev"
    ];
    buildPhase = "make";
    checkPhase = "make check";
    installPhase = "make install";
    postInstall = "rm -r $out/share";
    preFixup = "true";
    configureFlags = [ "--with-x" ];
  };

  # A package as mkDerivation gives it, with overrideAttrs and things that are not the derivation's.
  make =
    own:
    derivation own
    // {
      pname = "tiny";
      meta.description = "a test";
      overrideAttrs = change: make (own // change own);
    };
  engines.x86_64-linux = builtins.toFile "engine" "";
  with' = more: splitPackage { inherit engines; package = make (attributes // more); };
  asked = wish: more: splitPackage ({ inherit engines; package = make (attributes // more); } // wish);
  withScope = scope: more: splitPackage { inherit engines scope; package = make (attributes // more); };
  base = with' { };

  stageNames = result: map (stage: stage.stage) result.chain;
  names = [
    "unpack"
    "patch"
    "configure"
    "build"
    "check"
    "install"
    "finish"
  ];
  # The stages whose derivation differs from the base's, new ones included.
  changed = result: builtins.filter (
    name: result.phases ? ${name} && (base.phases.${name}.drvPath or null) != result.phases.${name}.drvPath
  ) names;
  # The stages that get an attribute.
  getting = attribute: result: map (stage: stage.stage) (builtins.filter (stage: stage.drvAttrs ? ${attribute}) result.chain);
  option =
    option: stage:
    let
      lines = builtins.filter builtins.isString (builtins.split "\n" stage.drvAttrs.phasesplitStage);
      found = builtins.filter (value: value != null) (map (builtins.match "${option} (.*)") lines);
    in
    if found == [ ] then null else builtins.head (builtins.head found);
  fails = value: !(builtins.tryEval (builtins.seq value.drvPath value)).success;

  wrapper = make attributes // { pname = "make-wrapper-hook"; };
  state = "${builtins.toFile "state" ""}";
  pinned = asked { pin = { stage = "build"; inherit state; }; } { };
  # Cut where `make one\n`, the first part, ends.
  cutAt = at: script: splitPackage {
    inherit engines;
    package = make (attributes // { buildPhase = script; installFlags = "x"; outputs = [ "out" ]; });
    chain = [
      { stage = "unpack"; phases = [ "unpackPhase" ]; }
      { stage = "configure"; phases = [ "configurePhase" ]; }
      { stage = "build-1"; phases = [ "buildPhase" ]; until = { phase = "buildPhase"; length = at; sha256 = builtins.hashString "sha256" "make one\n"; }; }
      { stage = "build"; phases = [ "buildPhase" ]; }
      { stage = "install"; phases = [ "installPhase" ]; }
      { stage = "finish"; phases = [ "fixupPhase" ]; }
    ];
  };

  long = length: builtins.concatStringsSep "" (builtins.genList (_: "x") length);
  test = expected: actual: { inherit expected actual; };

  cases = {
    "stages that have nothing to do are dropped" = test [ "unpack" "configure" "build" "install" "finish" ] (stageNames base);
    "patches bring the patch stage" = test [ "unpack" "patch" "configure" "build" "install" "finish" ] (
      stageNames (with' { patches = [ "/p" ]; })
    );
    "doCheck brings the check stage" = test [ "unpack" "configure" "build" "check" "install" "finish" ] (
      stageNames (with' { doCheck = true; })
    );
    "dontX drops a stage" = test [ "unpack" "install" "finish" ] (
      stageNames (with' {
        dontConfigure = true;
        dontBuild = "1";
      })
    );
    "dontX = false keeps it" = test (stageNames base) (stageNames (with' { dontBuild = false; }));
    "dontUnpack drops the first" = test "configure" (builtins.head (stageNames (with' { dontUnpack = true; })));
    "phases chooses the stages (list)" = test [ "unpack" "install" "finish" ] (
      stageNames (with' {
        phases = [
          "unpackPhase"
          "installPhase"
        ];
      })
    );
    "phases chooses the stages (string)" = test [ "build" "finish" ] (stageNames (with' { phases = "  buildPhase\n fixupPhase "; }));
    "phases without a boundary is finish alone" = test [ "finish" ] (stageNames (with' { phases = [ "myPhase" ]; }));

    "an edit of installPhase" = test [ "install" "finish" ] (changed (with' { installPhase = "make -n install"; }));
    "an edit of postInstall" = test [ "install" "finish" ] (changed (with' { postInstall = ""; }));
    "postInstall taken away" = test [ "install" "finish" ] (
      changed (splitPackage { inherit engines; package = make (removeAttrs attributes [ "postInstall" ]); })
    );
    "an attribute of install that was not there" = test [ "install" "finish" ] (changed (with' { installTargets = [ "x" ]; }));
    "an edit of preFixup" = test [ "finish" ] (changed (with' { preFixup = ""; }));
    "a new postFixup" = test [ "finish" ] (changed (with' { postFixup = "true"; }));
    "a new installCheckPhase" = test [ "finish" ] (changed (with' { installCheckPhase = "true"; }));
    "an edit of checkPhase that never runs" = test [ "install" "finish" ] (changed (with' { checkPhase = "x"; }));
    "doCheck" = test [ "check" "install" "finish" ] (changed (with' { doCheck = true; }));
    "buildFlags" = test [ "build" "install" "finish" ] (changed (with' { buildFlags = [ "x" ]; }));
    "configureFlags" = test [ "configure" "build" "install" "finish" ] (changed (with' { configureFlags = [ ]; }));
    "a patch" = test [ "patch" "configure" "build" "install" "finish" ] (changed (with' { patches = [ "/p" ]; }));
    "src" = test [ "unpack" "configure" "build" "install" "finish" ] (changed (with' { src = "/other"; }));
    "an unknown attribute" = test [ "unpack" "configure" "build" "install" "finish" ] (changed (with' { FOO = "1"; }));
    "what is not the derivation's" = test [ ] (
      changed (splitPackage { inherit engines; package = make attributes // { meta.description = "another"; }; })
    );
    "output checks reach finish alone" = test [ "finish" ] (changed (with' { allowedReferences = [ ]; }));

    "a mention in an earlier script gives the attribute to that stage" = test [ "configure" "build" "install" "finish" ] (
      getting "postInstall" (with' { preConfigure = "echo $postInstall"; })
    );
    "a mention reaches through a lowered script" = test [ "unpack" "configure" "build" "install" "finish" ] (
      getting "installFlags" (with' {
        FOO = "$postInstall";
        postInstall = "$installFlags";
        installFlags = "x";
      })
    );
    "a script that may read anything gives everything to its stage" = test [ "configure" "build" "install" "finish" ] (
      getting "postInstall" (with' { preConfigure = "name=post; echo \${!name}"; })
    );
    "but naming an output's variable is not that" = test [ "install" "finish" ] (
      getting "postInstall" (with' { preConfigure = "mkdir -p \${!outputDev}"; })
    );
    "a script that mentions itself stays" = test [ "install" "finish" ] (
      getting "postInstall" (with' { postInstall = "echo postInstall"; })
    );
    "what is passed as a file is never held back" = test (stageNames base) (
      getting "postInstall" (with' { passAsFile = [ "postInstall" ]; })
    );
    "cmake reads buildPhase and doCheck while it configures" = test [ "configure" "build" "install" "finish" ] (
      getting "buildPhase" (with' { nativeBuildInputs = [ (make attributes // { pname = "cmake-minimal"; }) ]; })
    );
    "cmake as a word of a string" = test [ "configure" "build" "install" "finish" ] (
      getting "buildPhase" (with' { nativeBuildInputs = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x-1 /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-cmake-3.30.1"; })
    );
    "cargo-install-hook asks for installPhase while it is sourced" = test (stageNames base) (
      getting "installPhase" (with' { nativeBuildInputs = [ (make attributes // { pname = "cargo-install-hook.sh"; }) ]; })
    );
    "several outputs: installFlags are set in configure" = test [ "configure" "build" "install" "finish" ] (
      getting "installFlags" (with' { installFlags = "x"; })
    );
    "a builder script of the package runs in every stage" = test [ "unpack" "configure" "build" "install" "finish" ] (
      getting "installFlags" (with' {
        installFlags = "x";
        args = [ "-e" ./builder.sh ];
      })
    );
    "an edit of what its builder script does not mention" = test [ "install" "finish" ] (
      let
        own = { args = [ "-e" ./builder.sh ]; };
        before = with' own;
        after = with' (own // { postInstall = "x"; });
      in
      builtins.filter (name: before.phases ? ${name} && before.phases.${name}.drvPath != after.phases.${name}.drvPath) names
    );
    "the user's scope: later" = test [ "install" "finish" ] (getting "FOO" (withScope { FOO = "install"; } { FOO = "1"; }));
    "the user's scope: earlier" = test [ "build" "install" "finish" ] (getting "postInstall" (withScope { postInstall = "build"; } { }));
    "the user's scope names no stage" = test true (fails (withScope { FOO = "instal"; } { FOO = "1"; }));
    "readsAll gives a stage every attribute" = test [ "configure" "build" "install" "finish" ] (
      getting "postInstall" (asked { readsAll = "configure"; } { })
    );
    "and what it has is not held back there" = test null (
      builtins.match ".* postInstall .*" " ${option "later" (asked { readsAll = "configure"; } { }).phases.configure} "
    );
    "a script that sources a file may read anything" = test [ "configure" "build" "install" "finish" ] (
      getting "postInstall" (with' { preConfigure = ". ./environment"; })
    );
    "a script that lists the environment may read anything" = test [ "configure" "build" "install" "finish" ] (
      getting "postInstall" (with' { preConfigure = "env -0 | sort -z >environment"; })
    );
    "what may read anything" = test [ ] (
      builtins.filter (script: !(import ../../../nix-lib/text.nix).readsAll script) [
        "env" "x=$(env)" "env >x" "set" "set | grep x" "export" "export -p" "declare -p" "declare -A x; local -n b=$c" "readonly"
        "eval foo" "source ./x" "true; . x" "concatTo x \"\${y}Flags\"" "[[ -v \"$x\" ]]" "\${!x}" "\${!x@}" "\${!outputDev} \${!x}"
        "python -c 'import os; print(os.environ)'" "perl -e 'print %ENV'" "jq . $NIX_ATTRS_JSON_FILE" "cat .attrs.json" "substituteAll a b"
        "printenv" "compgen -v" "envsubst <x" "{ env; }"
        "env FOO=1 | sort" "env FOO=$(pwd)" "xargs env" "\"env\"" "env \\\n  -0" "x=env; $x" "sh -c 'env FOO=1 | sort'" "sh -c \"echo $x\"" "trap \"$x\" EXIT"
        "echo \${x@P}" "unset \"$x\"" "read -r \"$x\"" "printf -v \"$x\" y" "export \"$x\"" "declare -g \${x}Flags=1" "outputDev=foo; \${!outputDev}"
        "substituteInPlace a --subst-var \"$x\"" "PS4=\"$x\"" "# the rest\nset"
      ]
    );
    "what names what it reads" = test [ ] (
      builtins.filter (script: (import ../../../nix-lib/text.nix).readsAll script) [
        "env FOO=1 make" "set -e" "set -- a b" "export FOO" "declare -A x" "local x=1" "evaluate x" "retrieval" "./x" "cp x ." "a . b"
        "concatTo x fooFlags" "[ -v foo ]" "\${!outputDev}/x" "\${!foo[@]}" "environment" "sed -i 's/os.environ/x/' a.py" "a set of things" "set +x" "printenvx"
        "env FOO=$(pwd) make" "env FOO=\"a b\" make" "export FOO=\"$x -L$y\"" "export FOO" "unset x" "read -r x <<< \"$y\"" "printf -v x %s \"$y\"" "sh -c 'echo $x'"
        "trap 'rm $x' EXIT" "$CC -o a a.c" "\"$CC\" a.c; export FOO=1; set -e" "cd source" "make # build the whole set" "# the whole set" "grep -v \"$x\" a" "command -v \"$x\""
        "substituteInPlace a --replace-fail /usr/bin/env x --replace-fail \"set -e\" \"source x\"" "for output in $outputs; do echo \${!output}; done" "unzip $src -d source" "echo \"export FOO=$x\" >env.sh"
      ]
    );

    "trust is one of three" = test true (fails (asked { trust = "bold"; } { }));
    "strict holds back scripts alone" = test [ [ "unpack" "configure" "build" "install" "finish" ] [ "install" "finish" ] ] (
      let result = asked { trust = "strict"; } { installFlags = [ "x" ]; outputs = [ "out" ]; };
      in map (name: getting name result) [ "installFlags" "postInstall" ]
    );
    "text gives an attribute of the package's own to the first script that mentions it" = test [ "install" "finish" ] (
      getting "manualFormat" (asked { trust = "text"; } { manualFormat = "html"; postInstall = "echo $manualFormat"; })
    );
    "to the first of several" = test [ "build" "install" "finish" ] (
      getting "manualFormat" (asked { trust = "text"; } { manualFormat = "html"; postInstall = "$manualFormat"; preBuild = "$manualFormat"; })
    );
    "through another" = test [ "install" "finish" ] (
      getting "manualFormat" (asked { trust = "text"; } { manualFormat = "html"; manualName = "x.$manualFormat"; postInstall = "$manualName"; })
    );
    "to all stages where no script mentions it" = test (stageNames base) (
      getting "manualFormat" (asked { trust = "text"; } { manualFormat = "html"; })
    );
    "to all stages where a program may read it from its environment" = test (stageNames base) (
      getting "RUSTFLAGS" (asked { trust = "text"; } { RUSTFLAGS = "-g"; postInstall = "echo $RUSTFLAGS"; })
    );
    "and is named to the stages before" = test true (
      builtins.match ".* manualFormat .*" " ${option "later" (asked { trust = "text"; } { manualFormat = "html"; postInstall = "$manualFormat"; }).phases.build} " != null
    );
    "contract does not" = test (stageNames base) (
      getting "manualFormat" (with' { manualFormat = "html"; postInstall = "echo $manualFormat"; })
    );

    "text knows inputs that are late" = test [ [ ] [ "make-wrapper-hook" ] ] (
      let result = asked { trust = "text"; } { nativeBuildInputs = [ wrapper ]; };
      in map (stage: map (input: input.pname) result.phases.${stage}.drvAttrs.nativeBuildInputs) [ "build" "install" ]
    );
    "but not where an earlier script uses them" = test [ "make-wrapper-hook" ] (
      let result = asked { trust = "text"; } { nativeBuildInputs = [ wrapper ]; preBuild = "wrapProgram x"; };
      in map (input: input.pname) result.phases.build.drvAttrs.nativeBuildInputs
    );
    "contract gives every stage all inputs" = test [ "make-wrapper-hook" ] (
      map (input: input.pname) (with' { nativeBuildInputs = [ wrapper ]; }).phases.unpack.drvAttrs.nativeBuildInputs
    );
    "the user's late inputs, by nixpkgs' name" = test [ [ ] [ "make-wrapper-hook" ] ] (
      let result = asked { lateInputs.finish = [ "makeWrapper" ]; } { nativeBuildInputs = [ wrapper ]; };
      in map (stage: map (input: input.pname) result.phases.${stage}.drvAttrs.nativeBuildInputs) [ "install" "finish" ]
    );
    "a late input that is none" = test true (fails (asked { lateInputs.install = [ "hello" ]; } { nativeBuildInputs = [ wrapper ]; }));
    "its commands are named to the stages before" = test [ true true ] (
      let result = asked { lateInputs.install = [ "makeWrapper" ]; } { nativeBuildInputs = [ wrapper ]; };
      in [
        (builtins.match ".* wrapProgram=makeWrapper .*" " ${option "later" result.phases.build} " != null)
        (builtins.match ".* wrapProgram=makeWrapper .*" " ${option "given" result.phases.install} " != null)
      ]
    );

    "at text they are named whether the package has them or not" = test [ "install" "finish" ] (
      let
        having = asked { trust = "text"; } { nativeBuildInputs = [ wrapper ]; };
        empty = asked { trust = "text"; } { nativeBuildInputs = [ ]; };
      in
      builtins.filter (name: empty.phases ? ${name} && empty.phases.${name}.drvPath != having.phases.${name}.drvPath) names
    );
    "a list of phases is no script that reads them" = test [ "install" "finish" ] (
      getting "postInstall" (with' { preBuildPhases = [ "postInstall" ]; })
    );

    "the package's own word" = test [ "install" "finish" ] (
      getting "FOO" (splitPackage { inherit engines; package = make (attributes // { FOO = "1"; }) // { phasesplit.scope.FOO = "install"; }; })
    );
    "the caller's word wins" = test [ "build" "install" "finish" ] (
      getting "FOO" (splitPackage {
        inherit engines;
        scope.FOO = "build";
        package = make (attributes // { FOO = "1"; }) // { phasesplit.scope.FOO = "install"; };
      })
    );
    "a word that phasesplit does not know" = test true (
      fails (splitPackage { inherit engines; package = make attributes // { phasesplit.scopes.FOO = "install"; }; })
    );

    "the plan" = test {
      stage = "configure";
      phases = [ "configurePhase" ];
      attributes = [ "configureFlags" "postInstall" "preConfigure" ];
      inputs = [ ];
      moved.postInstall = { from = "install"; by = "preConfigure"; };
    } (builtins.elemAt (with' { preConfigure = "echo $postInstall"; }).phasesplit.plan 1);
    "the plan says what the user said" = test { installFlags = { from = "install"; by = "scope"; }; } (
      builtins.elemAt (withScope { installFlags = "configure"; } { installFlags = "x"; }).phasesplit.plan 1
    ).moved;
    "the plan says which hook" = test "the hook of cmake" (
      (builtins.elemAt (with' { nativeBuildInputs = [ (make attributes // { pname = "cmake"; }) ]; }).phasesplit.plan 1).moved.buildPhase.by
    );

    "a cut stage has its part of the script" = test [ null "make one\n" "make two\n" "make one\nmake two\n" "make one\nmake two\n" ] (
      map (stage: stage.drvAttrs.buildPhase or null) (builtins.tail (cutAt 9 "make one\nmake two\n").chain)
    );
    "an edit behind the cut leaves the stages before it alone" = test [ "build" "install" "finish" ] (
      let
        before = cutAt 9 "make one\nmake two\n";
        after = cutAt 9 "make one\nmake three\n";
      in
      builtins.filter (name: before.phases.${name}.drvPath != after.phases.${name}.drvPath) (stageNames before)
    );
    "an edit before the cut is refused" = test true (fails (cutAt 9 "make uno\nmake two\n"));
    "a script that became shorter than its first part" = test true (fails (cutAt 9 "make"));
    "what only the second part mentions comes with it" = test [ "build" "install" "finish" ] (
      getting "installFlags" (cutAt 9 "make one\nmake $installFlags\n")
    );
    "unpackPhase cannot be cut" = test true (
      fails (splitPackage {
        inherit engines;
        package = make (attributes // { unpackPhase = "a\nb\n"; });
        chain = [
          { stage = "unpack-1"; phases = [ "unpackPhase" ]; until = { phase = "unpackPhase"; length = 2; sha256 = builtins.hashString "sha256" "a\n"; }; }
          { stage = "unpack"; phases = [ "unpackPhase" ]; }
          { stage = "finish"; phases = [ ]; }
        ];
      })
    );

    "a pin takes the place of its stage and those before" = test [ "install" "finish" ] (stageNames pinned);
    "and is the parent of the next" = test [ state state ] (
      map (name: option name pinned.phases.install) [ "parent" "pinned" ]
    );
    "every stage behind it knows" = test state (option "pinned" pinned.phases.finish);
    "a pin of finish" = test true (fails (asked { pin = { stage = "finish"; inherit state; }; } { }));
    "no pin, no word of it" = test null (option "pinned" base.phases.finish);

    "names held back are named to the runtime" = test true (
      builtins.match ".* postInstall .*" " ${option "later" base.phases.build} " != null
    );
    "but not in the stage that has them" = test null (
      builtins.match ".* postInstall .*" " ${option "later" base.phases.install} "
    );
    "what is new in a stage is named" = test "installPhase postInstall" (
      option "given" (splitPackage { inherit engines; package = make (removeAttrs attributes [ "checkPhase" ]); }).phases.install
    );

    "a stage has the state as its one output" = test [ "out" ] base.phases.build.outputs;
    "finish has the package's" = test [ "out" "dev" ] base.outputs;
    "a stage's name" = test "tiny-1.0-phase-build" base.phases.build.name;
    "a stage's name is cut where Nix would refuse it" = test 207 (
      builtins.stringLength (with' { name = long 207; }).phases.configure.name
    );
    "a stage's name that just fits" = test "${long 193}-phase-install" (with' { name = long 193; }).phases.install.name;
    "the package's name is not in a stage's arguments" = test [ ] (
      builtins.filter (word: builtins.match ".*tiny.*" word != null) (map toString base.phases.build.drvAttrs.args)
    );
    "finish keeps the name" = test "tiny-1.0" base.name;
    "finish is the whole" = test base.drvPath base.phases.finish.drvPath;
    "staged prefixes are as long as the paths" = test (map builtins.stringLength [ base.outPath base.dev.outPath ]) (
      map (word: builtins.stringLength (builtins.elemAt (builtins.split "=" word) 2)) (
        builtins.filter builtins.isString (builtins.split " " (option "outputs" base.phases.build))
      )
    );
    "staged prefixes differ in their first character and the hash's last" = test true (
      let
        ends = map (word: let hash = builtins.substring 11 32 (builtins.elemAt (builtins.split "=" word) 2); in {
          first = builtins.substring 0 1 hash;
          last = builtins.substring 31 1 hash;
        }) (builtins.filter builtins.isString (builtins.split " " (option "outputs" base.phases.build)));
        a = builtins.elemAt ends 0;
        b = builtins.elemAt ends 1;
      in
      a.first != b.first && a.last != b.last
    );
    "a staged prefix does not move with an edit" = test (option "outputs" base.phases.build) (
      option "outputs" (with' { buildPhase = "x"; src = "/y"; }).phases.build
    );
    "placeholders become staged prefixes" = test true (
      let
        result = with' { FOO = [ { a = "x${builtins.placeholder "dev"}y"; } ]; __structuredAttrs = true; };
        staged = builtins.elemAt (builtins.match ".*dev=(.*)" (option "outputs" result.phases.build)) 0;
      in
      (builtins.head result.phases.build.drvAttrs.FOO).a == "x${staged}y"
    );
    "but not in finish" = test (builtins.placeholder "dev") (with' { FOO = builtins.placeholder "dev"; }).phases.finish.drvAttrs.FOO;

    "the unsplit package is kept" = test (make attributes).drvPath base.unsplit.drvPath;
    "meta is kept" = test "a test" base.meta.description;
    "an output has what the package has" = test "a test" base.dev.meta.description;
    "overrideAttrs splits again" = test [ "install" "finish" ] (changed (base.overrideAttrs (old: { postInstall = "x"; })));

    "merged stages" = test [ "build" "finish" ] (
      stageNames (splitPackage {
        inherit engines;
        package = make attributes;
        chain = [
          { stage = "build"; phases = [ "unpackPhase" "patchPhase" "configurePhase" "buildPhase" ]; }
          { stage = "finish"; phases = [ "checkPhase" "installPhase" "fixupPhase" "installCheckPhase" "distPhase" ]; }
        ];
      })
    );

    "buildCommand is refused" = test true (fails (with' { buildCommand = "x"; }));
    "a fixed output is refused" = test true (fails (with' { outputHash = "x"; outputHashAlgo = "sha256"; }));
    "no stdenv is refused" = test true (fails (splitPackage { inherit engines; package = make (removeAttrs attributes [ "stdenv" ]); }));
    "another builder is refused" = test true (fails (with' { args = [ "-c" "true" ]; }));
    "succeedOnFailure is refused" = test true (fails (with' { succeedOnFailure = true; }));
    "a set is refused" = test true (!(builtins.tryEval (splitPackage { inherit engines; package = { }; })).success);
    "an unknown system is refused" = test true (fails (with' { system = "riscv64-linux"; }));
    "fallback gives the package as it is" = test "x" (
      splitPackage { inherit engines; package = make (attributes // { buildCommand = "x"; }); fallback = true; }
    ).drvAttrs.buildCommand;
  };
in
builtins.filter (case: case.expected != case.actual) (
  map (name: cases.${name} // { inherit name; }) (builtins.attrNames cases)
)
