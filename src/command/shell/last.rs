//! What the last session changed, kept when its directory goes: who leaves a shell has not lost the fix.
//!
//! ```text
//! $XDG_STATE_HOME/phasesplit/last-session    a line of JSON, then the patch
//! ```

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::changed::{self, Patch, Which};
use super::session::{self, About};
use crate::gcroot;

/// The last session's end.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// The package's `name`.
    pub package: String,
    /// The point.
    pub point: String,
    /// The files of the patch.
    files: Vec<String>,
    /// What the patch leaves out.
    named: Vec<String>,
    #[serde(skip)]
    text: Vec<u8>,
}

impl Last {
    /// Of this session.
    pub fn of(about: &About, patch: &Patch) -> Self {
        let (package, point) = (about.package.clone(), about.point.clone());
        let Patch { text, files, named } = patch.clone();
        Self { package, point, files, named, text }
    }

    /// The patch.
    pub fn patch(self) -> Patch {
        Patch { text: self.text, files: self.files, named: self.named }
    }

    /// Puts it in place of the one before.
    ///
    /// # Errors
    /// What the file system says; that there is no home for it.
    pub fn write(&self) -> io::Result<()> {
        let path = place()?;
        let directory = path.parent().ok_or(io::ErrorKind::NotFound)?;
        fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        file.write_all(&self.text)?;
        file.persist(path)?;
        Ok(())
    }

    /// Reads it; `None` where no session has ended.
    ///
    /// # Errors
    /// A file that is no such thing.
    pub fn read() -> io::Result<Option<Self>> {
        let bytes = match fs::read(place()?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(io::ErrorKind::InvalidData)?;
        let last: Self = serde_json::from_slice(&bytes[..end])?;
        Ok(Some(Self { text: bytes[end + 1..].to_vec(), ..last }))
    }
}

/// What the session in a directory changed, which is then what the last one changed. For a person who leaves: files whose
/// size and time are as they were are not read.
///
/// # Errors
/// What [`changed::patch`] says; what the file system says.
pub fn of_session(directory: &Path) -> io::Result<Option<Patch>> {
    // A session that did not come to its shell.
    let Ok(about) = session::read(directory) else { return Ok(None) };
    let patch = changed::patch(&about, Which::SourceByTime).map_err(io::Error::other)?;
    Last::of(&about, &patch).write()?;
    Ok(Some(patch))
}

fn place() -> io::Result<PathBuf> {
    let directory = gcroot::directory_of_user().map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?;
    Ok(directory.join("last-session"))
}
