{ stdenv }:
stdenv.mkDerivation {
  name = "x"
  src = ./.;
  buildFlags = [ "a" ;
}
