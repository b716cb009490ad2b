//! The record of a package's last build: what each stage was built from, and where its state is.
//!
//! ```text
//! packages/<package>/last.json     beside roots/; <package> as `package_key` gives it
//! ```
//!
//! It is a help, never the truth: whether a state is there, only the store knows. A record that cannot be read is refused
//! by name, and a build goes on without it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Roots, disk, identity_key, package_key};

/// The version of the record that this program writes and reads.
pub const FORMAT: u64 = 1;

const FILE: &str = "last.json";

/// What was built last of a package; keys in camel case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// [`FORMAT`].
    pub format: u64,
    /// The package's `name`.
    pub package: String,
    /// What tells the package from others, as far as it is text: its file, and the attribute in it.
    pub identity: String,
    /// The BLAKE3 hash of the `split.nix` that was built, lower-case hexadecimal.
    pub split: String,
    /// When, in seconds since 1970.
    pub time: u64,
    /// The stages of the chain that have been built, in its order; one that a failed build did not reach is the last before.
    pub stages: Vec<RecordedStage>,
    /// What stages left that failed with `build --keep-failed`, and have not succeeded since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<RecordedFailure>,
}

/// What a stage left when it failed; keys in camel case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedFailure {
    /// The stage's name.
    pub stage: String,
    /// The derivation that kept it.
    pub drv: String,
    /// The store path of the state, which is marked as failed.
    pub path: String,
    /// The phase that failed.
    pub phase: String,
    /// How it ended.
    pub exit_code: u8,
}

/// What is known of a stage; keys in camel case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedStage {
    /// The stage's name.
    pub stage: String,
    /// The derivation that its state was made by.
    pub drv: String,
    /// The store path of its state; of finish, the output that stands for the package.
    pub path: String,
    /// How long it was built when it was, in seconds, where that is known.
    pub seconds: Option<f64>,
    /// The pinned state that it continues from, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<String>,
}

impl Record {
    /// What is recorded of a stage.
    pub fn stage(&self, name: &str) -> Option<&RecordedStage> {
        self.stages.iter().find(|stage| stage.stage == name)
    }

    /// What a stage left when it failed, where that was kept.
    pub fn failure_of(&self, name: &str) -> Option<&RecordedFailure> {
        self.failed.iter().find(|stage| stage.stage == name)
    }
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is of a version that is not known here.
    #[error("the build record {path} has format {found}, which this phasesplit does not know (it knows {FORMAT})")]
    Format {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// It is damaged.
    #[error("the build record {path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system refused.
    #[error("cannot {operation} the build record {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file or its directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl RecordError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Format { path, .. } | Self::Damaged { path, .. } => {
                Some(format!("delete {}; the next build writes it again", path.display()))
            }
            Self::Io { .. } => None,
        }
    }
}

/// The one field that every version has.
#[derive(Deserialize)]
struct Versioned {
    format: serde_json::Value,
}

impl Roots {
    /// The record of a package by its name and identity, absent where it was never built.
    ///
    /// # Errors
    /// Where it is there and cannot be used.
    pub fn record(&self, package: &str, identity: &[u8]) -> Result<Option<Record>, RecordError> {
        read(&self.records().join(package_key(package, identity)).join(FILE))
    }

