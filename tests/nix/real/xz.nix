{
  lib,
  stdenv,
  fetchurl,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "xz";
  version = "5.4.1";

  src = fetchurl {
    url = "mirror://debian/pool/main/x/xz-utils/xz-utils_${finalAttrs.version}.orig.tar.xz";
    hash = "sha256-XZgnqhh1shwoj3iGS7JtJlC0NuqNLK02Tkkh62JmpaU=";
  };

  outputs = [
    "bin"
    "dev"
    "out"
  ];

  configureFlags = [ "--disable-nls" ];

  enableParallelBuilding = true;
  doCheck = true;

  # The library's directory is no place for manuals.
  postInstall = ''
    rm -rf "$out/share/doc"
  '';

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    echo "round trip" | "$bin/bin/xz" | "$bin/bin/xz" -d | grep -Fx "round trip"
    runHook postInstallCheck
  '';

  meta = {
    description = "General-purpose data compression software, successor of LZMA";
    homepage = "https://tukaani.org/xz/";
    license = with lib.licenses; [
      gpl2Plus
      lgpl21Plus
    ];
    mainProgram = "xz";
    platforms = lib.platforms.all;
  };
})
