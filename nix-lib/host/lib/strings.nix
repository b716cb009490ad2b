# Functions on strings, and the flag spellings of common build systems.
lib:
let
  onOff = b: if b then "ON" else "OFF";
  cmakeValue =
    value:
    if builtins.isBool value then onOff value else toString value;
in
{
  inherit (builtins)
    concatStringsSep
    fromJSON
    hashString
    isInt
    isString
    match
    replaceStrings
    split
    stringLength
    substring
    toString
    unsafeDiscardStringContext
    ;

  optionalString = condition: text: if condition then text else "";
  concatStrings = builtins.concatStringsSep "";
  concatMapStrings = f: list: builtins.concatStringsSep "" (map f list);
  concatMapStringsSep =
    separator: f: list:
    builtins.concatStringsSep separator (map f list);
  concatImapStringsSep =
    separator: f: list:
    builtins.concatStringsSep separator (lib.imap1 f list);
  concatLines = list: builtins.concatStringsSep "" (map (line: line + "\n") list);
  intersperse =
    separator: list:
    lib.drop 1 (builtins.concatMap (x: [ separator x ]) list);
  hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
  hasSuffix =
    suffix: text:
    let
      skip = builtins.stringLength text - builtins.stringLength suffix;
    in
    skip >= 0 && builtins.substring skip (-1) text == suffix;
  hasInfix = infix: text: builtins.length (lib.splitString infix text) > 1;
  removePrefix =
    prefix: text:
    if lib.hasPrefix prefix text then
      builtins.substring (builtins.stringLength prefix) (-1) text
    else
      text;
  removeSuffix =
    suffix: text:
    if lib.hasSuffix suffix text then
      builtins.substring 0 (builtins.stringLength text - builtins.stringLength suffix) text
    else
      text;
  splitString =
    separator: text:
    builtins.filter builtins.isString (
      builtins.split (lib.escapeRegex (toString separator)) (toString text)
    );
  escapeRegex = lib.escape (lib.stringToCharacters "\\[{()^$?*+|.");
  escape = characters: builtins.replaceStrings characters (map (c: "\\" + c) characters);
  stringToCharacters =
    text: builtins.genList (i: builtins.substring i 1 text) (builtins.stringLength text);
  toLower = builtins.replaceStrings
    (lib.stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    (lib.stringToCharacters "abcdefghijklmnopqrstuvwxyz");
  toUpper = builtins.replaceStrings
    (lib.stringToCharacters "abcdefghijklmnopqrstuvwxyz")
    (lib.stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  # Single quotes protect everything but the single quote itself.
  escapeShellArg = arg: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] (toString arg)}'";
  escapeShellArgs = lib.concatMapStringsSep " " lib.escapeShellArg;
  trim =
    text:
    let
      parts = builtins.match "[ \t\r\n]*(.*[^ \t\r\n])[ \t\r\n]*" text;
    in
    if parts == null then "" else builtins.head parts;
  fileContents = file: lib.removeSuffix "\n" (builtins.readFile file);
  boolToString = b: if b then "true" else "false";
  boolToYesNo = b: if b then "yes" else "no";

  makeSearchPath =
    subdirectory: paths:
    builtins.concatStringsSep ":" (map (path: "${path}/${subdirectory}") (builtins.filter (x: x != null) paths));
  makeSearchPathOutput =
    output: subdirectory: packages:
    lib.makeSearchPath subdirectory (map (lib.getOutput output) packages);
  makeBinPath = lib.makeSearchPathOutput "bin" "bin";
  makeLibraryPath = lib.makeSearchPathOutput "lib" "lib";
  makeIncludePath = lib.makeSearchPathOutput "dev" "include";

  enableFeature = enable: name: "--${if enable then "enable" else "disable"}-${name}";
  enableFeatureAs =
    enable: name: value:
    lib.enableFeature enable name + lib.optionalString enable "=${value}";
  withFeature = with_: name: "--${if with_ then "with" else "without"}-${name}";
  withFeatureAs =
    with_: name: value:
    lib.withFeature with_ name + lib.optionalString with_ "=${value}";
  cmakeOptionType =
    type: name: value:
    "-D${name}:${type}=${cmakeValue value}";
  cmakeBool = lib.cmakeOptionType "BOOL";
  cmakeFeature = lib.cmakeOptionType "STRING";
  mesonOption = name: value: "-D${name}=${value}";
  mesonBool = name: value: lib.mesonOption name (lib.boolToString value);
  mesonEnable = name: value: lib.mesonOption name (if value then "enabled" else "disabled");
}
