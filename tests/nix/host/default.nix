# Pure tests of the host package set: evaluates to the list of failures, `[ ]` is a pass.
# `nix-instantiate --eval --strict tests/nix/host`
let
  pkgs = import ../../../nix-lib/host { system = "x86_64-linux"; };
  inherit (pkgs) lib stdenv;
  fails = value: !(builtins.tryEval (builtins.deepSeq value value)).success;

  basic = stdenv.mkDerivation (finalAttrs: {
    pname = "basic";
    version = "1.0";
    src = ./packages;
    full = "${finalAttrs.pname}/${finalAttrs.version}";
    env.COLOUR = "blue";
    nativeBuildInputs = [
      pkgs.cmake
      null
      [ pkgs.ninja ]
    ];
    nativeCheckInputs = [ pkgs.meson ];
    passthru.answer = 42;
    passthru.self = finalAttrs.finalPackage;
    meta.license = lib.licenses.mit;
    meta.maintainers = with lib.maintainers; [ nobodyAtAll ];
    nothing = null;
  });
  newer = basic.overrideAttrs { version = "2.0"; };
  checked = basic.overrideAttrs (old: {
    doCheck = true;
    extra = old.version;
  });
  twice = newer.overrideAttrs (
    final: previous: {
      pname = previous.pname + "x";
      mine = final.pname;
    }
  );
  many = stdenv.mkDerivation {
    name = "many";
    outputs = [
      "out"
      "dev"
      "bin"
    ];
    passthru.flag = true;
  };
  consumer = stdenv.mkDerivation {
    name = "consumer";
    buildInputs = [
      many
      many.bin
    ];
  };
  structured = stdenv.mkDerivation {
    name = "structured";
    __structuredAttrs = true;
    outputs = [
      "out"
      "lib"
    ];
    env.A = "b";
    allowedReferences = [ "out" ];
    outputChecks.lib.maxSize = 5;
  };
  called = pkgs.callPackage (
    {
      stdenv,
      cmake,
      word ? "default",
      unknown ? null,
    }:
    stdenv.mkDerivation {
      name = "called-${word}";
      inherit unknown;
    }
  ) { };
  overlaid = import ../../../nix-lib/host {
    system = "x86_64-linux";
    overlays = [
      (_final: _previous: { one = 1; })
      (final: previous: {
        two = previous.one + 1;
        late = final.three;
      })
      (_final: _previous: { three = 3; })
    ];
  };
  tests = {
    nameFromParts = basic.name == "basic-1.0" && basic.drvAttrs.pname == "basic";
    finalAttrsSeeThemselves = basic.full == "basic/1.0";
    finalPackage = basic.self.drvPath == basic.drvPath;
    overrideReachesFinalAttrs = newer.full == "basic/2.0" && newer.self.name == "basic-2.0";
    overrideWithOld = checked.extra == "1.0";
    overrideWithFinalAndPrevious = twice.name == "basicx-2.0" && twice.mine == "basicx" && twice.full == "basicx/2.0";
    envIsFlattened = basic.drvAttrs.COLOUR == "blue" && !(basic.drvAttrs ? env);
    envAndAttributeClash = fails (stdenv.mkDerivation { name = "x"; A = 1; env.A = "2"; }).drvPath;
    envOfAList = fails (stdenv.mkDerivation { name = "x"; env.A = [ 1 ]; }).drvPath;
    inputsAreFlat = basic.drvAttrs.nativeBuildInputs == [ pkgs.cmake pkgs.ninja ];
    checkInputsFollowDoCheck = builtins.length checked.drvAttrs.nativeBuildInputs == 3;
    metaIsNotPassed = !(basic.drvAttrs ? meta || basic.drvAttrs ? passthru);
    metaDoesNotMoveTheDerivation = (basic.overrideAttrs { meta.description = "other"; }).drvPath == basic.drvPath;
    passthru = basic.answer == 42 && basic.passthru.answer == 42;
    nullsAreIgnored = (basic.overrideAttrs { nothing = null; other = null; }).drvPath == basic.drvPath;
    builderAndScripts =
      basic.drvAttrs.builder == "/bin/bash"
      && lib.hasSuffix "source-stdenv.sh" (toString (builtins.elemAt basic.drvAttrs.args 1));
    noNameIsAnError = fails (stdenv.mkDerivation { version = "1"; }).drvPath;
    outputsCarryPassthru = many.dev.flag && many.dev.overrideAttrs { } != null && many.dev.outputName == "dev";
    inputsAreDevOutputs = consumer.drvAttrs.buildInputs == [ many.dev many.bin ];
    mainOutput = many.meta.outputsToInstall == [ "bin" ];
    structuredEnv = structured.drvAttrs.env == { A = "b"; };
    structuredChecks =
      structured.drvAttrs.outputChecks.lib == {
        allowedReferences = [ "out" ];
        maxSize = 5;
      }
      && !(structured.drvAttrs ? allowedReferences);
    callPackage = called.name == "called-default";
    override = (called.override { word = "other"; }).name == "called-other";
    overrideThenAttrs = ((called.overrideAttrs { name = "n"; }).override { word = "x"; }).name == "n";
    missingArgument = fails (pkgs.callPackage ({ noSuchPackage }: noSuchPackage) { });
    overlays = overlaid.two == 2 && overlaid.late == 3;
    appendOverlays = (pkgs.extend (_: _: { four = 4; })).four == 4;
    urlName = (pkgs.fetchurl { url = "https://example.org/a/b-1.tar.gz?x=1"; hash = lib.fakeHash; }).name == "b-1.tar.gz";
    mirror = lib.hasPrefix "https://" (pkgs.fetchurl { url = "mirror://gnu/a/a.tar.gz"; sha256 = lib.fakeSha256; }).url;
    unknownMirror = fails (pkgs.fetchurl { url = "mirror://nowhere/a"; hash = lib.fakeHash; }).url;
    fetchWithoutHash = fails (pkgs.fetchurl { url = "https://example.org/a"; }).drvPath;
    hashAlgorithms =
      (pkgs.fetchurl { url = "https://example.org/a"; sha256 = lib.fakeSha256; }).outputHashAlgo == "sha256";
    cargoNeedsCrates = fails (pkgs.rustPlatform.buildRustPackage { pname = "x"; version = "1"; cargoHash = ""; }).drvPath;
    platform = stdenv.hostPlatform.isLinux && stdenv.isLinux && stdenv.hostPlatform.config == "x86_64-unknown-linux-gnu";
    noCompilerIsAnotherSetup = "${pkgs.stdenvNoCC}" != "${stdenv}" && !pkgs.stdenvNoCC.hasCC;
    getExe = lib.getExe pkgs.cmake == "${pkgs.cmake}/bin/cmake";
    makeBinPath = lib.makeBinPath [ pkgs.cmake many ] == "${pkgs.cmake}/bin:${many.bin}/bin";
    escape = lib.escapeShellArg "it's" == "'it'\\''s'";
    split = lib.splitString "." "1.2.3" == [ "1" "2" "3" ];
    versions = lib.versions.majorMinor "1.2.3" == "1.2" && lib.versionAtLeast "1.10" "1.9";
    recursiveUpdate = lib.recursiveUpdate { a.b = 1; } { a.c = 2; } == { a = { b = 1; c = 2; }; };
    trim = lib.trim "  a b \n" == "a b";
    everyPackageEvaluates = builtins.all (p: builtins.isString p.drvPath) (
      builtins.attrValues (import ./builds.nix { })
    );
    # What must exist whether or not the machine can build it.
    everyToolEvaluates = builtins.all (name: builtins.isString pkgs.${name}.drvPath) [
      "autoreconfHook"
      "cargo"
      "cc"
      "copyDesktopItems"
      "installShellFiles"
      "makeWrapper"
      "python3"
      "unzip"
    ];
  };
in
builtins.filter (name: !tests.${name}) (builtins.attrNames tests)
