# Scopes: which stage is the first to get each attribute of the package, and each of its inputs. An edit of one builds
# again from that stage on.
#
# scopes, knownInputs, text   as split.nix gets them
# attributes   the package's drvAttrs
# chain, cut   the entries, and the parts of phases that they run (cut.nix)
# scripts      the text of the package's builder scripts, which run in every stage
# wish         { trust, scope, lateInputs, readsAll } of the user
# fail         message -> an error that names the package
{ scopes, knownInputs, text }:
{ attributes, chain, cut, outputs, scripts, wish, fail }:
let
  inherit (builtins)
    any attrNames concatLists concatStringsSep elem elemAt filter foldl' genList hasAttr head isAttrs
    isBool isInt isList isString length listToAttrs map mapAttrs match parseDrvName split stringLength substring
    unsafeDiscardStringContext;
  inherit (text) isWord mentions;

  words = value: if isList value then value else filter (word: isString word && word != "") (split "[ \n\t]+" value);
  least = one: other: if one < other then one else other;
  names = attrNames attributes;

  # ---- Stages by name --------------------------------------------------------------------------------------------------

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
  knownStage =
    what: name:
    let index = stageIndex name;
    in if index != null then index else fail "${what}: the chain has no such stage; it has ${concatStringsSep ", " (map (item: item.stage) chain)}";

  # ---- What the table and the user say ---------------------------------------------------------------------------------

  trust =
    if elem wish.trust [ "strict" "contract" "text" ] then wish.trust
    else fail "trust is \"strict\", \"contract\" or \"text\", not ${builtins.toJSON wish.trust}";

  # Nix checks these on the outputs of the derivation that has them.
  finishOnly = [
    "allowedReferences" "allowedRequisites" "disallowedReferences" "disallowedRequisites" "outputChecks"
  ];
  isScript = name: match "(pre|post)[A-Z].*|.*Phase" name != null;
  tableRows = stage: filter (name: trust != "strict" || isScript name) (attrNames scopes.${stage});
  # A stage that is cut begins with its first part.
  tableScope =
    listToAttrs (
      concatLists (
        map (
          stage:
          let index = stageIndex stage;
          in if index == null then [ ] else map (name: { inherit name; value = cut.firstOf index; }) (tableRows stage)
        ) (attrNames scopes)
      )
    )
    // listToAttrs (
      concatLists (
        map (
          index:
          map (name: { inherit name; value = cut.firstOf index; }) (
            filter (name: trust != "strict" || isScript name) ((entry index).attributes or [ ])
          )
        ) indices
      )
    )
    // listToAttrs (map (name: { inherit name; value = last; }) finishOnly);

  userScope = mapAttrs (name: stage: knownStage "scope.${name} = \"${stage}\"" stage) wish.scope;

  # ---- Inputs ----------------------------------------------------------------------------------------------------------

  # An input is a derivation, or, in a package read from a .drv, a word of a string: its path.
  inputName = input:
    if isAttrs input then input.pname or (parseDrvName (input.name or "")).name
    else if isString input then
      (parseDrvName (substring 33 211 (baseNameOf (unsafeDiscardStringContext input)))).name
    else "";
  inputLists = [ "nativeBuildInputs" "buildInputs" ];
  inputNames = concatLists (
    map (name: map inputName (words (attributes.${name} or [ ]))) (
      inputLists ++ [ "propagatedNativeBuildInputs" "propagatedBuildInputs" ]
    )
  );
  hasInput = prefix: any (name: substring 0 (stringLength prefix) name == prefix) inputNames;

  # Hooks that read or set an attribute earlier than the table says: the table holds for packages without them. (nixpkgs:
  # the setup hooks of these inputs, and stdenv's multiple-outputs.sh.)
  readByHooks =
    filter ({ there, ... }: there) [
      { there = hasInput "cmake"; stage = "configure"; by = "the hook of cmake"; reads = [ "doCheck" "buildPhase" "enableParallelBuilding" "enableParallelChecking" "enableParallelInstalling" ]; }
      { there = hasInput "meson"; stage = "configure"; by = "the hook of meson"; reads = [ "enableParallelBuilding" "checkPhase" "installPhase" ]; }
      { there = hasInput "waf"; stage = "configure"; by = "the hook of waf"; reads = [ "enableParallelBuilding" "enableParallelInstalling" ]; }
      { there = hasInput "gradle"; stage = "configure"; by = "the hook of gradle"; reads = [ "enableParallelBuilding" "enableParallelChecking" ]; }
      { there = hasInput "meson-python"; stage = "configure"; by = "the hook of meson-python"; reads = [ "pypaBuildFlags" "pipBuildFlags" ]; }
      { there = hasInput "scikit-build-core"; stage = "configure"; by = "the hook of scikit-build-core"; reads = [ "pypaBuildFlags" ]; }
      # It registers a hook after build, while it is sourced, unless the package has an installPhase.
      { there = hasInput "cargo-install-hook"; stage = "unpack"; by = "the hook of cargo-install-hook"; reads = [ "installPhase" ]; }
      { there = outputs != [ "out" ]; stage = "configure"; by = "the hook for several outputs"; reads = [ "installFlags" ]; }
    ];
  hookScope = foldl' (
    found:
    { stage, reads, ... }:
    let index = stageIndex stage;
    in
    found
    // listToAttrs (
      map (
        name:
        let sofar = found.${name} or (tableScope.${name} or 0);
        in { inherit name; value = if stage == "unpack" then 0 else if index == null then sofar else least sofar (cut.firstOf index); }
      ) reads
    )
  ) { } readByHooks;

  # ---- Scopes ----------------------------------------------------------------------------------------------------------

  scriptNames = text.joined scripts;
  passedAsFile = words (attributes.passAsFile or [ ]);
  # The derivation's own machinery is never held back, whatever a table says.
  always = [ "name" "system" "builder" "args" "stdenv" "outputs" "passAsFile" "phases" "__structuredAttrs" "__ignoreNulls" ] ++ passedAsFile;

  # Trust `text`: attributes of the package's own belong to the first script that mentions them. Not those that another
  # program may read from its environment (`RUSTFLAGS`, `npm_config_cache`): a name in camel case is for scripts. Nor what
  # setup reads while it loads, and what Nix itself reads.
  isOwn =
    name:
    match "[a-z][a-z0-9]*[A-Z][A-Za-z0-9]*" name != null
    && match ".*(Inputs|Phases|Hooks|Hook|Outputs|Platforms)|output[A-Z].*|deps[A-Z].*|hardening.*|src.*|impureEnvVars|exportReferencesGraph|preferLocalBuild|allowSubstitutes|requiredSystemFeatures|strictDeps|sourceRoot|setSourceRoot|unpackPhase|unpackCmd|preUnpack|postUnpack|dontUnpack|dontMakeSourcesWritable" name == null
    && !(hasAttr name tableScope || hasAttr name userScope || elem name always)
    && (let value = attributes.${name}; in isString value || isList value || isBool value || isInt value);
  ownNames = if trust == "text" then filter isOwn names else [ ];
  # Behind the last stage: until a script is found that mentions it.
  nowhere = last + 1;

  declared =
    name:
    if elem name always || mentions scriptNames name then 0
    else userScope.${name} or (hookScope.${name} or (tableScope.${name} or (if elem name ownNames then nowhere else 0)));

  textOf =
    value:
    if isString value then value
    else if isList value then concatStringsSep " " (map textOf value)
    else if isAttrs value && !(value ? outPath) then concatStringsSep " " (map (name: textOf value.${name}) (attrNames value))
    else "";
  # Every text that a stage may run, with the attribute it is of. `at` is null where it runs in that attribute's stage.
  reader = name: at: script: rec {
    inherit name at;
    whole = unsafeDiscardStringContext script;
    names = text.joined whole;
    all = text.readsAll whole;
  };
  readers = concatLists (
    map (
      name:
      if hasAttr name cut.parts then map (part: reader name part.index part.text) cut.parts.${name}
      else [ (reader name null (textOf attributes.${name})) ]
    ) (filter (name: !(elem name always || isPhaseList name || name == "shellHook")) names)
  );
  # `shellHook` is run by nix-shell alone. `preBuildPhases` and its like name phases; it is runPhase that reads their texts, where they run.
  isPhaseList = name: match "(pre|post)[A-Za-z]*Phases" name != null;
  runsAt = current: one: if one.at == null then current.${one.name} else one.at;

  # An attribute that the text of an earlier stage mentions goes to that stage. One pass lowers by the scopes so far;
  # passes repeat until nothing moves, because a lowered script may mention more. The user's word stands: the runtime
  # checks it when the stage runs.
  lower =
    current:
    let
      step = mapAttrs (
        name: own:
        if own == 0 || hasAttr name userScope then own
        else
          foldl' (
            lowest: one:
            let at = runsAt current one;
            in if one.name != name && at < lowest && (one.all || mentions one.names name) then at else lowest
          ) own readers
      ) current;
    in
    if step == current then current else lower step;
  # What no script mentions is read by something else, if at all: every stage gets it.
  settle = mapAttrs (_: index: if index == nowhere then 0 else index);
  everything = if wish.readsAll == null then nowhere else knownStage "readsAll = \"${wish.readsAll}\"" wish.readsAll;
  atMost = mapAttrs (_: least everything);
  scopeOf = atMost (lower (settle (lower (listToAttrs (map (name: { inherit name; value = declared name; }) names)))));

  # ---- Late inputs -----------------------------------------------------------------------------------------------------

  # Only where they are a list: the string of a package read from a .drv cannot be taken apart.
  listOf = name: let value = attributes.${name} or [ ]; in if isList value then value else [ ];
  rowsOf = name: filter (key: elem name knownInputs.${key}.names) (attrNames knownInputs);
  # What the user calls an input: the derivation's name, or nixpkgs' attribute.
  isCalled = called: name: called == name || any (key: key == called || elem called knownInputs.${key}.names) (rowsOf name);
  present = concatLists (map (name: map inputName (listOf name)) inputLists);
  userLate = concatLists (
    map (
      stage:
      map (
        called:
        if any (isCalled called) present then { inherit called; index = knownStage "lateInputs.${stage}" stage; }
        else fail "lateInputs.${stage} names ${called}, which is not among the package's inputs: ${concatStringsSep ", " present}"
      ) wish.lateInputs.${stage}
    ) (attrNames wish.lateInputs)
  );
  lateInput =
    name:
    let
      rows = rowsOf name;
      byUser = filter (late: isCalled late.called name) userLate;
      row = knownInputs.${head rows};
      # A script that mentions a command of it, or the list that it is in, has it.
      needs = one: one.all || any (isWord one.whole) row.commands || any (mentions one.names) inputLists;
      index = stageIndex row.stage;
      lowered = foldl' (
        lowest: one: let at = runsAt scopeOf one; in if at < lowest && needs one then at else lowest
      ) index readers;
    in
    if byUser != [ ] then {
      index = (head byUser).index;
      commands = if rows == [ ] then [ "${name}=${name}" ] else commandsIn (head rows);
    }
    else if trust == "text" && rows != [ ] && index != null && !(any (mentions scriptNames) (row.commands ++ inputLists)) then {
      index = least lowered everything;
      commands = commandsIn (head rows);
    }
    else { index = 0; commands = [ ]; };
  late = listToAttrs (map (name: { inherit name; value = lateInput name; }) present);
  lateNames = filter (name: late.${name}.index > 0) (attrNames late);
  # `COMMAND=INPUT`, for the runtime; a row goes by its own name, whichever of its inputs the package has.
  commandsIn = key: map (command: "${command}=${key}") knownInputs.${key}.commands;
  commandsOf = isThere: concatLists (map (name: late.${name}.commands) (filter isThere lateNames));
  # Those that the package may get yet: adding one leaves the stages before it alone.
  absent = if trust != "text" then [ ] else filter (key: !(any (name: elem key (rowsOf name)) present)) (attrNames knownInputs);
  absentCommands =
    index: concatLists (map (key: let at = stageIndex knownInputs.${key}.stage; in if at != null && least at everything > index then commandsIn key else [ ]) absent);

  # ---- Why -------------------------------------------------------------------------------------------------------------

  # The table's word, or what a reader of the table would expect.
  expected = name: if elem name always then null else tableScope.${name} or null;
  because =
    name:
    let
      own = scopeOf.${name};
      hooks = filter ({ reads, ... }: elem name reads) readByHooks;
      mentioning = filter (one: one.name != name && runsAt scopeOf one == own && (one.all || mentions one.names name)) readers;
    in
    if hasAttr name userScope && userScope.${name} == own then "scope"
    else if mentions scriptNames name then "a builder script"
    else if hasAttr name hookScope && hookScope.${name} == own && hooks != [ ] then (head hooks).by
    else if mentioning != [ ] then (head mentioning).name
    else "readsAll";
  # The lists of inputs as entry `index` gets them, with the late ones of these names.
  inputsWith =
    index: names:
    if lateNames == [ ] then { }
    else listToAttrs (
      map (
        name:
        {
          inherit name;
          value = filter (input: late.${inputName input}.index <= index || elem (inputName input) names) (listOf name);
        }
      ) (filter (name: isList (attributes.${name} or null)) inputLists)
    );
