//! The directory of a session: what lies where, who may remove it, and what is left of it.
//!
//! ```text
//! DIR/session.json   what the session is of; `--diff` reads it
//! DIR/lock           held as long as the session runs
//! DIR/build          the build directory
//! DIR/store          what is made in the store
//! DIR/control        the session's own files; its named pipes
//! DIR/tmp, DIR/root  the sandbox's /tmp, the place of its /
//! ```
//!
//! Without `--keep` all of it goes at the end. A session that was killed leaves it, and the next one takes it away: nobody
//! holds its lock.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ShellError;
use crate::sandbox;
use crate::state::place;

/// How the directories of sessions begin that are not kept.
const PREFIX: &str = "phasesplit-shell-";

const ABOUT: &str = "session.json";

/// What a session is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// The package's `name`.
    pub package: String,
    /// The point: the stage behind which it stands.
    pub point: String,
    /// The state that was restored.
    pub state: PathBuf,
    /// The state of the chain's first stage: what it holds came with the source.
    #[serde(default)]
    pub source: Option<PathBuf>,
    /// The build directory's files as they are outside.
    pub build: PathBuf,
    /// The source's top directory in it, as the shell has it: `hello-2.10`, or absolute.
    #[serde(default)]
    pub source_root: String,
    /// The build directory as the session has it.
    pub top: PathBuf,
    /// The files in it that Nix would have made, by name.
    #[serde(default)]
    pub nix_files: Vec<String>,
}

/// A session that runs.
#[derive(Debug)]
pub struct Session {
    directory: PathBuf,
    is_kept: bool,
    /// Held as long as this lives.
    _lock: File,
    /// Places in `store` that are the session's own.
    places: Vec<PathBuf>,
    is_over: bool,
}

impl Session {
    /// Makes the directory: `keep`, which must not be there or be empty, or one for temporary files.
    pub fn begin(keep: Option<&Path>) -> Result<Self, ShellError> {
        remove_abandoned();
        let directory = match keep {
            Some(directory) => kept(directory)?,
            None => tempfile::Builder::new()
                .prefix(PREFIX)
                .tempdir()
                .map_err(ShellError::io("make a directory for the session"))?
                .keep(),
        };
        let making = || ShellError::io(format!("make the session in {}", directory.display()));
        let lock = File::create_new(directory.join("lock")).map_err(making())?;
        lock.lock().map_err(making())?;
        for name in ["build", "control", "root", "store", "tmp"] {
            fs::DirBuilder::new().mode(0o700).create(directory.join(name)).map_err(making())?;
        }
        let is_kept = keep.is_some();
        Ok(Self { directory, is_kept, _lock: lock, places: Vec::new(), is_over: false })
    }

    /// Something in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes down what it is of.
    pub fn describe(&self, about: &About) -> Result<(), ShellError> {
        let text = serde_json::to_vec_pretty(about).map_err(io::Error::from);
        text.and_then(|text| fs::write(self.path(ABOUT), text)).map_err(ShellError::io("write session.json"))
    }

    /// Makes a place for each store path that is seen in the session.
    pub fn make_places(&mut self, paths: Vec<PathBuf>) -> Result<(), ShellError> {
        let result = sandbox::store_places(&self.path("store"), &paths);
        self.places = paths;
        result.map_err(ShellError::io("make places for the store's paths"))
    }

    /// Ends it. Nothing of it may run any more.
    pub fn end(mut self) -> Result<(), ShellError> {
        self.is_over = true;
        if !self.is_kept {
            return Ok(place::clear(&self.directory)?);
        }
        let root = fs::read_to_string(self.path("control/source-root")).unwrap_or_default();
        if let Ok(mut about) = read(&self.directory) {
            about.source_root = root;
            self.describe(&about)?;
        }
        let store = self.path("store");
        sandbox::clear_store_places(&store, &self.places).map_err(ShellError::io("tidy the kept store"))?;
        for name in ["control", "root", "root.json", "tmp", "lock"] {
            place::clear(&self.path(name))?;
        }
        // The roots that kept the inputs.
        for entry in fs::read_dir(&self.directory).map_err(ShellError::io("tidy the kept directory"))?.flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(b"inputs") {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

/// A session that did not come to its end leaves nothing either, but where it is kept: there may be work in it.
impl Drop for Session {
    fn drop(&mut self) {
        if !self.is_over && !self.is_kept {
            let _ = place::clear(&self.directory);
        }
    }
}

/// What the session in a directory is of.
pub fn read(directory: &Path) -> io::Result<About> {
    let text = fs::read(directory.join(ABOUT))?;
    let mut about: About = serde_json::from_slice(&text)?;
    // As long as it runs the shell says it here.
    if let Ok(root) = fs::read_to_string(directory.join("control/source-root")) {
        about.source_root = root;
    }
    Ok(about)
}

/// The user's sessions that run now and are not kept.
pub fn running() -> Vec<PathBuf> {
    temporary().filter(|directory| matches!(lock_of(directory), Lock::Held)).collect()
}

enum Lock {
    Held,
    Free,
    Unknown,
}

fn lock_of(directory: &Path) -> Lock {
    match File::open(directory.join("lock")).map(|file| file.try_lock()) {
        Ok(Ok(())) => Lock::Free,
        Ok(Err(fs::TryLockError::WouldBlock)) => Lock::Held,
        _ => Lock::Unknown,
    }
}

/// Directories of sessions that belong to this user.
fn temporary() -> impl Iterator<Item = PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let me = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()))
        .filter(move |entry| entry.metadata().is_ok_and(|data| data.is_dir() && data.uid() == me))
        .map(|entry| entry.path())
}

/// Removes what killed sessions left. One that is being made has no lock yet, and is left alone.
fn remove_abandoned() {
    for directory in temporary().filter(|directory| matches!(lock_of(directory), Lock::Free)) {
        if let Err(error) = place::clear(&directory) {
            anstream::eprintln!(
                "warning: what a killed session left in {} cannot be removed: {error}",
                directory.display()
            );
        }
    }
}

fn kept(directory: &Path) -> Result<PathBuf, ShellError> {
    let making = || ShellError::io(format!("make {}", directory.display()));
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::read_dir(directory).map_err(making())?.next().is_some() {
                return Err(ShellError::Point {
                    message: format!("{} is not empty", directory.display()),
                    help: "name another directory for --keep, or remove this one".to_owned(),
                });
            }
        }
        made => made.map_err(making())?,
    }
    directory.canonicalize().map_err(making())
}
