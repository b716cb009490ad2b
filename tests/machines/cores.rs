//! Builders that are given different numbers of cores.

use std::fs;

use crate::chain::{builders, outputs};
use crate::machine::{Machines, System};
use crate::support::salt;

#[test]
fn each_stage_has_the_cores_of_its_machine_and_its_state_is_the_same_path() {
    let wanted = [("client", System::Here), ("one", System::Trixie), ("two", System::Sid)];
    let Some(machines) = Machines::start(&wanted) else { return };
    let client = machines.get("client");
    machines.get("one").configure("cores = 1");
    machines.get("two").configure("cores = 3");
    let package = format!(
        r#"{{ stdenv }}:
stdenv.mkDerivation {{
  name = "cores-1";
  salt = "{}";
  dontUnpack = true;
  enableParallelBuilding = true;
  configurePhase = "echo configure $NIX_BUILD_CORES >>cores";
  buildPhase = "echo build $NIX_BUILD_CORES >>cores; export SEEN=$NIX_BUILD_CORES";
  installPhase = "mkdir $out; echo install $NIX_BUILD_CORES $SEEN >>cores; cp cores $out";
}}
"#,
        salt()
    );
    client.write("root/pkg.nix", &package);
    let on = |name: &str, stage: &str, cores: &str| {
        let configuration = format!("{}cores = {cores}\n", builders(&[name]));
        client.build_with(&configuration, &["pkg.nix", "--until", stage]).good()
    };
    on("one", "configure", "7");
    on("two", "build", "7");
    let last = on("one", "finish", "7");
    assert_eq!(last.built(), [("install", "ssh-ng://root@one"), ("finish", "ssh-ng://root@one")]);
    let cores = fs::read_to_string(outputs(client, &last)[0].1.join("cores")).expect("it is there");
    // A builder takes the number of its client where it has that from the protocol, else its own: never that of a state.
    let numbers: Vec<&str> = cores.lines().collect();
    assert_eq!(numbers, ["configure 1", "build 3", "install 1 3"], "{cores}");
    let other = client.build_with("cores = 2\n", &["pkg.nix"]).good();
    assert_eq!((other.paths(), other.built()), (last.paths(), vec![]));
}
