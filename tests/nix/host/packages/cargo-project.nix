# A cargo project with one vendored crate, a test, and a program.
{ rustPlatform, runCommand }:
let
  checksum = "0000000000000000000000000000000000000000000000000000000000000001";
in
rustPlatform.buildRustPackage {
  pname = "crated";
  version = "0.1.0";
  cargoDeps = runCommand "crated-vendor" { } ''
    mkdir -p "$out/tiny/src"
    cd "$out/tiny"
    printf '[package]\nname = "tiny"\nversion = "1.0.0"\nedition = "2021"\n' >Cargo.toml
    echo 'pub fn value() -> u32 { 7 }' >src/lib.rs
    echo '{"files":{},"package":"${checksum}"}' >.cargo-checksum.json
  '';
  src = runCommand "crated-src" { } ''
    mkdir -p "$out/src"
    cd "$out"
    printf '[package]\nname = "crated"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\ntiny = "1"\n[features]\nloud = []\n' >Cargo.toml
    cat >Cargo.lock <<'EOF'
    version = 3

    [[package]]
    name = "crated"
    version = "0.1.0"
    dependencies = ["tiny"]

    [[package]]
    name = "tiny"
    version = "1.0.0"
    source = "registry+https://github.com/rust-lang/crates.io-index"
    checksum = "${checksum}"
    EOF
    cat >src/main.rs <<'EOF'
    fn main() { println!("{}{}", tiny::value(), if cfg!(feature = "loud") { "!" } else { "" }); }
    #[test]
    fn seven() { assert_eq!(tiny::value(), 7); }
    EOF
  '';
  buildFeatures = [ "loud" ];
  doInstallCheck = true;
  installCheckPhase = ''
    [[ $("$out/bin/crated") == '7!' ]]
  '';
}
