//! An image layout as a directory that images are added to (image-spec, "OCI Image Layout Specification").
//!
//! Nothing that is there already changes: blobs are complete before they have their names, and `index.json`, which makes
//! an image of them, is replaced as a whole at the end. What an addition that failed has made is taken away again.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::blob::{self, BLOBS, NAME};
use crate::state::entry::{Entry, Kind, Mtime};
use crate::state::error::{Error, Result};
use crate::state::pax;

/// The file that says that a directory is a layout.
pub const MARK: &str = "oci-layout";

/// What is in it.
pub const VERSION: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// The file that names the images.
pub const INDEX: &str = "index.json";

const WRITE: &str = "write the image";

/// What is not complete has a name that begins so, beside the blobs.
const SCRATCH: &str = ".phasesplit-image-";

/// The longest JSON that is read.
const LONGEST: u64 = 64 << 20;

/// A layout that an image is being added to. One process at a time has it.
#[derive(Debug)]
pub struct Layout {
    root: PathBuf,
    /// What this process made, to be taken away if there is no image in the end: files, then directories, in this order.
    made: Mutex<Vec<PathBuf>>,
    directories: Vec<PathBuf>,
    verify: bool,
    /// Keeps other processes away as long as it is open.
    _lock: File,
}

impl Layout {
    /// Opens the layout in a directory, or makes one in a directory that is empty or not there. Waits for another process
    /// that adds an image to it. With `verify`, a blob that is there counts only if it holds what its name says.
    ///
    /// # Errors
    /// A directory of something else, what the file system says.
    pub fn open(root: &Path, verify: bool) -> Result<Self> {
        let io = |source: io::Error| Error::io(WRITE, root, source);
        let mut directories = Vec::new();
        match fs::create_dir(root) {
            Ok(()) => directories.push(root.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error)),
        }
        if !root.is_dir() {
            return Err(refused(root, "it is no directory", "name a directory that does not exist or is empty"));
        }
        let lock = File::open(root).map_err(io)?;
        lock.lock().map_err(io)?;
        let mut layout = Self { root: root.to_owned(), made: Mutex::default(), directories, verify, _lock: lock };
        let mark = root.join(MARK);
        if mark.is_file() {
            layout.clean().map_err(io)?;
            return Ok(layout);
        }
        if fs::read_dir(root).map_err(io)?.next().is_some() {
            let todo = "name a directory that does not exist, is empty, or has images already";
            return Err(refused(root, "it is not empty, and no image layout", todo));
        }
        layout.write(MARK, VERSION.as_bytes()).map_err(io)?;
        layout.made(mark);
        for directory in ["blobs", BLOBS] {
            fs::create_dir(root.join(directory)).map_err(io)?;
            layout.directories.push(root.join(directory));
        }
        Ok(layout)
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file to write a blob to.
    ///
    /// # Errors
    /// What the file system says.
    pub fn scratch(&self) -> Result<NamedTempFile> {
        let file = tempfile::Builder::new().prefix(SCRATCH).tempfile_in(&self.root);
        file.map_err(|source| Error::io(WRITE, &self.root, source))
    }

    /// Adds a blob that is complete; whether it was not there before.
    ///
    /// # Errors
    /// What the file system says.
    pub fn add(&self, file: NamedTempFile, digest: &str, size: u64) -> Result<bool> {
        if self.has(digest, size) && (!self.verify || self.is_sound(digest)?) {
            return Ok(false);
        }
        let path = self.blob(digest);
        let blobs = self.root.join(BLOBS);
        let is_new = !path.exists();
        fs::create_dir_all(&blobs)
            .and_then(|()| blob::named(file, &blobs, digest))
            .map_err(|source| Error::io(WRITE, &path, source))?;
        if is_new {
            self.made(path);
        }
        Ok(true)
    }

    /// Adds JSON as a blob, and gives its descriptor.
    ///
    /// # Errors
    /// What the file system says.
    pub fn add_json(&self, media_type: &str, value: &Value) -> Result<Value> {
        let text = value.to_string();
        let digest = blob::digest(text.as_bytes());
        let mut file = self.scratch()?;
        file.write_all(text.as_bytes()).map_err(|source| Error::io(WRITE, &self.root, source))?;
        self.add(file, &digest, text.len() as u64)?;
        Ok(blob::descriptor(media_type, &digest, text.len() as u64))
    }

    /// Whether there is a blob of this name that is as long as it should be.
    pub fn has(&self, digest: &str, size: u64) -> bool {
        fs::symlink_metadata(self.blob(digest)).is_ok_and(|found| found.is_file() && found.len() == size)
    }

    /// Whether blobs that are there are compared with their names.
    pub fn verifies(&self) -> bool {
        self.verify
    }

