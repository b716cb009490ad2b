{
  lib,
  rustPlatform,
  fetchurl,
  fetchCargoVendor,
}:

rustPlatform.buildRustPackage (finalAttrs: {
  pname = "hexyl";
  version = "0.16.0";

  src = fetchurl {
    url = "mirror://crates/hexyl/hexyl-${finalAttrs.version}.crate";
    hash = "sha256-Q9Vt0EhytsbUKfGNLgPflfhT/rYYx82L8i0OaFHOXvg=";
  };

  cargoDeps = fetchCargoVendor {
    inherit (finalAttrs) pname version;
    hash = "sha256-3firch/ZtVZejvFfsnnPtt4zdDWbTRKAoZYcutNEX1c=";
  };

  unpackCmd = "tar -xzf $curSrc";

  # They would link the program anew with link-time optimisation, which takes
  # longer than the build.
  doCheck = false;

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    printf abc | "$out/bin/hexyl" --plain | grep -F '61 62 63'
    runHook postInstallCheck
  '';

  meta = {
    description = "Command-line hex viewer";
    homepage = "https://github.com/sharkdp/hexyl";
    license = with lib.licenses; [
      asl20
      mit
    ];
    mainProgram = "hexyl";
  };
})
