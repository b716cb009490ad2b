# Functions on any value, and on functions.
lib: {
  inherit (builtins)
    add
    bitAnd
    div
    functionArgs
    isFunction
    mul
    pathExists
    readFile
    seq
    deepSeq
    sub
    toJSON
    trace
    ;

  id = x: x;
  const = x: _: x;
  flip =
    f: a: b:
    f b a;
  pipe = builtins.foldl' (x: f: f x);
  min = a: b: if a < b then a else b;
  max = a: b: if a > b then a else b;
  mod = a: b: a - b * (a / b);
  importJSON = path: builtins.fromJSON (builtins.readFile path);
  importTOML = path: builtins.fromTOML (builtins.readFile path);
  warn =
    message: value:
    builtins.trace "warning: ${message}" value;
  warnIf = condition: message: if condition then lib.warn message else lib.id;
  throwIf = condition: message: if condition then throw message else lib.id;
  throwIfNot = condition: lib.throwIf (!condition);
  assertMsg = condition: message: condition || throw message;

  # No release of nixpkgs is imitated; packages compare against this to choose modern behaviour.
  version = "25.11";
  trivialRelease = "25.11";
  inNixShell = builtins.getEnv "IN_NIX_SHELL" != "";
}
