//! What can go wrong with a state. Every message reads `<operation> <path>: <what>; <what to do>`; the
//! caller puts the program's name in front.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The result of every operation on states.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed or refused operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused a call.
    #[error("{operation} {}: {source}; {}", Shown(.path), advice(.source))]
    Io {
        /// What was being done: `save`, `restore`, `list`, `lock`.
        operation: &'static str,
        /// The file it was done to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something is there, or is not, that the operation will not work around.
    #[error("{operation} {}: {what}; {todo}", Shown(.path))]
    Refused {
        /// What was being done.
        operation: &'static str,
        /// The file it was about.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What the user can do.
        todo: &'static str,
    },
    /// The state cannot be what a save wrote.
    #[error("{operation} {}: the state is damaged: {what}; delete this store path and build the stage again", Shown(.path))]
    Damaged {
        /// What was being done.
        operation: &'static str,
        /// The file of the state, or the entry in it.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// A format version that this engine does not know.
    #[error("{operation} {}: format version {found} is unknown, this engine reads version {known}; use the phasesplit that made the state, or build the stage again", Shown(.path), known = super::format::VERSION)]
    UnknownFormat {
        /// What was being done.
        operation: &'static str,
        /// The state's `info.json`.
        path: PathBuf,
        /// The version found, as written there.
        found: String,
    },
    /// The state names absolute paths below another directory.
    #[error("restore {}: the state was made at {made_at}, this build runs at {runs_at}, and CMake and others record absolute paths; build with the sandbox setting that made it, or delete this state and those after it (nix-store --delete) to make them again", Shown(.path))]
    OtherBuildDir {
        /// The state.
        path: PathBuf,
        /// Where it was made.
        made_at: String,
        /// Where it was to be restored.
        runs_at: String,
    },
    /// The clock of the machine that made the state is ahead of this one's.
    #[error("restore {}: its newest file is {seconds} seconds ahead of this machine's clock, so make and ninja would rebuild or loop; set the clocks of the machines that build, then build again", Shown(.path))]
    Clock {
        /// The state.
        path: PathBuf,
        /// How far ahead, rounded up.
        seconds: u64,
    },
}

impl Error {
    /// An [`Error::Io`].
    pub fn io(operation: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io { operation, path: path.into(), source: source.into() }
    }

    /// An [`Error::Damaged`].
    pub fn damaged(operation: &'static str, path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::Damaged { operation, path: path.into(), what: what.into() }
    }

    /// Says where in a damaged archive: `near` is `in` or `after`, `entry` an archive path. Other errors stay as they are.
    #[must_use]
    pub fn at_entry(mut self, near: &str, entry: &[u8]) -> Self {
        if let Self::Damaged { what, .. } = &mut self
            && !entry.is_empty()
        {
            _ = write!(what, " ({near} {})", Shown(as_path(entry)));
        }
        self
    }

    /// Reading a state: bytes that do not decode are damage, anything else is the system's word.
    pub fn reading(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        // zstd reports what it cannot decode as `Other`; the system's own errors carry a number.
        if source.raw_os_error().is_some() {
            Self::io(operation, path, source)
        } else {
            let what = match source.kind() {
                io::ErrorKind::UnexpectedEof => "it ends too early".into(),
                _ => source.to_string(),
            };
            Self::damaged(operation, path, what)
        }
    }
}

/// What a user can do about an error of the system.
fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space on that file system",
        io::ErrorKind::PermissionDenied => "make it readable and writable for the build's user",
        io::ErrorKind::NotFound => "check that it exists",
        io::ErrorKind::AlreadyExists => "restore into an empty place",
        _ => "check the file system and try again",
    }
}

/// A path in a message: control characters, and bytes that are no UTF-8, as `\xNN`, so that a message stays
/// one line and says which bytes it means.
pub struct Shown<'a, P: AsRef<Path> + ?Sized>(pub &'a P);

impl<P: AsRef<Path> + ?Sized> fmt::Display for Shown<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_ref().as_os_str().as_bytes().utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() || c == '\\' {
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        write!(f, "\\x{byte:02x}")?;
                    }
                } else {
                    f.write_char(c)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// An archive path as a [`Path`], for messages.
pub fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_the_path() {
        let error = Error::io("save", as_path(b"a\nb\xff\\"), io::Error::from_raw_os_error(2));
        let text = error.to_string();
        assert!(text.starts_with("save a\\x0ab\\xff\\x5c: No such file"), "{text}");
        assert!(!text.contains('\n'));
        assert!(text.ends_with("; check that it exists"), "{text}");
    }
}
