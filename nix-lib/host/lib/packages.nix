# `callPackage` and the overriding of package functions.
lib:
let
  argsOf = f: if f ? __functor then f.__functionArgs or (builtins.functionArgs (f.__functor f)) else builtins.functionArgs f;
in
{
  functionArgs = argsOf;
  setFunctionArgs = f: args: {
    __functor = _: f;
    __functionArgs = args;
  };
  isFunction = f: builtins.isFunction f || (f ? __functor && lib.isFunction (f.__functor f));
  mirrorFunctionArgs = f: lib.flip lib.setFunctionArgs (argsOf f);

  # The result of `f args`, able to be made again with other arguments through `.override`.
  makeOverridable =
    f:
    let
      overridable =
        args:
        let
          result = f args;
          with_ = new: args // (if builtins.isFunction new then new args else new);
          again = new: lib.makeOverridable f (with_ new);
        in
        if builtins.isAttrs result then
          result
          // {
            override = again;
            overrideDerivation = change: lib.makeOverridable (a: lib.overrideDerivation (f a) change) args;
          }
          // lib.optionalAttrs (result ? overrideAttrs) {
            overrideAttrs =
              change: lib.makeOverridable (a: (f a).overrideAttrs change) args;
          }
        else
          result;
    in
    lib.setFunctionArgs overridable (argsOf f);

  # A derivation with changed final arguments, behind `mkDerivation`'s back.
  overrideDerivation =
    drv: change:
    let
      changed = derivation (drv.drvAttrs // change drv);
    in
    drv // changed;

  callPackageWith =
    scope: packageOrFile: given:
    let
      f = if lib.isFunction packageOrFile then packageOrFile else import packageOrFile;
      wanted = argsOf f;
      missing = builtins.filter (name: !(wanted.${name} || scope ? ${name} || given ? ${name})) (
        builtins.attrNames wanted
      );
      where = if lib.isFunction packageOrFile then "a package function" else toString packageOrFile;
    in
    if !(lib.isFunction f) then
      f
    else if missing != [ ] then
      throw "${where} asks for ${builtins.concatStringsSep ", " missing}, which the host package set does not have; give it in the second argument of callPackage"
    else
      lib.makeOverridable f (builtins.intersectAttrs wanted scope // given);

  callPackagesWith = lib.callPackageWith;

  # A set of packages that see each other and can be extended.
  makeScope =
    newScope: f:
    let
      self = f self // {
        newScope = scope: newScope (self // scope);
        callPackage = self.newScope { };
        overrideScope = overlay: lib.makeScope newScope (lib.extends overlay f);
        packages = f;
      };
    in
    self;

  # A builder on top of another builder, whose own arguments may be a function of `finalAttrs`.
  extendMkDerivation =
    {
      constructDrv,
      excludeDrvArgNames ? [ ],
      extendDrvArgs,
      inheritFunctionArgs ? true,
      transformDrv ? (drv: drv),
    }:
    args:
    transformDrv (
      constructDrv (
        final:
        let
          own = if builtins.isFunction args then args final else args;
        in
        removeAttrs own excludeDrvArgNames // extendDrvArgs final own
      )
    );
}
