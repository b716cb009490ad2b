# The splitter: one stdenv package in, a chain of derivations out, one per stage.
#
# Works on `package.drvAttrs`, the attributes that reach `derivation`, so it serves every builder made on
# `mkDerivation` and needs nothing of nixpkgs. The bash side of each contract below is `runtime/`; the Rust side, which
# writes `chain`, is `src/render`.
#
# scopesOf   which stage first gets each attribute and input (scope.nix)
# cutPhases  which part of a script each stage runs (cut.nix)
# runtime    store path of the stage runtime (the concatenated runtime/*.sh)
{ scopesOf, cutPhases, runtime }:

let
  # package     the derivation to split
  # chain       the stages in order, each `{ stage, phases, attributes ? [ ], until ? null }`; the last is always finish.
  #             Entries with `until = { phase, length, sha256 }` end inside that phase, `length` bytes into its script,
  #             whose bytes up to there have that hash; the phase goes on in the next entry.
  # engines     system -> the state engine: a derivation, or its store path as a string
  # trust       how boldly attributes are held back: "strict" (hook and phase scripts alone), "contract" (the table) or
  #             "text" (also what only later scripts mention, and inputs that early stages need not have)
  # scope       attribute name -> stage: the user's word on who gets an attribute first
  # lateInputs  stage -> names of inputs that the stages before it do not get
  # readsAll    a stage that gets every attribute, because something in it may read any
  # pin         { stage, state }: continue from this state of that stage, whatever changed since it was made
  # fallback    true: give back a package that cannot be split as it is, instead of an error
  #
  # trust, scope, lateInputs and readsAll may also stand in the package, as `passthru.phasesplit`.
  splitPackage =
    {
      package,
      engines,
      chain ? [
        { stage = "unpack"; phases = [ "unpackPhase" ]; }
        { stage = "patch"; phases = [ "patchPhase" ]; }
        { stage = "configure"; phases = [ "configurePhase" ]; }
        { stage = "build"; phases = [ "buildPhase" ]; }
        { stage = "check"; phases = [ "checkPhase" ]; }
        { stage = "install"; phases = [ "installPhase" ]; }
        { stage = "finish"; phases = [ "fixupPhase" "installCheckPhase" "distPhase" ]; }
      ],
      trust ? null,
      scope ? { },
      lateInputs ? { },
      readsAll ? null,
      pin ? null,
      fallback ? false,
    }@arguments:

    let
      inherit (builtins)
        all any attrNames concatStringsSep elem elemAt filter foldl' genList head isAttrs isBool isInt isList
        isString length listToAttrs map mapAttrs placeholder removeAttrs replaceStrings split stringLength
        substring tail toJSON typeOf;

      fail = message: throw "phasesplit: ${package.name or "this value"}: ${message}";

      attributes = package.drvAttrs;
      packageName = attributes.name;
      outputs = attributes.outputs or [ "out" ];
      structured = attributes.__structuredAttrs or false;

      # What the environment makes of a value: stdenv tests its switches with `[ -n … ]`.
      truthy = value: if isBool value then value else if isString value then value != "" else if isList value then value != [ ] else isInt value;
      isSet = name: truthy (attributes.${name} or false);
      words = value: if isList value then value else filter (word: isString word && word != "") (split "[ \n\t]+" value);

      # ---- What cannot be split, and why -------------------------------------------------------------------------------

      # bash's own flags come first (`-e`), the package's scripts after them.
      isFlag = argument: isString argument && substring 0 1 argument == "-";
      flagsOf = list: if list != [ ] && isFlag (head list) then [ (head list) ] ++ flagsOf (tail list) else [ ];
      flags = flagsOf (attributes.args or [ ]);
      scripts = genList (index: elemAt attributes.args (index + length flags)) (length (attributes.args or [ ]) - length flags);

      unsplittable =
        if !(isAttrs package && package.type or null == "derivation") then
          "it is ${if isAttrs package then "an attribute set without a derivation" else "a ${typeOf package}"}, not a package; name the attribute that holds the package with -A"
        else if !(package ? drvAttrs) then
          "it does not show the attributes it was made from (drvAttrs), so it cannot be split"
        else if !(attributes ? stdenv) then
          "it is not made with stdenv.mkDerivation (it has no attribute stdenv), so it has no phases"
        else if attributes ? outputHash then
          "it is a fixed-output derivation: Nix knows its content already, there is nothing to reuse"
        else if attributes.__contentAddressed or false || attributes.__impure or false then
          "content-addressed and impure derivations have no output path to relocate to"
        else if isSet "buildCommand" || isSet "buildCommandPath" || elem "buildCommand" (words (attributes.passAsFile or [ ])) then
          "it is one buildCommand (runCommand, writeText and their like), so it has no phases"
        else if isSet "succeedOnFailure" then
          "succeedOnFailure would pass a failed phase on as a good state; remove it"
        else if scripts == [ ] || !(all (flag: elem flag [ "-e" "-u" "-eu" ]) flags) then
          "its builder is not stdenv's (args = ${toJSON (map toString (attributes.args or [ ]))}), so genericBuild may never be called"
        else
          null;

      # ---- Stages ------------------------------------------------------------------------------------------------------

      last = length chain - 1;
      entry = elemAt chain;
      indices = genList (index: index) (length chain);

      declaredPhases = if isSet "phases" then words attributes.phases else null;
      never =
        phase:
        if declaredPhases != null && !(elem phase declaredPhases) then true
        else if phase == "unpackPhase" then isSet "dontUnpack"
        else if phase == "patchPhase" then isSet "dontPatch" || !(any isSet [ "patches" "prePatch" "postPatch" "patchPhase" ])
        else if phase == "configurePhase" then isSet "dontConfigure"
        else if phase == "buildPhase" then isSet "dontBuild"
        else if phase == "checkPhase" then !(isSet "doCheck")
        else if phase == "installPhase" then isSet "dontInstall"
        else false;
      kept = filter (index: index == last || !(all never (entry index).phases)) indices;

      # ---- Scopes ------------------------------------------------------------------------------------------------------

      # The package's own word, and the caller's, which wins.
      own' = package.phasesplit or { };
      unknown = attrNames (removeAttrs own' [ "trust" "scope" "lateInputs" "readsAll" ]);
      own = if unknown == [ ] then own' else fail "passthru.phasesplit has ${concatStringsSep ", " unknown}, which phasesplit does not know; it knows trust, scope, lateInputs and readsAll";
      stagesOf = left: right: attrNames (left // right);
      ownLate = own.lateInputs or { };
      wish = {
        trust = if trust != null then trust else own.trust or "contract";
        scope = (own.scope or { }) // scope;
        lateInputs = listToAttrs (
          map (name: { inherit name; value = (ownLate.${name} or [ ]) ++ (lateInputs.${name} or [ ]); }) (stagesOf ownLate lateInputs)
        );
        readsAll = if readsAll != null then readsAll else own.readsAll or null;
      };

      # A builder script of the package runs in every stage, up to genericBuild. One that must be built first is not read:
      # the runtime checks it.
      isMade = script: any (from: from ? outputs) (builtins.attrValues (builtins.getContext script));
      readScript = file: if builtins.pathExists file then builtins.unsafeDiscardStringContext (builtins.readFile file) else "";
      scriptText =
        script:
        if builtins.isPath script then readScript script
        else if isMade "${script}" then ""
        else readScript (builtins.unsafeDiscardStringContext "${script}");

      cut = cutPhases { inherit attributes chain fail; };
      scopes = scopesOf {
        inherit attributes chain cut outputs wish fail;
        scripts = concatStringsSep "\n" (map scriptText scripts);
      };
      inherit (scopes) scopeOf;

      # ---- Staged prefixes ---------------------------------------------------------------------------------------------

      outputSuffix = output: if output == "out" then "" else "-${output}";
      # Two outputs' hashes differ in their first and last characters, so that no byte at a piece's end can belong to both:
      # relocation refuses what it cannot tell apart.
      alphabet = "0123456789abcdfghijklmnpqrsvwxyz";
      letter = index: substring (index - 32 * (index / 32)) 1 alphabet;
      positionOf = character: head (filter (index: letter index == character) (genList (index: index) 32));
      digitsOf = what: output: substring 1 32 (placeholder "${what}:${packageName}:${output}");
      outputIndex = output: head (filter (index: elemAt outputs index == output) (genList (index: index) (length outputs)));
      prefixOf =
        what: output:
        let
          shifted = at: letter (positionOf (substring at 1 (digitsOf what (head outputs))) + outputIndex output);
          digits = shifted 0 + substring 1 30 (digitsOf what output) + shifted 31;
        in
        "${builtins.storeDir}/${digits}-${packageName}${outputSuffix output}";
      stagedPrefix = prefixOf "phasesplit";
      # Where the outputs lie in a finish that keeps what a failure leaves: relocated as in any finish, but not to the
      # package's own paths, which are not this derivation's to make.
      keptPrefix = prefixOf "phasesplit kept";
      pairs = prefix: concatStringsSep " " (map (output: "${output}=${prefix output}") outputs);

      # Nix substitutes placeholders only in a derivation that has that output; a stage has but its state.
      placeholders = map placeholder outputs;
      substitute =
        paths: value:
        if isString value then replaceStrings placeholders paths value
        else if isList value then map (substitute paths) value
        else if isAttrs value && !(value ? outPath) then mapAttrs (_: substitute paths) value
        else value;

      # Nix takes names of up to 211 characters, ".drv" included; a stage's name is the first to be too long.
      stageName =
        what: stage:
        let suffix = "-${what}-${stage}";
        in substring 0 (211 - 4 - stringLength suffix) packageName + suffix;

      # ---- Derivations -------------------------------------------------------------------------------------------------

      system = attributes.system;
      engine =
        let
          chosen = engines.${system} or (fail "no state engine for ${system} is named here (there is one for ${concatStringsSep ", " (attrNames engines)}); run `phasesplit gen` on a ${system} machine, or add its engine to `engines`");
          present = builtins.pathExists chosen;
          talk = if present then (value: value) else builtins.trace "phasesplit: the state engine ${chosen} is not in the store: asking the substituters for it. If that fails, run `phasesplit gen` again on this machine: it puts the engine there.";
        in
        if isString chosen && !builtins.hasContext chosen then talk (builtins.storePath chosen) else "${chosen}";

      # What makes a stage: the runtime in front of the package's own scripts, and what the runtime is to do. That goes in
      # an attribute, a line for each option, and not in the arguments: whoever looks for a process by the package's name
      # (`pkill -f`) must not find the stage. `later`: the names that the stage searches for, because it is without them.
      stageOptions =
        { later, keepFailed ? false }: index: previous: parent:
        let
          isLast = index == last;
          given = scopes.attributesOf previous index ++ scopes.commandsFor previous index;
        in
        concatStringsSep "\n" (
          [
            "package ${packageName}"
            "stage ${(entry index).stage}"
            "entries ${concatStringsSep "," (map (item: concatStringsSep " " item.phases) chain)}"
            "range ${toString (previous + 1)} ${toString index}"
            "outputs ${pairs stagedPrefix}"
            "later ${concatStringsSep " " later}"
            "given ${if parent == null then "" else concatStringsSep " " given}"
            "directory ${substring 1 32 (placeholder "phasesplit directory:${packageName}")}"
            "scratch ${builtins.storeDir}/${substring 1 32 (placeholder "phasesplit scratch:${packageName}")}-phasesplit"
            "engine ${engine}"
          ]
          ++ (if isLast then [ "finish" ] else [ ])
          ++ (if keepFailed then [ "keep-failed" ] else [ ])
          ++ (if keepFailed && isLast then [ "kept-outputs ${pairs keptPrefix}" ] else [ ])
          ++ (if parent == null then [ ] else [ "parent ${parent}" ])
          ++ (if pin == null then [ ] else [ "pinned ${pinnedState}" ])
        );
      asStage = options: index: previous: parent: {
        args = flags ++ [ runtime ] ++ scripts;
        phasesplitStage = stageOptions options index previous parent;
      };

      heldBackAt = index: filter (name: scopeOf.${name} > index) (attrNames attributes);

      # What a derivation whose one output is a state gets; `what` it is, for its name, and `besides` the attributes that
      # its stage is not to have.
      stageAttributes =
        what: index: besides:
        let
          visible =
            removeAttrs (attributes // scopes.inputsWith index [ ]) (
              heldBackAt index ++ (if index == last then scopes.finishOnly else [ ])
            )
            // besides;
          paths = map (if index == last then keptPrefix else stagedPrefix) outputs;
        in
        mapAttrs (name: value: substitute paths (cut.valueAt name index value)) (removeAttrs visible [ "builder" "args" "stdenv" ])
        // { inherit (attributes) builder stdenv; }
        // {
          name = stageName what (entry index).stage;
          outputs = [ "out" ];
        };

      # ---- What `verify --deep` compares a stage with --------------------------------------------------------------------

      # What Nix itself reads of a derivation: no attribute that a stage could be without.
      ofNix = scopes.finishOnly ++ [
        "allowSubstitutes" "exportReferencesGraph" "impureEnvVars" "outputHash" "outputHashAlgo" "outputHashMode" "preferLocalBuild"
        "requiredSystemFeatures" "unsafeDiscardReferences" "__contentAddressed" "__darwinAllowLocalNetworking" "__impure"
        "__impureHostDeps" "__noChroot" "__propagatedImpureHostDeps" "__sandboxProfile"
      ];

      # The stage once more, from the same state: as it is (`again`), with the values of all that is held back from it
      # (`value`), and with a word in place of each name that may be (`canaries`), whether the package has it or not. `of`
      # gives it some of these alone. Their names make them derivations of their own; the package does not see these names.
      # They do not search for anything: what they may read they have.
      deepOf =
        index: previous: parent:
        let
          isName = word: length (split "=" word) == 1 && !(elem word ofNix);
          names = filter isName (scopes.laterThan index);
          own = filter isName (heldBackAt index);
          inputs = scopes.inputsAfter index;
          canary = name: "zcanaryz${substring 0 24 (builtins.hashString "sha256" "phasesplit canary ${name}")}z";
          # Of the type that the package's own has, so that scripts which expect an array find one.
          shaped =
            name:
            let value = attributes.${name} or null;
            in
            if !structured then canary name
            else if isList value then [ (canary name) ]
            else if isAttrs value && !(value ? outPath) then { canary = canary name; }
            else canary name;
          each = value: names: listToAttrs (map (name: { inherit name; value = value name; }) names);
          make =
            what: besides:
            derivation (stageAttributes "deep-${what}" index besides // asStage { later = [ ]; } index previous parent)
            // { inherit (entry index) stage; };
          values = { names, inputs }: each (name: attributes.${name}) names // (if inputs == [ ] then { } else scopes.inputsWith index inputs);
        in
        {
          inherit own inputs;
          canaries = each canary names;
          again = make "again" { };
          value = make "value" (values { names = own; inherit inputs; });
          canary = make "canary" (each shaped names);
          of = { names ? [ ], inputs ? [ ], canary }: if canary then make "canary" (each shaped names) else make "value" (values { inherit names inputs; });
        };

      # The package's own, but for the scripts of which a stage before has run a part.
      finishAttributes = attributes // mapAttrs (name: _: cut.valueAt name last attributes.${name}) cut.parts;

      # A pin stands for its stage and all before it.
      pinnedAt =
        let index = scopes.stageIndex pin.stage;
        in
        if pin == null then -1
        else if index == null || index == last then fail "pin.stage = \"${pin.stage}\": it must be a stage of the chain before finish"
        else index;
      pinnedState = "${builtins.storePath pin.state}";

      stages =
        foldl'
          (
            { built, previous, parent }:
            index:
            let
              derivation' = derivation (
                (if index == last then finishAttributes else stageAttributes "phase" index { })
                // asStage { later = scopes.laterThan index; } index previous parent
              );
            in
            {
              built = built ++ [
                {
                  derivation = derivation' // { inherit (entry index) stage; };
                  # The same stage from the same state, asked to keep what it leaves if one of its phases fails.
                  failed =
                    derivation (
                      stageAttributes "failed" index { }
                      // asStage { later = scopes.laterThan index; keepFailed = true; } index previous parent
                    )
                    // { inherit (entry index) stage; };
                  deep = deepOf index previous parent;
                  plan = {
                    inherit (entry index) stage phases;
                    attributes = scopes.attributesOf previous index;
                    inputs = scopes.inputsOf previous index;
                    moved = scopes.movedOf previous index;
                  };
                }
              ];
              previous = index;
              parent = derivation';
            }
          )
          {
            built = [ ];
            previous = pinnedAt;
            parent = if pin == null then null else pinnedState;
          }
          (filter (index: index > pinnedAt) kept);

      built = map (stage: stage.derivation) stages.built;
      finish = elemAt built (length built - 1);

      # Everything a caller may read from the package (meta, passthru, pname …) stays; what makes it a derivation is new.
      extras = {
        phases = listToAttrs (map (stage: { name = stage.stage; value = stage; }) built);
        chain = built;
        failed = listToAttrs (map (stage: { name = stage.derivation.stage; value = stage.failed; }) stages.built);
        # Of the stages before finish, which has all.
        deep = listToAttrs (
          map (stage: { name = stage.derivation.stage; value = stage.deep; }) (genList (elemAt stages.built) (length stages.built - 1))
        );
        unsplit = package;
        phasesplit = {
          # What each stage runs, what it is the first to get, and what it gets earlier than the table says: why.
          plan = map (stage: stage.plan) stages.built;
          inherit (scopes) trust;
          pinned = pin;
        };
      }
      // (
        if package ? overrideAttrs then
          { overrideAttrs = change: splitPackage (arguments // { package = package.overrideAttrs change; }); }
        else
          { }
      );
      rest = removeAttrs package ([ "all" "drvAttrs" "drvPath" "outPath" "outputName" "type" "override" ] ++ outputs);
      result = rest // finish // outputSet // extras;
      outputSet = listToAttrs (map (output: { name = output; value = rest // finish.${output} // extras; }) outputs);
    in
    if unsplittable == null then result
    else if fallback then package
    else fail unsplittable;
in
splitPackage
