//! The path an object gets in the store, computed without Nix.
//!
//! Rule (Nix manual, "Store path specification"; `makeStorePath` in Nix's `store-dir-config`): for
//! an object added with `nix-store --add`, the SHA-256 of `source:sha256:<hex of the SHA-256 of its
//! NAR>:<store directory>:<name>`, folded to 20 bytes, in Nix's base 32.

use std::io;
use std::path::Path;

use nix_archive::nar::{self, CaseHack};
use nix_derivation::{CAHash, NixHash, StoreDir};

/// Why a store path cannot be computed.
#[derive(Debug, thiserror::Error)]
pub enum StorePathError {
    /// The store directory (`NIX_STORE_DIR`) is not an absolute path that Nix takes.
    #[error("`{directory}` cannot be a store directory: {reason}")]
    Directory {
        /// The directory as given.
        directory: String,
        /// The rule it breaks.
        reason: String,
    },
    /// The name has characters that Nix does not allow, or is too long.
    #[error("`{name}` cannot name a store path: {reason}")]
    Name {
        /// The name as given.
        name: String,
        /// The rule it breaks.
        reason: String,
    },
    /// The object cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// What was read.
        path: String,
        /// Why not.
        #[source]
        source: nar::Error,
    },
}

/// The directory of the store: `NIX_STORE_DIR` or `NIX_STORE` as Nix reads them, else `/nix/store`.
pub fn store_dir() -> String {
    ["NIX_STORE_DIR", "NIX_STORE"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| "/nix/store".to_owned())
}

/// The path in `store_dir` of an object called `name` whose NAR has this SHA-256.
///
/// # Errors
/// Where the store directory or the name is not one that Nix takes.
pub fn of_nar(store_dir: &str, name: &str, nar_sha256: [u8; 32]) -> Result<String, StorePathError> {
    let dir = StoreDir::new(store_dir)
        .map_err(|e| StorePathError::Directory { directory: store_dir.to_owned(), reason: e.to_string() })?;
    let path = dir
        .build_ca_path(name, &CAHash::Nar(NixHash::Sha256(nar_sha256)), [], false)
        .map_err(|e| StorePathError::Name { name: name.to_owned(), reason: e.to_string() })?;
    Ok(dir.render_path(&path))
}

/// Bytes as Nix writes a hash: its own base 32.
pub fn base32(bytes: &[u8]) -> String {
    nix_derivation::nixbase32::encode(bytes)
}

/// The SHA-256 of the NAR of a file or directory, as `nix-store --add` would store it.
///
/// # Errors
/// Where something in it cannot be read, or is neither a file, a directory nor a symlink.
pub fn nar_sha256(object: &Path) -> Result<[u8; 32], StorePathError> {
    nar::hash_path(object, CaseHack::native())
        .map(|hash| hash.sha256)
        .map_err(|source| StorePathError::Read { path: object.display().to_string(), source })
}

/// The SHA-256 of the NAR of one file with these contents.
///
/// # Errors
/// Where the file cannot be read.
pub fn nar_sha256_of_file(file: &Path, executable: bool) -> io::Result<[u8; 32]> {
    Ok(nar::hash_regular(&std::fs::read(file)?, executable).sha256)
}
