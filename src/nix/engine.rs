//! The objects phasesplit itself puts into the store: the state engine and the host package set.
//!
//! Owns where they come from and their store paths, which need no Nix. Must not know about roots
//! (`gcroot` keeps what this adds). `build.rs` is the other side: it embeds both as NARs.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix_archive::nar::{self, CaseHack};

use super::error::{Cause, NixError};
use super::store_path::{self, StorePathError};
use super::{Nix, store};

/// The version in the engine's store name: its own, which no release of phasesplit changes. Every state depends on the
/// engine's path.
const ENGINE_VERSION: &str = phasesplit_state::format::ENGINE;

/// Names an engine to use instead of the embedded one (for work on the engine itself).
pub const ENGINE_VARIABLE: &str = "PHASESPLIT_STATE";

/// The Nix name of the machine this program was built for, for which its engine works.
pub const SYSTEM: &str = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    "x86_64-linux"
} else if cfg!(all(target_os = "linux", target_arch = "aarch64")) {
    "aarch64-linux"
} else if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
    "aarch64-darwin"
} else if cfg!(all(target_os = "macos", target_arch = "x86_64")) {
    "x86_64-darwin"
} else {
    "unknown"
};

/// A NAR that `build.rs` put into the program.
struct Embedded {
    nar: &'static [u8],
    sha256: [u8; 32],
}

mod embedded {
    use super::Embedded;
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// An object that can be added to the store, with its path known beforehand.
#[derive(Debug)]
pub struct StoreObject {
    name: String,
    sha256: [u8; 32],
    content: Content,
}

#[derive(Debug)]
enum Content {
    Nar(&'static [u8]),
    Program(PathBuf),
}

/// Why there is no object to add.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A build without an embedded engine, and none beside it.
    #[error(
        "this phasesplit was built without its state engine, and there is no `phasesplit-state` beside it ({looked_at})"
    )]
    NoEngine {
        /// The path that was tried.
        looked_at: PathBuf,
    },
    /// The engine's file cannot be read.
    #[error("cannot read the state engine {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A build without `nix-lib/host`.
    #[error("this phasesplit was built without its host package set")]
    NoHost,
}

impl EngineError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::NoEngine { .. } => {
                format!("build it with `make`, which embeds the engine, or name one with {ENGINE_VARIABLE}=PATH")
            }
            Self::Read { .. } => {
                format!("check the file, or unset {ENGINE_VARIABLE} to use the embedded engine")
            }
            Self::NoHost => "build it from a complete checkout with `make`".to_owned(),
        }
    }
}

/// The state engine: the one [`ENGINE_VARIABLE`] names, else the embedded one, else the
/// `phasesplit-state` beside this program.
///
/// # Errors
/// Where there is none, or the named file cannot be read.
pub fn engine() -> Result<StoreObject, EngineError> {
    let name = format!("phasesplit-state-{ENGINE_VERSION}");
    let named = std::env::var_os(ENGINE_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = named {
        return StoreObject::program(name, path);
    }
    if let Some(engine) = &embedded::ENGINE {
        return Ok(StoreObject { name, sha256: engine.sha256, content: Content::Nar(engine.nar) });
    }
    let beside = std::env::current_exe().map(|exe| beside(&exe)).unwrap_or_default();
    if beside.is_file() {
        return StoreObject::program(name, beside);
    }
    Err(EngineError::NoEngine { looked_at: beside })
}

/// `phasesplit-state` in the directory of `program`; test programs lie one directory deeper.
fn beside(program: &Path) -> PathBuf {
    let directory = program.parent().unwrap_or(Path::new("."));
    let here = directory.join("phasesplit-state");
    if !here.exists() && directory.ends_with("deps") { directory.with_file_name("phasesplit-state") } else { here }
}

/// The host package set: a directory that is imported as a package set.
///
/// # Errors
/// Where this program was built without it.
pub fn host_set() -> Result<StoreObject, EngineError> {
    let host = embedded::HOST.as_ref().ok_or(EngineError::NoHost)?;
    Ok(StoreObject { name: "phasesplit-host".to_owned(), sha256: host.sha256, content: Content::Nar(host.nar) })
}

impl StoreObject {
    fn program(name: String, path: PathBuf) -> Result<Self, EngineError> {
        match store_path::nar_sha256_of_file(&path, true) {
            Ok(sha256) => Ok(Self { name, sha256, content: Content::Program(path) }),
            Err(source) => Err(EngineError::Read { path, source }),
        }
    }

    /// The name part of its store path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its path in the store that the environment names; nothing is read or written for it.
    ///
    /// # Errors
    /// Where `NIX_STORE_DIR` is not a directory that Nix takes.
    pub fn store_path(&self) -> Result<String, StorePathError> {
        store_path::of_nar(&store_path::store_dir(), &self.name, self.sha256)
    }

    /// Adds it to the store where it is not there, and gives its path.
    ///
    /// # Errors
    /// Where Nix is missing or refuses, or puts it elsewhere than computed: a split file names the
    /// computed path, so going on would build with nothing.
    pub fn ensure(&self, nix: &Nix) -> Result<String, NixError> {
        let operation = format!("cannot add {} to the Nix store", self.name);
        let other = |cause| NixError { operation: operation.clone(), command: String::new(), cause };
        let path = self.store_path().map_err(|e| other(Cause::Answer(e.to_string())))?;
        let scratch = tempfile::tempdir().map_err(|e| NixError::io(&operation, e))?;
        let file = scratch.path().join(&self.name);
        self.write(&file).map_err(|e| NixError::io(&operation, e))?;
        let added = store::add(nix, &operation, &file)?;
        if added == path {
            Ok(path)
        } else {
            Err(other(Cause::Answer(format!("Nix added it as {added}, not as {path}"))))
        }
    }

    fn write(&self, file: &Path) -> io::Result<()> {
        match &self.content {
            Content::Nar(bytes) => nar::restore(bytes, file, CaseHack::native()).map_err(io::Error::other),
            Content::Program(path) => {
                fs::copy(path, file)?;
                fs::set_permissions(file, fs::Permissions::from_mode(0o755))
            }
        }
    }
}
