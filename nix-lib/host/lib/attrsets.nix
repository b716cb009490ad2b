# Functions on attribute sets.
lib: {
  inherit (builtins)
    attrNames
    attrValues
    catAttrs
    getAttr
    hasAttr
    intersectAttrs
    isAttrs
    listToAttrs
    mapAttrs
    removeAttrs
    ;

  optionalAttrs = condition: set: if condition then set else { };
  nameValuePair = name: value: { inherit name value; };
  filterAttrs =
    test: set:
    builtins.listToAttrs (
      builtins.concatMap (
        name: lib.optional (test name set.${name}) (lib.nameValuePair name set.${name})
      ) (builtins.attrNames set)
    );
  mapAttrsToList = f: set: map (name: f name set.${name}) (builtins.attrNames set);
  mapAttrs' = f: set: builtins.listToAttrs (lib.mapAttrsToList f set);
  genAttrs = names: f: builtins.listToAttrs (map (name: lib.nameValuePair name (f name)) names);
  attrByPath =
    path: default: set:
    if path == [ ] then
      set
    else if builtins.isAttrs set && set ? ${builtins.head path} then
      lib.attrByPath (builtins.tail path) default set.${builtins.head path}
    else
      default;
  hasAttrByPath =
    path: set:
    path == [ ]
    || (
      builtins.isAttrs set
      && set ? ${builtins.head path}
      && lib.hasAttrByPath (builtins.tail path) set.${builtins.head path}
    );
  getAttrFromPath = path: lib.attrByPath path (throw "no attribute ${builtins.concatStringsSep "." path}");
  setAttrByPath =
    path: value:
    if path == [ ] then value else { ${builtins.head path} = lib.setAttrByPath (builtins.tail path) value; };
  recursiveUpdate =
    left: right:
    if builtins.isAttrs left && builtins.isAttrs right then
      left
      // builtins.mapAttrs (
        name: value: if left ? ${name} then lib.recursiveUpdate left.${name} value else value
      ) right
    else
      right;
  mergeAttrsList = builtins.foldl' (a: b: a // b) { };
  isDerivation = value: value.type or null == "derivation";
  # Which output a consumer means: an attribute of a package, or the package where it has no such output.
  getOutput = output: package: package.${output} or package.out or package;
  getBin = lib.getOutput "bin";
  getLib = lib.getOutput "lib";
  getDev = lib.getOutput "dev";
  getMan = lib.getOutput "man";
  recurseIntoAttrs = set: set // { recurseForDerivations = true; };
  dontRecurseIntoAttrs = set: set // { recurseForDerivations = false; };
  toDerivation = x: x;
}
