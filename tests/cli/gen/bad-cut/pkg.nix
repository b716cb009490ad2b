{ stdenv, fetchurl, cmake }:

stdenv.mkDerivation {
  name = "plain-1";
  src = fetchurl { url = "mirror://x/plain-1.tar.gz"; hash = ""; };
  nativeBuildInputs = [ cmake ];
  patches = [ ./fix.patch ];
  cmakeFlags = [ "-DX=ON" ];
  makeFlags = [ "V=1" ];
  postInstall = "echo installed";
  dontStrip = true;
  meta.description = "A package";
}
