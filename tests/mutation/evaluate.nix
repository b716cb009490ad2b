# What the mutation test asks Nix about one package, all in one evaluation. `evaluate.rs` is the other side.
#
# split      split.nix, as `phasesplit gen` wrote it
# host       the host package set, for what mutations add
# levels     name -> arguments of split, given to it in `passthru.phasesplit`
# mutations  a file: { pkgs, trace }: attribute set of key -> what overrideAttrs gets
{
  split,
  host,
  levels ? "{}",
  mutations ? null,
}:
let
  package = import split { };
  changes =
    if mutations == null then { }
    else import mutations { pkgs = import host { }; trace = import ./trace.nix; };

  plain = builtins.unsafeDiscardStringContext;
  # A mutated package may not evaluate, or phasesplit may refuse it: then null, and the caller asks for the message.
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

  at = arguments: package.overrideAttrs (old: { passthru = (old.passthru or { }) // { phasesplit = (old.passthru.phasesplit or { }) // arguments; }; });
  bases = builtins.mapAttrs (_: at) (builtins.fromJSON levels);
  results = change: {
    unsplit = attempt (derivationOf (package.overrideAttrs change).unsplit);
    split = builtins.mapAttrs (_: base: attempt (splitOf (base.overrideAttrs change))) bases;
  };

  # ---- What there is to mutate -------------------------------------------------------------------------------------------

  given =
    (package.unsplit.overrideAttrs (old: { passthru = (old.passthru or { }) // { mutationArguments = old; }; }))
    .mutationArguments;
  shapeOf =
    value:
    if builtins.isBool value then { kind = "flag"; on = value; }
    else if builtins.isString value then { kind = "text"; text = plain value; }
    else if builtins.isInt value then { kind = "number"; }
    else if builtins.isList value then
      if value != [ ] && builtins.all (item: builtins.isAttrs item || builtins.isPath item) value then { kind = "packages"; }
      else { kind = "words"; count = builtins.length value; }
    else if builtins.isPath value || (builtins.isAttrs value && value ? outPath) then { kind = "package"; }
    else if builtins.isAttrs value then { kind = "set"; }
    else { kind = "other"; };
  own = given.passthru.mutation or { };
in
{
  base = results (old: { });
  mutations = builtins.mapAttrs (_: results) changes;
  attributes = builtins.mapAttrs (_: shapeOf) (removeAttrs (given.env or { } // given // package.unsplit.drvAttrs) [ "passthru" "meta" "env" ]);
  environment = builtins.attrNames (given.env or { });
  reads = own.reads or { };
  add = builtins.attrNames (own.add or { });
  lateInputs = own.lateInputs or { };
}
