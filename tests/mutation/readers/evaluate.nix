# Nix's side of the cases: each package before and after the edit, unsplit and split.
#
# split   split.nix, as `phasesplit gen` wrote it for package.nix
# host    the host package set
# cases   a JSON file: a list of cases as package.rs writes them
{ split, host, cases }:
let
  package = import split { };
  pkgs = import host { };

  plain = builtins.unsafeDiscardStringContext;
  # A package may be refused at evaluation: then null, and the caller evaluates `raw` for the message.
  attempt =
    value:
    let tried = builtins.tryEval (builtins.deepSeq value value);
    in if tried.success then tried.value else null;
  derivationOf = drv: {
    drv = plain drv.drvPath;
    outputs = map (name: { inherit name; path = plain drv.${name}.outPath; }) drv.outputs;
  };
  splitOf = result: {
    trust = result.phasesplit.trust or null;
    stages = map (stage: { inherit (stage) stage; drv = plain stage.drvPath; path = plain stage.outPath; }) result.chain;
    finish = derivationOf result.phases.finish;
  };

  changeOf =
    case: value: old:
    let
      store = if case.store == null then "" else "${builtins.path { name = "helpers"; path = case.store; }}";
      hook = pkgs.makeSetupHook { name = "reader-hook"; } (builtins.toFile "reader-hook.sh" case.hook);
      given =
        if case.name == "nativeBuildInputs" then map (name: pkgs.${name}) (if value == null then [ ] else value)
        else [ ];
      named = if case.name == "nativeBuildInputs" || value == null then { } else { ${case.name} = value; };
    in
    builtins.mapAttrs (_: text: if builtins.isString text then builtins.replaceStrings [ "@store@" ] [ store ] text else text) case.attributes
    // named
    // {
      src = builtins.path { name = "source"; path = case.source; };
      nativeBuildInputs = (if case.hook == null then [ ] else [ hook ]) ++ given;
    }
    // (if case.builder == null then { } else { builder = builtins.toFile "builder.sh" case.builder; });

  at = case: package.overrideAttrs (old: { passthru = (old.passthru or { }) // { phasesplit = { inherit (case) trust; }; }; });
  resultOf = case: value: {
    unsplit = attempt (derivationOf (package.overrideAttrs (changeOf case value)).unsplit);
    split = attempt (splitOf ((at case).overrideAttrs (changeOf case value)));
  };
  all = builtins.fromJSON (builtins.readFile cases);
in
{
  results = map (case: { before = resultOf case case.before; after = resultOf case case.after; }) all;
  # The packages before the edit, for `phasesplit verify`.
  packages = map (case: (package.overrideAttrs (changeOf case case.before)).unsplit) all;
  raw = map (
    case:
    map (value: ((at case).overrideAttrs (changeOf case value)).phases.finish.drvPath) [ case.before case.after ]
  ) all;
}