    /// Whether a blob holds what its name says.
    ///
    /// # Errors
    /// What the file system says.
    pub fn is_sound(&self, digest: &str) -> Result<bool> {
        let path = self.blob(digest);
        let mut hashing = blob::Hashing::new(io::sink());
        File::open(&path)
            .and_then(|mut file| io::copy(&mut file, &mut hashing))
            .map_err(|source| Error::io("read", &path, source))?;
        Ok(hashing.finish().1 == digest)
    }

    /// JSON that a descriptor names, where it is there and is what the descriptor says.
    pub fn json(&self, descriptor: &Value) -> Option<Value> {
        let digest = digest_of(descriptor)?;
        let text = text(&self.blob(digest)).ok()?;
        (blob::digest(&text) == digest).then(|| serde_json::from_slice(&text).ok())?
    }

    /// The images, each with its descriptor.
    ///
    /// # Errors
    /// An index that is none.
    pub fn images(&self) -> Result<Vec<Value>> {
        Ok(self.index()?["manifests"].as_array().cloned().unwrap_or_default())
    }

    /// Makes an image of a manifest; another one that has this name loses it. The last step.
    ///
    /// # Errors
    /// An index that is none, what the file system says.
    pub fn name(&self, mut manifest: Value, name: &str) -> Result<()> {
        let mut index = self.index()?;
        manifest["annotations"] = json!({ NAME: name });
        if let Some(images) = index["manifests"].as_array_mut() {
            images.retain(|image| image["annotations"][NAME] != name);
            images.push(manifest);
        }
        self.write(INDEX, index.to_string().as_bytes()).map_err(|source| Error::io(WRITE, &self.root, source))?;
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    fn index(&self) -> Result<Value> {
        let path = self.root.join(INDEX);
        let text = match text(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(json!({ "schemaVersion": 2, "mediaType": blob::INDEX, "manifests": [] }));
            }
            text => text.map_err(|source| Error::io("read", &path, source))?,
        };
        let index: Value = serde_json::from_slice(&text).unwrap_or_default();
        if index["schemaVersion"] == 2 && index["manifests"].is_array() {
            return Ok(index);
        }
        Err(refused(&path, "it is no index of images", "mend it, or name a directory that does not exist"))
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.root.join(BLOBS).join(digest)
    }

    /// Writes a file beside the blobs as a whole.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(SCRATCH).tempfile_in(&self.root)?;
        file.write_all(bytes)?;
        blob::named(file, &self.root, name)
    }

    fn made(&self, path: PathBuf) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(path);
    }

    /// Takes away what a process that was killed left; none is at work, since this one has the lock.
    fn clean(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(SCRATCH) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Takes away what was made, unless an image was made of it.
impl Drop for Layout {
    fn drop(&mut self) {
        let made = std::mem::take(self.made.get_mut().unwrap_or_else(PoisonError::into_inner));
        for path in made {
            // The error that led here has been told.
            let _ = fs::remove_file(path);
        }
        // A directory with an image in it is not empty and stays.
        for directory in self.directories.iter().rev() {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// The digest that a descriptor names, hexadecimal, where it is one that can be the name of a blob.
pub fn digest_of(descriptor: &Value) -> Option<&str> {
    let digest = descriptor["digest"].as_str()?.strip_prefix("sha256:")?;
    let is_hexadecimal = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    (digest.len() == 64 && digest.bytes().all(is_hexadecimal)).then_some(digest)
}

fn text(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}

fn refused(path: &Path, what: &str, todo: &'static str) -> Error {
    Error::Refused { operation: WRITE, path: path.to_owned(), what: what.to_owned(), todo }
}

/// Writes a layout as an archive: `oci-archive` of skopeo and podman.
///
/// # Errors
/// What the file system says, and those of `out`.
pub fn archive(layout: &Path, out: &mut dyn Write) -> io::Result<()> {
    let mut paths = vec!["blobs".to_owned(), BLOBS.to_owned(), INDEX.to_owned(), MARK.to_owned()];
    for blob in fs::read_dir(layout.join(BLOBS))? {
        paths.push(format!("{BLOBS}/{}", blob?.file_name().to_string_lossy()));
    }
    paths.sort();
    let mut archive = pax::Writer::new(out);
    for path in paths {
        let metadata = fs::metadata(layout.join(&path))?;
        let (kind, mode) = if metadata.is_dir() { (Kind::Directory, 0o755) } else { (Kind::File, 0o644) };
        let size = if metadata.is_dir() { 0 } else { metadata.len() };
        let bytes = path.clone().into_bytes();
        let entry = Entry { path: bytes, kind, mode, size, mtime: Mtime::default(), link: Vec::new(), hash: None };
        archive.member(&entry, size)?;
        if kind == Kind::File {
            io::copy(&mut File::open(layout.join(&path))?, &mut archive)?;
        }
    }
    archive.finish()?.flush()
}
