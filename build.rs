//! Embeds what phasesplit puts into the store: the state engine and the host package set.
//!
//! Each becomes one NAR with its SHA-256, so that the store path is known at run time without
//! reading the object again. `PHASESPLIT_STATE_BIN` names the built engine (the Makefile and the
//! flake set it); without it none is embedded and `nix::engine` looks for one beside the program.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use nix_archive::nar::{self, CaseHack};
use sha2::{Digest as _, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PHASESPLIT_STATE_BIN");
    println!("cargo::rerun-if-changed=nix-lib/host");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);

    let mut code = String::new();
    let engine = std::env::var_os("PHASESPLIT_STATE_BIN").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = &engine {
        println!("cargo::rerun-if-changed={}", path.display());
        let program = fs::read(path).map_err(|e| format!("PHASESPLIT_STATE_BIN: {}: {e}", path.display()))?;
        let mut bytes = Vec::new();
        // Executable whatever the file's mode is: it is run from the store.
        nar::encode_regular(&mut bytes, &program, true)?;
        embed(&mut code, &out, "ENGINE", Some(&bytes))?;
    } else {
        embed(&mut code, &out, "ENGINE", None)?;
    }

    let host =
        Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?).join("nix-lib/host");
    let mut bytes = Vec::new();
    let has_host = host.is_dir();
    if has_host {
        nar::encode_path(&mut bytes, &host, CaseHack::Disabled)?;
    }
    embed(&mut code, &out, "HOST", has_host.then_some(&bytes))?;

    fs::write(out.join("embedded.rs"), code)?;
    Ok(())
}

/// Writes `NAME.nar` and adds a `static NAME: Option<Embedded>` for it to `code`.
fn embed(code: &mut String, out: &Path, name: &str, nar: Option<&[u8]>) -> Result<(), Box<dyn Error>> {
    let Some(bytes) = nar else {
        writeln!(code, "pub(super) static {name}: Option<Embedded> = None;")?;
        return Ok(());
    };
    let file = format!("{name}.nar");
    fs::write(out.join(&file), bytes)?;
    writeln!(
        code,
        "pub(super) static {name}: Option<Embedded> = Some(Embedded {{\n    \
             nar: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\")),\n    sha256: {:?},\n}});",
        <[u8; 32]>::from(Sha256::digest(bytes))
    )?;
    Ok(())
}
