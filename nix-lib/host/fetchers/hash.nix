# The three attributes that fix an output, from the ways in which people write a hash.
{ lib }:
{
  name,
  hash ? "",
  sha256 ? "",
  sha512 ? "",
  sha1 ? "",
  outputHash ? "",
  outputHashAlgo ? "",
  ...
}:
let
  given = lib.filter (h: h.value != "") [
    { algo = ""; value = hash; }
    { algo = "sha256"; value = sha256; }
    { algo = "sha512"; value = sha512; }
    { algo = "sha1"; value = sha1; }
    { algo = outputHashAlgo; value = outputHash; }
  ];
  one = builtins.head given;
  # Subresource integrity: the algorithm is part of the text.
  named = builtins.match "(md5|sha1|sha256|sha512)[-:].*" one.value;
  algo = if named != null then builtins.head named else one.algo;
in
if given == [ ] then
  throw "fetching ${name}: give its hash, for instance hash = lib.fakeHash to be told the right one"
else
  {
    outputHash = one.value;
    outputHashAlgo = algo;
  }
