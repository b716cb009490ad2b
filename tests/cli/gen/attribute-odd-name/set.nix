with import <nixpkgs> { };
{
  "7 zip"."or" = stdenv.mkDerivation { name = "odd-attribute"; };
}
