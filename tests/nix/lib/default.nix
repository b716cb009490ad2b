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
      find = list: if builtins.head list == option then builtins.elemAt list 1 else find (builtins.tail list);
    in
    find stage.drvAttrs.args;
  fails = value: !(builtins.tryEval (builtins.seq value.drvPath value)).success;

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
    "names held back are named to the runtime" = test true (
      builtins.match ".* postInstall .*" " ${option "--later" base.phases.build} " != null
    );
    "but not in the stage that has them" = test null (
      builtins.match ".* postInstall .*" " ${option "--later" base.phases.install} "
    );
    "what is new in a stage is named" = test "installPhase postInstall" (
      option "--given" (splitPackage { inherit engines; package = make (removeAttrs attributes [ "checkPhase" ]); }).phases.install
    );

    "a stage has the state as its one output" = test [ "out" ] base.phases.build.outputs;
    "finish has the package's" = test [ "out" "dev" ] base.outputs;
    "a stage's name" = test "tiny-1.0-phase-build" base.phases.build.name;
    "a stage's name is cut where Nix would refuse it" = test 207 (
      builtins.stringLength (with' { name = long 207; }).phases.configure.name
    );
    "a stage's name that just fits" = test "${long 193}-phase-install" (with' { name = long 193; }).phases.install.name;
    "files of exportReferencesGraph are named to the runtime" = test "one two" (
      option "--nix-files" (with' { exportReferencesGraph = [ "one" "/a" "two" "/b" ]; }).phases.build
    );
    "but not with structured attributes" = test "" (
      option "--nix-files" (with' {
        __structuredAttrs = true;
        exportReferencesGraph.one = [ "/a" ];
      }).phases.build
    );
    "finish keeps the name" = test "tiny-1.0" base.name;
    "finish is the whole" = test base.drvPath base.phases.finish.drvPath;
    "staged prefixes are as long as the paths" = test (map builtins.stringLength [ base.outPath base.dev.outPath ]) (
      map (word: builtins.stringLength (builtins.elemAt (builtins.split "=" word) 2)) (
        builtins.filter builtins.isString (builtins.split " " (option "--outputs" base.phases.build))
      )
    );
    "staged prefixes differ in their first character and the hash's last" = test true (
      let
        ends = map (word: let hash = builtins.substring 11 32 (builtins.elemAt (builtins.split "=" word) 2); in {
          first = builtins.substring 0 1 hash;
          last = builtins.substring 31 1 hash;
        }) (builtins.filter builtins.isString (builtins.split " " (option "--outputs" base.phases.build)));
        a = builtins.elemAt ends 0;
        b = builtins.elemAt ends 1;
      in
      a.first != b.first && a.last != b.last
    );
    "a staged prefix does not move with an edit" = test (option "--outputs" base.phases.build) (
      option "--outputs" (with' { buildPhase = "x"; src = "/y"; }).phases.build
    );
    "placeholders become staged prefixes" = test true (
      let
        result = with' { FOO = [ { a = "x${builtins.placeholder "dev"}y"; } ]; __structuredAttrs = true; };
        staged = builtins.elemAt (builtins.match ".*dev=(.*)" (option "--outputs" result.phases.build)) 0;
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
