# A package that is a setup hook and nothing else.
{ lib, system }:
{
  name ? "hook",
  propagatedBuildInputs ? [ ],
  # `@name@` in the script becomes the value.
  substitutions ? { },
  passthru ? { },
  meta ? { },
}:
script:
let
  names = builtins.attrNames substitutions;
  text = builtins.replaceStrings (map (n: "@${n}@") names) (map (n: "${substitutions.${n}}") names) (
    builtins.readFile script
  );
in
derivation {
  inherit name system propagatedBuildInputs;
  programs = [ ];
  builder = "/bin/bash";
  args = [ "-eu" ./builders/host-tool.sh ];
  setupHook = if names == [ ] then script else "";
  # Not `toFile`: a value may be a package that has to be built first.
  hookText = if names == [ ] then "" else text;
  passAsFile = [ "hookText" ];
  preferLocalBuild = true;
  allowSubstitutes = false;
}
// passthru
// {
  inherit meta passthru;
  pname = name;
  version = "host";
}