    /// The newest record of a package by its identity alone: its name may have changed with its version since.
    ///
    /// # Errors
    /// As [`Roots::record`]; a record that cannot be used hides the others, as it may be the newest.
    pub fn last_record(&self, identity: &[u8]) -> Result<Option<Record>, RecordError> {
        let directory = self.records();
        let io = |source| RecordError::Io { operation: "look for", path: directory.clone(), source };
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.map_err(io)?,
        };
        let suffix = format!("-{}", identity_key(identity));
        let mut newest: Option<Record> = None;
        for entry in entries {
            let entry = entry.map_err(io)?;
            if !entry.file_name().to_string_lossy().ends_with(&suffix) {
                continue;
            }
            if let Some(record) = read(&entry.path().join(FILE))?
                && newest.as_ref().is_none_or(|newest| record.time >= newest.time)
            {
                newest = Some(record);
            }
        }
        Ok(newest)
    }

    /// Writes a package's record in place of the one before: whole, or not at all.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_record(&self, record: &Record, identity: &[u8]) -> Result<(), RecordError> {
        let directory = self.records().join(package_key(&record.package, identity));
        let path = directory.join(FILE);
        let io = |source| RecordError::Io { operation: "write", path: path.clone(), source };
        let key = package_key(&record.package, identity);
        let _package = self.lock_package(&key).map_err(io)?;
        let mut text = serde_json::to_vec_pretty(record).map_err(|error| io(error.into()))?;
        text.push(b'\n');
        disk::write(&path, &text).map_err(io)
    }

    fn records(&self) -> PathBuf {
        self.home().join("packages")
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn read(path: &Path) -> Result<Option<Record>, RecordError> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|source| RecordError::Io { operation: "read", path: path.to_owned(), source })?,
    };
    let damaged = |error: serde_json::Error| RecordError::Damaged { path: path.to_owned(), why: error.to_string() };
    // Only the version first: another version may have other fields.
    let versioned: Versioned = serde_json::from_slice(&text).map_err(damaged)?;
    if versioned.format.as_u64() != Some(FORMAT) {
        return Err(RecordError::Format { path: path.to_owned(), found: versioned.format.to_string() });
    }
    serde_json::from_slice(&text).map(Some).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(package: &str, time: u64) -> Record {
        let stage = RecordedStage {
            stage: "build".to_owned(),
            drv: "/s/x.drv".to_owned(),
            path: "/s/x".to_owned(),
            seconds: Some(0.5),
            pinned: None,
        };
        let text = String::new();
        Record {
            format: FORMAT,
            package: package.to_owned(),
            identity: text.clone(),
            split: text,
            time,
            stages: vec![stage],
            failed: Vec::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_the_newest_is_found_by_identity() {
        let scratch = tempfile::tempdir().expect("a directory");
        let roots = Roots::below(scratch.path().join("roots"));
        assert!(roots.last_record(b"id").expect("none").is_none());
        let (old, new) = (record("p-1", 1), record("p-2", 2));
        for one in [&new, &old] {
            roots.write_record(one, b"id").expect("written");
        }
        roots.write_record(&record("q-1", 3), b"other").expect("written");
        assert_eq!(roots.last_record(b"id").expect("read"), Some(new.clone()));
        assert_eq!(roots.record("p-1", b"id").expect("read"), Some(old));
        assert_eq!(roots.record("p-3", b"id").expect("read"), None);
        assert_eq!(new.stage("build").map(|stage| stage.drv.as_str()), Some("/s/x.drv"));
        let directory = scratch.path().join("packages").join(package_key("p-1", b"id"));
        let mut names: Vec<_> =
            fs::read_dir(directory).expect("there").map(|entry| entry.expect("read").file_name()).collect();
        names.sort();
        assert_eq!(names, [FILE, "lock"], "nothing is left beside it");
    }

    #[test]
    fn other_versions_and_damage_are_refused_by_name() {
        let scratch = tempfile::tempdir().expect("a directory");
        let roots = Roots::below(scratch.path().join("roots"));
        roots.write_record(&record("p-1", 1), b"id").expect("written");
        let path = scratch.path().join("packages").join(package_key("p-1", b"id")).join(FILE);
        fs::write(&path, r#"{"format": 9, "else": 1}"#).expect("written");
        let error = roots.last_record(b"id").expect_err("refused");
        assert!(error.to_string().contains("has format 9, which this phasesplit does not know"), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        for text in ["", "{", r#"{"format": 1}"#, "[]"] {
            fs::write(&path, text).expect("written");
            let error = roots.record("p-1", b"id").expect_err("refused");
            assert!(matches!(error, RecordError::Damaged { .. }), "{error}");
            assert!(error.help().expect("help").contains("delete"));
        }
    }
}
