# The splitter: one stdenv package in, a chain of derivations out, one per stage.
#
# Works on `package.drvAttrs`, the attributes that reach `derivation`, so it serves every builder made on
# `mkDerivation` and needs nothing of nixpkgs. The bash side of each contract below is `runtime/`; the Rust side, which
# writes `chain`, is `src/render`.
#
# scopes   attribute set of stage -> attribute name -> where the rule comes from (scopes.nix)
# runtime  store path of the stage runtime (the concatenated runtime/*.sh)
{ scopes, runtime }:

let
  # package   the derivation to split
  # chain     the stages in order, each `{ stage, phases, attributes ? [ ] }`; the last is always finish
  # engines   system -> the state engine: a derivation, or its store path as a string
  # scope     attribute name -> stage: the user's word on who gets an attribute first
  # fallback  true: give back a package that cannot be split as it is, instead of an error
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
      scope ? { },
      fallback ? false,
    }@arguments:

    let
      inherit (builtins)
        all any attrNames concatLists concatStringsSep elem elemAt filter foldl' genList hasAttr head isAttrs isBool
        isInt isList isString length listToAttrs map mapAttrs placeholder removeAttrs replaceStrings split substring tail
        toJSON typeOf;

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
      firstIndex = test: foldl' (found: index: if found == null && test (entry index) then index else found) null indices;

      stageIndex =
        name:
        let
          named = firstIndex (item: item.stage == name);
          # A merged chain has no stage of that name: the entry that runs its boundary phase stands for it.
          running = firstIndex (item: elem "${name}Phase" item.phases);
        in
        if name == "finish" then last else if named != null then named else running;

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

      finishOnly = [
        "allowedReferences" "allowedRequisites" "disallowedReferences" "disallowedRequisites" "outputChecks"
      ];

      # attribute -> index of the first entry that gets it, by the table and by the entries.
      tableScope =
        listToAttrs (
          concatLists (
            map (
              stage:
              let index = stageIndex stage;
              in if index == null then [ ] else map (name: { inherit name; value = index; }) (attrNames scopes.${stage})
            ) (attrNames scopes)
          )
        )
        // listToAttrs (
          concatLists (map (index: map (name: { inherit name; value = index; }) ((entry index).attributes or [ ])) indices)
        )
        // listToAttrs (map (name: { inherit name; value = last; }) finishOnly);
      # Hooks that read or set, in configure, what the table gives to a later stage: the table holds for packages
      # without them. (nixpkgs: the setup hooks of cmake, meson, waf and gradle, and stdenv's multiple-outputs.sh.)
      # An input is a derivation, or, in a package read from a .drv, a word of a string: its path.
      inputName = input:
        if isAttrs input then input.pname or (builtins.parseDrvName (input.name or "")).name
        else if isString input then
          (builtins.parseDrvName (substring 33 211 (baseNameOf (builtins.unsafeDiscardStringContext input)))).name
        else "";
      inputNames = concatLists (
        map (name: map inputName (words (attributes.${name} or [ ]))) [
          "nativeBuildInputs" "buildInputs" "propagatedNativeBuildInputs" "propagatedBuildInputs"
        ]
      );
      hasInput = prefix: any (name: substring 0 (builtins.stringLength prefix) name == prefix) inputNames;
      readInConfigure =
        (if hasInput "cmake" then [ "doCheck" "buildPhase" "enableParallelBuilding" "enableParallelChecking" "enableParallelInstalling" ] else [ ])
        ++ (if hasInput "meson" then [ "enableParallelBuilding" "checkPhase" "installPhase" ] else [ ])
        ++ (if hasInput "waf" then [ "enableParallelBuilding" "enableParallelInstalling" ] else [ ])
        ++ (if hasInput "gradle" then [ "enableParallelBuilding" "enableParallelChecking" ] else [ ])
        ++ (if outputs != [ "out" ] then [ "installFlags" ] else [ ]);
      configureIndex = stageIndex "configure";
      earlier = name: let table = tableScope.${name} or 0; in if configureIndex != null && configureIndex < table then configureIndex else table;
      hookScope = listToAttrs (map (name: { inherit name; value = earlier name; }) readInConfigure);

      userScope = mapAttrs (
        name: stage:
        let index = stageIndex stage;
        in if index != null then index else fail "scope.${name} = \"${stage}\": the chain has no such stage; it has ${concatStringsSep ", " (map (item: item.stage) chain)}"
      ) scope;

      passedAsFile = words (attributes.passAsFile or [ ]);
      # The derivation's own machinery is never held back, whatever a table says.
      always = [ "name" "system" "builder" "args" "stdenv" "outputs" "passAsFile" "phases" "__structuredAttrs" "__ignoreNulls" ] ++ passedAsFile;
      # A builder script of the package runs in every stage, up to genericBuild. One that must be built first is not read:
      # the runtime checks it.
      isMade = script: any (from: from ? outputs) (builtins.attrValues (builtins.getContext script));
      readScript = file: if builtins.pathExists file then builtins.unsafeDiscardStringContext (builtins.readFile file) else "";
      scriptText =
        script:
        if builtins.isPath script then readScript script
        else if isMade "${script}" then ""
        else readScript (builtins.unsafeDiscardStringContext "${script}");
      scriptTexts = concatStringsSep "\n" (map scriptText scripts);
      declaredScope = name: if elem name always || mentions scriptTexts name then 0 else userScope.${name} or (hookScope.${name} or (tableScope.${name} or 0));

      names = attrNames attributes;
      textOf =
        value:
        if isString value then value
        else if isList value then concatStringsSep " " (map textOf value)
        else if isAttrs value && !(value ? outPath) then concatStringsSep " " (map (name: textOf value.${name}) (attrNames value))
        else "";
      mentions = text: name: replaceStrings [ name ] [ "" ] text != text;

      # An attribute that the text of an earlier stage mentions goes to that stage. One pass lowers by the scopes so far;
      # passes repeat until nothing moves, because a lowered script may mention more. The user's word stands: the runtime
      # checks it when the stage runs.
      texts = mapAttrs (_: value: builtins.unsafeDiscardStringContext (textOf value)) (removeAttrs attributes always);
      # A text that reads variables by computed names, or all of them, may read any: its stage gets everything. (stdenv's own
      # `${!outputDev}` and its like name outputs.)
      readsAll = text:
        let plain = replaceStrings [ "\${!output" ] [ "" ] text;
        in any (mentions plain) [
          "\${!" "declare -n" "local -n" "typeset -n" "declare -p" "export -p" "printenv" "envsubst" "compgen" "env |" "env >" "substituteAll"
        ];
      allRead = mapAttrs (_: readsAll) texts;
      lower =
        current:
        let
          step = mapAttrs (
            name: own:
            if own == 0 || hasAttr name userScope then own
            else
              foldl' (
                least: other:
                if other != name && current.${other} < least && (allRead.${other} || mentions texts.${other} name) then current.${other} else least
              ) own (attrNames texts)
          ) current;
        in
        if step == current then current else lower step;
      scopeOf = lower (listToAttrs (map (name: { inherit name; value = declaredScope name; }) names));

      # ---- Staged prefixes ---------------------------------------------------------------------------------------------

      outputSuffix = output: if output == "out" then "" else "-${output}";
      # Two outputs' hashes differ in their first and last characters, so that no byte at a piece's end can belong to both:
      # relocation refuses what it cannot tell apart.
      alphabet = "0123456789abcdfghijklmnpqrsvwxyz";
      letter = index: substring (index - 32 * (index / 32)) 1 alphabet;
      positionOf = character: head (filter (index: letter index == character) (genList (index: index) 32));
      digitsOf = output: substring 1 32 (placeholder "phasesplit:${packageName}:${output}");
      firstDigits = digitsOf (head outputs);
      outputIndex = output: head (filter (index: elemAt outputs index == output) (genList (index: index) (length outputs)));
      stagedPrefix =
        output:
        let
          shifted = at: letter (positionOf (substring at 1 firstDigits) + outputIndex output);
          digits = shifted 0 + substring 1 30 (digitsOf output) + shifted 31;
        in
        "${builtins.storeDir}/${digits}-${packageName}${outputSuffix output}";
      staged = map stagedPrefix outputs;

      # Nix substitutes placeholders only in a derivation that has that output; a stage has but its state.
      placeholders = map placeholder outputs;
      substitute =
        value:
        if isString value then replaceStrings placeholders staged value
        else if isList value then map substitute value
        else if isAttrs value && !(value ? outPath) then mapAttrs (_: substitute) value
        else value;

      # Files that Nix itself writes into each derivation's build directory: every second word (with structured attributes
      # they are in the JSON instead).
      graphWords = if structured then [ ] else words (attributes.exportReferencesGraph or [ ]);
      graphFiles = map (index: elemAt graphWords (2 * index)) (genList (index: index) (length graphWords / 2));

      # Nix takes names of up to 211 characters, ".drv" included; a stage's name is the first to be too long.
      stageName =
        stage:
        let suffix = "-phase-${stage}";
        in substring 0 (211 - 4 - builtins.stringLength suffix) packageName + suffix;

      # ---- Derivations -------------------------------------------------------------------------------------------------

      system = attributes.system;
      engine =
        let
          chosen = engines.${system} or (fail "no state engine for ${system} is named here (there is one for ${concatStringsSep ", " (attrNames engines)}); run `phasesplit gen` on a ${system} machine, or add its engine to `engines`");
          present = builtins.pathExists chosen;
          talk = if present then (value: value) else builtins.trace "phasesplit: the state engine ${chosen} is not in the store: asking the substituters for it. If that fails, run `phasesplit gen` again on this machine: it puts the engine there.";
        in
        if isString chosen && !builtins.hasContext chosen then talk (builtins.storePath chosen) else "${chosen}";

      stageArguments =
        index: previous: parent:
        let
          isLast = index == last;
          later = filter (
            name: !(hasAttr name scopeOf && scopeOf.${name} <= index) && (userScope.${name} or (hookScope.${name} or tableScope.${name})) > index
          ) (attrNames (tableScope // userScope));
          given = filter (name: scopeOf.${name} > previous && scopeOf.${name} <= index) names;
        in
        flags
        ++ [
          runtime
          "--package" packageName
          "--stage" (entry index).stage
          "--entries" (concatStringsSep "," (map (item: concatStringsSep " " item.phases) chain))
          "--range" "${toString (previous + 1)} ${toString index}"
          "--outputs" (concatStringsSep " " (map (output: "${output}=${stagedPrefix output}") outputs))
          "--later" (concatStringsSep " " later)
          "--given" (if parent == null then "" else concatStringsSep " " given)
          "--nix-files" (concatStringsSep " " graphFiles)
          "--directory" (substring 1 32 (placeholder "phasesplit directory:${packageName}"))
          "--engine" engine
        ]
        ++ (if isLast then [ "--finish" ] else [ ])
        ++ (if parent == null then [ ] else [ "--parent" "${parent}" ])
        ++ [ "--" ]
        ++ scripts;

      stageAttributes =
        index:
        let
          visible = removeAttrs attributes (filter (name: scopeOf.${name} > index) names);
        in
        mapAttrs (_: substitute) (removeAttrs visible [ "builder" "args" "stdenv" ])
        // { inherit (attributes) builder stdenv; }
        // {
          name = stageName (entry index).stage;
          outputs = [ "out" ];
        };

      stages =
        foldl'
          (
            { built, previous, parent }:
            index:
            let
              arguments = { args = stageArguments index previous parent; };
              derivation' = derivation ((if index == last then attributes else stageAttributes index) // arguments);
            in
            {
              built = built ++ [ (derivation' // { inherit (entry index) stage; }) ];
              previous = index;
              parent = derivation';
            }
          )
          { built = [ ]; previous = -1; parent = null; }
          kept;

      finish = elemAt stages.built (length stages.built - 1);

      # Everything a caller may read from the package (meta, passthru, pname …) stays; what makes it a derivation is new.
      extras = {
        phases = listToAttrs (map (stage: { name = stage.stage; value = stage; }) stages.built);
        chain = stages.built;
        unsplit = package;
      }
      // (
        if package ? overrideAttrs then
          { overrideAttrs = change: splitPackage (arguments // { package = package.overrideAttrs change; }); }
        else
          { }
      );
      own = removeAttrs package ([ "all" "drvAttrs" "drvPath" "outPath" "outputName" "type" "override" ] ++ outputs);
      result = own // finish // outputSet // extras;
      outputSet = listToAttrs (map (output: { name = output; value = own // finish.${output} // extras; }) outputs);
    in
    if unsplittable == null then result
    else if fallback then package
    else fail unsplittable;
in
splitPackage
