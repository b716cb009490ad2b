# `mkDerivation`: from a package's attributes to the attributes that reach Nix's `derivation`.
#
# Owns: names, inputs, `env`, output checks, `overrideAttrs`, `finalAttrs`, `passthru`, `meta`.
# Must not know: what `setup` does with them. Behaviour: nixpkgs manual, chapters "The Standard Environment" and
# "Fixpoint arguments of mkDerivation".
{ lib, stdenv }:
let
  # Not for the builder: they describe the package or are turned into other attributes.
  notPassed = [
    "args"
    "builder"
    "checkInputs"
    "env"
    "installCheckInputs"
    "meta"
    "nativeCheckInputs"
    "nativeInstallCheckInputs"
    "passthru"
    "pos"
    "realBuilder"
  ];
  outputCheckNames = [
    "allowedReferences"
    "allowedRequisites"
    "disallowedReferences"
    "disallowedRequisites"
  ];
  inputLists = [
    "depsBuildBuild"
    "depsBuildBuildPropagated"
    "nativeBuildInputs"
    "propagatedNativeBuildInputs"
    "depsBuildTarget"
    "depsBuildTargetPropagated"
    "depsHostHost"
    "depsHostHostPropagated"
    "buildInputs"
    "propagatedBuildInputs"
    "depsTargetTarget"
    "depsTargetTargetPropagated"
  ];

  nameOf =
    attrs:
    if attrs ? pname then
      "${attrs.pname}-${attrs.version or (throw "mkDerivation: ${attrs.pname} has a pname and no version")}"
    else
      attrs.name or (throw "mkDerivation: give name, or pname and version");

  # A package's inputs, by list: what a check adds only where the check runs; `null` and nested lists go away.
  inputsOf =
    attrs:
    let
      doCheck = attrs.doCheck or false;
      doInstallCheck = attrs.doInstallCheck or false;
      extra = {
        nativeBuildInputs =
          lib.optionals doCheck (attrs.nativeCheckInputs or [ ])
          ++ lib.optionals doInstallCheck (attrs.nativeInstallCheckInputs or [ ]);
        buildInputs =
          lib.optionals doCheck (attrs.checkInputs or [ ])
          ++ lib.optionals doInstallCheck (attrs.installCheckInputs or [ ]);
      };
    in
    lib.genAttrs inputLists (
      list:
      let
        given = lib.toList (attrs.${list} or [ ]) ++ extra.${list} or [ ];
      in
      map devOutput (builtins.filter (x: x != null) (lib.flatten given))
    );
  # The user who names an output himself (`zlib.static`) means that one.
  devOutput =
    input: if builtins.isAttrs input && !(input.outputSpecified or false) then lib.getDev input else input;

  # `env.X` must be something an environment variable can hold.
  envOf =
    name: attrs:
    lib.mapAttrs (
      variable: value:
      if builtins.isString value || builtins.isBool value || builtins.isInt value || lib.isDerivation value then
        value
      else
        throw "${name}: env.${variable} is a ${builtins.typeOf value}; an environment variable is a string, boolean, integer or package"
    ) (attrs.env or { });

  # With structured attributes Nix reads output checks from `outputChecks` only.
  structuredChecks =
    attrs: outputs:
    let
      ofAll = lib.filterAttrs (name: value: builtins.elem name outputCheckNames && value != null) attrs;
      declared = attrs.outputChecks or { };
    in
    lib.optionalAttrs (ofAll != { } || declared != { }) {
      outputChecks = lib.genAttrs outputs (output: ofAll // (declared.${output} or { }));
    };

  derivationArgs =
    attrs:
    let
      name = nameOf attrs;
      structured = attrs.__structuredAttrs or false;
      outputs = attrs.outputs or [ "out" ];
      env = envOf name attrs;
      clash = builtins.attrNames (builtins.intersectAttrs env attrs);
      parallel = attrs.enableParallelBuilding or false;
    in
    if clash != [ ] then
      throw "${name}: ${builtins.concatStringsSep ", " clash} given both in env and as an attribute"
    else
      removeAttrs attrs (notPassed ++ lib.optionals structured outputCheckNames)
      // inputsOf attrs
      // (if structured then { inherit env; } // structuredChecks attrs outputs else env)
      // {
        inherit name outputs stdenv;
        __ignoreNulls = true;
        system = attrs.system or stdenv.system;
        builder = attrs.realBuilder or stdenv.shell;
        args =
          attrs.args or [
            "-e"
            ./builders/source-stdenv.sh
            (attrs.builder or ./builders/default-builder.sh)
          ];
        patches = attrs.patches or [ ];
        strictDeps = attrs.strictDeps or false;
        doCheck = attrs.doCheck or false;
        doInstallCheck = attrs.doInstallCheck or false;
      }
      // lib.optionalAttrs structured { __structuredAttrs = true; }
      // lib.optionalAttrs parallel {
        enableParallelBuilding = true;
        enableParallelChecking = attrs.enableParallelChecking or true;
        enableParallelInstalling = attrs.enableParallelInstalling or true;
      };

  metaOf =
    attrs: outputs:
    {
      name = nameOf attrs;
      available = true;
      broken = false;
      unfree = false;
      unsupported = false;
      insecure = false;
      outputsToInstall = [ (if builtins.elem "bin" outputs then "bin" else builtins.head outputs) ];
    }
    // (attrs.meta or { });

  # Every output carries what the package carries, so `pkg.dev.meta` and `pkg.dev.overrideAttrs` exist.
  withCommon =
    drv: outputs: common:
    let
      outputOf =
        output:
        drv.${output}
        // common
        // outputSet
        // {
          outputSpecified = true;
        };
      outputSet = lib.genAttrs outputs outputOf // {
        all = map outputOf outputs;
      };
    in
    drv // common // outputSet;

  make =
    rattrs:
    let
      attrs = rattrs (attrs // { inherit finalPackage overrideAttrs; });
      args = derivationArgs attrs;
      overrideAttrs =
        change:
        make (
          final:
          let
            previous = rattrs final;
            applied = if builtins.isFunction change then change previous else change;
          in
          # `previous: { }` and `final: previous: { }` look alike until the first argument is there.
          previous // (if builtins.isFunction applied then change final previous else applied)
        );
      passthru = attrs.passthru or { };
      common = passthru // {
        inherit overrideAttrs passthru;
        tests = passthru.tests or { };
        meta = metaOf attrs args.outputs;
        inputDerivation = derivation (
          removeAttrs args (outputCheckNames ++ [ "outputChecks" "outputHash" "outputHashAlgo" "outputHashMode" ])
          // {
            name = "${args.name}-inputs";
            outputs = [ "out" ];
            args = [
              "-c"
              "export >\"$out\"; exit 0"
            ];
          }
        );
      };
      finalPackage = withCommon (derivation args) args.outputs common;
    in
    finalPackage;
in
fnOrAttrs: make (if builtins.isFunction fnOrAttrs then fnOrAttrs else _final: fnOrAttrs)
