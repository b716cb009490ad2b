{
  lib,
  stdenv,
  fetchurl,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "zlib";
  version = "1.2.13";

  src = fetchurl {
    url = "mirror://debian/pool/main/z/zlib/zlib_${finalAttrs.version}.dfsg.orig.tar.bz2";
    hash = "sha256-cf63lH48AO8SX4O3mk5Sm94xFx5bq+SLOR8GdY0asKE=";
  };

  outputs = [
    "out"
    "dev"
    "static"
  ];

  # Its configure is hand-written and knows few of autoconf's options.
  setOutputFlags = false;
  dontDisableStatic = true;
  dontAddStaticConfigureFlags = true;
  outputDoc = "dev";
  outputMan = "dev";

  configureFlags = [ "--shared" ];

  enableParallelBuilding = true;
  doCheck = true;

  postInstall = ''
    moveToOutput lib/libz.a "$static"
  '';

  meta = {
    description = "Lossless data-compression library";
    homepage = "https://zlib.net";
    license = lib.licenses.zlib;
    platforms = lib.platforms.all;
  };
})
