//! Blobs: what they are called, and how they get their names.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::inspect::json::hexadecimal;

/// Where the blobs of a layout are.
pub const BLOBS: &str = "blobs/sha256";

/// The media type of an image's configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of an image's manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of `index.json`.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of a layer without compression; `+gzip` and `+zstd` may follow.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// The annotation of an image in `index.json` that is its name.
pub const NAME: &str = "org.opencontainers.image.ref.name";

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// SHA-256 of the compressed layer, hexadecimal.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of the archive, hexadecimal.
    pub diff_id: String,
}

/// Hashes and counts what is written.
pub struct Hashing<W> {
    out: W,
    hasher: Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    /// Around `out`.
    pub fn new(out: W) -> Self {
        Self { out, hasher: Sha256::new(), size: 0 }
    }

    /// `out` itself, SHA-256 of what it got in hexadecimal, and how much that was.
    pub fn finish(self) -> (W, String, u64) {
        (self.out, hexadecimal(&self.hasher.finalize()), self.size)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The descriptor of a blob.
pub fn descriptor(media_type: &str, digest: &str, size: u64) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size })
}

/// Gives a blob its name.
///
/// # Errors
/// What the file system says.
pub fn named(file: NamedTempFile, blobs: &Path, digest: &str) -> io::Result<()> {
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(blobs.join(digest))?;
    Ok(())
}