in
{
  inherit trust scopeOf stageIndex finishOnly inputsWith;

  # The names that entry `index` is without, whether the package has them or not: otherwise adding an attribute would
  # change every stage before it.
  laterThan =
    index:
    filter (
      name:
      !(hasAttr name scopeOf && scopeOf.${name} <= index)
      && least everything (userScope.${name} or (hookScope.${name} or (tableScope.${name} or scopeOf.${name}))) > index
    ) (attrNames (tableScope // userScope // listToAttrs (map (name: { inherit name; value = 0; }) ownNames)))
    ++ builtins.sort builtins.lessThan (commandsOf (name: late.${name}.index > index) ++ absentCommands index);

  # What the entries after `previous` and up to `index` are the first to get.
  attributesOf = previous: index: filter (name: scopeOf.${name} > previous && scopeOf.${name} <= index) names;
  inputsOf = previous: index: filter (name: late.${name}.index > previous && late.${name}.index <= index) lateNames;
  commandsFor = previous: index: commandsOf (name: late.${name}.index > previous && late.${name}.index <= index);

  # The late inputs that entry `index` is without.
  inputsAfter = index: filter (name: late.${name}.index > index) lateNames;

  # Attributes that an earlier stage gets than the table says: name -> { from, by }.
  movedOf =
    previous: index:
    listToAttrs (
      concatLists (
        map (
          name:
          let from = expected name;
          in if from != null && scopeOf.${name} < from then [ { inherit name; value = { from = (entry from).stage; by = because name; }; } ] else [ ]
        ) (filter (name: scopeOf.${name} > previous && scopeOf.${name} <= index) names)
      )
    );
}
