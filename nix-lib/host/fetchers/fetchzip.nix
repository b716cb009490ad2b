# `fetchzip`: an archive, unpacked; its one top directory is the result.
{ lib, system }:
let
  hashOf = import ./hash.nix { inherit lib; };
  resolve = import ./mirrors.nix { inherit lib; };
in
{
  url ? "",
  urls ? [ ],
  name ? "source",
  stripRoot ? true,
  extension ? "",
  postFetch ? "",
  meta ? { },
  passthru ? { },
  ...
}@args:
let
  all = map resolve (lib.optional (url != "") url ++ urls);
in
derivation (
  hashOf (args // { inherit name; })
  // {
    inherit name system postFetch;
    urls = all;
    unpack = "1";
    stripRoot = if stripRoot then "1" else "";
    archive = if extension != "" then "archive.${extension}" else baseNameOf (builtins.head all);
    outputHashMode = "recursive";
    builder = "/bin/bash";
    args = [ "-eu" ./fetch.sh ];
    impureEnvVars = lib.fetchers.proxyVariables;
    preferLocalBuild = true;
  }
)
// {
  inherit meta passthru;
  url = builtins.head all;
  urls = all;
}
// passthru
