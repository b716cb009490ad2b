{
  lib,
  stdenv,
  fetchurl,
  cmake,
  ninja,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "ninja";
  version = "1.11.1";

  src = fetchurl {
    url = "mirror://debian/pool/main/n/ninja-build/ninja-build_${finalAttrs.version}.orig.tar.gz";
    hash = "sha256-MXR65jMhPx7aOEJob4PCqhQS4PVpHRwU27zGf+dADOo=";
  };

  nativeBuildInputs = [
    cmake
    ninja
  ];

  cmakeFlags = [ "-DBUILD_TESTING=ON" ];

  doCheck = true;
  checkPhase = ''
    runHook preCheck
    ./ninja_test
    runHook postCheck
  '';

  postInstall = ''
    install -Dm444 -t "$out/share/bash-completion/completions" ../misc/bash-completion
    mv "$out/share/bash-completion/completions/"{bash-completion,ninja}
    install -Dm444 ../misc/zsh-completion "$out/share/zsh/site-functions/_ninja"
  '';

  meta = {
    description = "Small build system with a focus on speed";
    homepage = "https://ninja-build.org/";
    license = lib.licenses.asl20;
    mainProgram = "ninja";
    platforms = lib.platforms.unix;
  };
})
