{
  lib,
  stdenv,
  fetchurl,
  fetchCargoVendor,
  cargo,
  rustc,
}:

stdenv.mkDerivation (finalAttrs: {
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

  nativeBuildInputs = [
    cargo
    rustc
  ];

  # Beside the sources, so that no crate's path in a panic message makes the
  # program depend on the vendor directory in the store.
  postUnpack = ''
    cp -r --no-preserve=mode "$cargoDeps" "$NIX_BUILD_TOP/vendor"
  '';

  configurePhase = ''
    runHook preConfigure
    export CARGO_HOME=$NIX_BUILD_TOP/cargo-home
    mkdir -p "$CARGO_HOME"
    cat >"$CARGO_HOME/config.toml" <<EOF
    [source.crates-io]
    replace-with = "vendored"
    [source.vendored]
    directory = "$NIX_BUILD_TOP/vendor"
    EOF
    runHook postConfigure
  '';

  buildPhase = ''
    runHook preBuild
    cargo build --release --frozen -j "$NIX_BUILD_CORES"
    runHook postBuild
  '';

  # Finds every crate fresh in target/, or it would compile them again here.
  installPhase = ''
    runHook preInstall
    cargo install --frozen --no-track --path . --root "$out" -j "$NIX_BUILD_CORES"
    runHook postInstall
  '';

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
