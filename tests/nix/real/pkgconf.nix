{
  lib,
  stdenv,
  fetchurl,
  meson,
  ninja,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "pkgconf";
  version = "1.8.1";

  src = fetchurl {
    url = "mirror://debian/pool/main/p/pkgconf/pkgconf_${finalAttrs.version}.orig.tar.xz";
    hash = "sha256-ZENhraKUK+BWVdRFLrAYeRZHwxu6Qpsofx9o3rLcaEA=";
  };

  nativeBuildInputs = [
    meson
    ninja
  ];

  # They need kyua and atf.
  mesonFlags = [ "-Dtests=false" ];

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    "$out/bin/pkgconf" --variable=libdir libpkgconf | grep -Fx "$out/lib"
    runHook postInstallCheck
  '';

  meta = {
    description = "Package compiler and linker metadata toolkit";
    homepage = "https://github.com/pkgconf/pkgconf";
    license = lib.licenses.isc;
    mainProgram = "pkgconf";
    platforms = lib.platforms.all;
  };
})
