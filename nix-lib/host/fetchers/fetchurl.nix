# `fetchurl`: one file. `file://` is read by Nix itself, since a sandboxed build cannot see it.
{ lib, system }:
let
  hashOf = import ./hash.nix { inherit lib; };
  resolve = import ./mirrors.nix { inherit lib; };
in
{
  url ? "",
  urls ? [ ],
  name ? "",
  pname ? "",
  version ? "",
  curlOpts ? "",
  curlOptsList ? [ ],
  executable ? false,
  postFetch ? "",
  meta ? { },
  passthru ? { },
  ...
}@args:
let
  all = map resolve (lib.optional (url != "") url ++ urls);
  fileName =
    if name != "" then
      name
    else if pname != "" then
      "${pname}-${version}"
    else
      # What follows `?` is no part of a file's name, and a store name is choosy about characters.
      builtins.replaceStrings [ "%20" "~" "@" "," "!" ] [ "-" "-" "-" "-" "-" ] (
        builtins.head (builtins.match "([^?#]*).*" (baseNameOf (builtins.head all)))
      );
  fixed = hashOf (args // { name = fileName; });
  common = {
    inherit meta passthru;
    url = builtins.head all;
    urls = all;
  } // passthru;
  local = lib.hasPrefix "file:///" (builtins.head all) && fixed.outputHashAlgo == "sha256" && !executable && postFetch == "";
in
if all == [ ] then
  throw "fetchurl: give url or urls"
else if local then
  common
  // {
    name = fileName;
    outPath = builtins.path {
      name = fileName;
      path = /. + lib.removePrefix "file://" (builtins.head all);
      recursive = false;
      sha256 = fixed.outputHash;
    };
  }
else
  derivation (
    fixed
    // {
      name = fileName;
      inherit system postFetch curlOpts curlOptsList;
      urls = all;
      executable = if executable then "1" else "";
      outputHashMode = if executable then "recursive" else "flat";
      builder = "/bin/bash";
      args = [ "-eu" ./fetch.sh ];
      impureEnvVars = lib.fetchers.proxyVariables;
      preferLocalBuild = true;
    }
  )
  // common
