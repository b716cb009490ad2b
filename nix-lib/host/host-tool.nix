# A package that stands for programs of the machine: symlinks to /usr/bin, and a setup hook where one is due.
{ lib, system }:
{
  name,
  # Names in /usr/bin, or `name=path` for a program that lies elsewhere.
  programs ? [ name ],
  version ? "host",
  # A script to be sourced by the `setup` of packages that have this one as an input.
  setupHook ? null,
  # Packages that come along with this one as native inputs.
  propagatedBuildInputs ? [ ],
  meta ? { },
  passthru ? { },
}:
derivation {
  inherit system programs propagatedBuildInputs;
  name = if version == "host" then "${name}-host" else "${name}-${version}";
  builder = "/bin/bash";
  args = [ "-eu" ./builders/host-tool.sh ];
  setupHook = if setupHook == null then "" else setupHook;
  preferLocalBuild = true;
  allowSubstitutes = false;
}
// passthru
// {
  inherit version passthru;
  pname = name;
  meta = { mainProgram = name; } // meta;
  override = _: throw "${name} stands for a program of the machine and has no arguments to override";
}
