//! `info.json`: what a state is, for people and for the check before a restore. Uncompressed, so Nix takes every store
//! path of an input in it for a reference. It holds two kinds: staged prefixes, which are no input's, and the pinned
//! state, which is one on purpose: who has a result made from a pin can look at what it was made from.
//!
//! Fields may be added without another format version where a reader can do without them: such a field is left out
//! where it says nothing, and a reader takes a missing one for that.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::entry::{Kind, Mtime};
use super::error::{Error, Result, Shown};
use super::{file, format};

/// The content of `info.json`; keys in camel case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// [`format::VERSION`].
    pub format: u64,
    /// [`format::ENGINE`] of the engine that saved it.
    pub engine: String,
    /// The package's name, as the caller gave it.
    pub package: String,
    /// The stage that ended in this state.
    pub stage: String,
    /// The directory the build ran in; the state fits no other.
    pub build_dir: String,
    /// Phases that ran in the stage, in order.
    pub phases: Vec<Phase>,
    /// Every output's name and staged prefix, whether it existed or not. What the state holds names these prefixes, so it
    /// fits no chain that has others.
    pub outputs: BTreeMap<String, String>,
    /// The state that a user pinned, if this one continues from it: it may not be what its attributes say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<String>,
    /// How the stage failed, if it did and was asked to keep what it left: such a state is to be looked at, not to be
    /// continued from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failed>,
    /// What the stage warned of, a sentence each: what a later stage or a reader of the result may miss. The log has the
    /// same words, but a stage that is reused shows no log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Files that Nix put into the build directory and that a phase removed: Nix makes them anew for the next stage, which
    /// removes them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed_nix_files: Vec<String>,
    /// How many layers the state is made of, its own and those of the states before it.
    pub layers: usize,
    /// How many entries there are of each kind.
    pub entries: Counts,
    /// Sizes in bytes.
    pub bytes: Bytes,
    /// The newest mtime that was not in the future when the state was saved. A restore compares its clock
    /// with this one: a file that its own build dated into the future says nothing about clocks.
    pub newest: Time,
}

/// A phase and how long it ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// `buildPhase`, …
    pub name: String,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// The failure that a state was kept of; keys in camel case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failed {
    /// The phase that failed, or [`AFTER_PHASES`].
    pub phase: String,
    /// How the stage's shell ended: 1 to 255, 128 and more after a signal.
    pub exit_code: u8,
    /// The last lines of the stage's log, at most [`LOG_BYTES`]; what is no UTF-8 is replaced.
    pub log: String,
}

/// What stands for a phase in [`Failed`] where finish failed behind its phases: in the rest of the builder script, or in
/// an exit hook.
pub const AFTER_PHASES: &str = "after the phases";

/// The most bytes of log that [`Failed`] holds.
pub const LOG_BYTES: usize = 16 * 1024;

impl Info {
    /// Refuses a state that a failed stage left.
    ///
    /// # Errors
    /// That it is one, with the phase, the exit code and what to do.
    pub fn refuse_failed(&self, operation: &'static str, state: &Path) -> Result<()> {
        let Some(failed) = &self.failed else { return Ok(()) };
        Err(Error::Refused {
            operation,
            path: state.into(),
            what: format!(
                "it is what the stage {} left when it failed ({}, exit code {}), so nothing can continue from it",
                self.stage, failed.phase, failed.exit_code
            ),
            todo: "look into it with `phasesplit state` or `phasesplit shell`, mend the package, and build it: that \
                   continues from the state before",
        })
    }
}

/// Entries by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Regular files, those with holes included.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of files already counted.
    pub hard_links: u64,
    /// Pipes and sockets.
    pub special: u64,
}

impl Counts {
    /// Counts one more entry.
    pub fn add(&mut self, kind: Kind) {
        *match kind {
            Kind::File | Kind::Sparse => &mut self.files,
            Kind::Directory => &mut self.directories,
            Kind::Symlink => &mut self.symlinks,
            Kind::HardLink => &mut self.hard_links,
            Kind::Fifo | Kind::Socket => &mut self.special,
        } += 1;
    }
}

/// Sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// Of all files as the tree shows them, holes included.
    pub content: u64,
    /// Of `layer.tar.zst`.
    pub layer: u64,
    /// Of `manifest.zst`.
    pub manifest: u64,
}

/// [`Mtime`] in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Seconds since 1970, rounded down.
    pub seconds: i64,
    /// The nanoseconds after that.
    pub nanoseconds: u32,
}

impl From<Mtime> for Time {
    fn from(time: Mtime) -> Self {
        Self { seconds: time.secs, nanoseconds: time.nanos }
    }
}

impl From<Time> for Mtime {
    fn from(time: Time) -> Self {
        Self { secs: time.seconds, nanos: time.nanoseconds }
    }
}

/// More bytes than any description has: a log's end, a few hundred phases, and much room.
const LONGEST: u64 = 4 << 20;

/// The one field that every version has.
#[derive(Deserialize)]
struct Versioned {
    format: serde_json::Value,
}

/// Reads `DIR/info.json`.
///
/// # Errors
/// Not a state, a version that is unknown ([`Error::UnknownFormat`]), or a damaged file.
pub fn read(operation: &'static str, state: &Path) -> Result<Info> {
    let path = state.join(format::INFO);
    let (file, len) = file::open(operation, &path).map_err(|error| match error {
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Error::Refused {
            operation,
            path: state.into(),
            what: format!("there is no {} in it, so it is not a state", format::INFO),
            todo: "give the output directory of a stage",
        },
        error => error,
    })?;
    if len > LONGEST {
        return Err(Error::damaged(operation, &path, "it is too long"));
    }
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).map_err(|source| Error::io(operation, &path, source))?;
    let damaged = |error: serde_json::Error| Error::damaged(operation, &path, short(&error.to_string()));
    // Only the version first: another version may have other fields.
    let versioned: Versioned = serde_json::from_slice(&text).map_err(damaged)?;
    if versioned.format.as_u64() != Some(format::VERSION) {
        return Err(Error::UnknownFormat { operation, path, found: short(&versioned.format.to_string()) });
    }
    serde_json::from_slice(&text).map_err(damaged)
}

/// The beginning of a text that a stranger may have written, as a line of a message.
fn short(text: &str) -> String {
    const LENGTH: usize = 200;
    let end = text.char_indices().nth(LENGTH);
    let shown = Shown(end.map_or(text, |(end, _)| &text[..end])).to_string();
    if end.is_some() { format!("{shown}…") } else { shown }
}

/// Writes `DIR/info.json` through a temporary name: it appears whole or not at all.
///
/// # Errors
/// What the file system says.
pub fn write(state: &Path, info: &Info) -> Result<()> {
    let path = state.join(format::INFO);
    let temporary = state.join(format!(".{}.tmp", format::INFO));
    let io = |source| Error::io("save", &path, source);
    let json = |error: serde_json::Error| io(error.into());
    let mut text = serde_json::to_string_pretty(info).map_err(json)?;
    for words in info.failed.iter().map(|failed| &failed.log).chain(&info.warnings) {
        let words = serde_json::to_string(words).map_err(json)?;
        text = text.replacen(&words, &without_hashes(&words), 1);
    }
    text.push('\n');
    let mut file = fs::File::create_new(&temporary).map_err(io)?;
    file.write_all(text.as_bytes()).map_err(io)?;
    drop(file);
    fs::rename(&temporary, &path).map_err(io)
}

/// A JSON string in which no store path's hash stands as it is: the last character of what could be one is escaped. A
/// reader of JSON gets the same string, and Nix finds nothing in it that the state would have to keep.
fn without_hashes(json: &str) -> String {
    const HASH: usize = 32;
    let mut text = String::with_capacity(json.len());
    let mut run = 0;
    for c in json.chars() {
        run = if matches!(c, '0'..='9' | 'a'..='z') && !"eotu".contains(c) { run + 1 } else { 0 };
        if run == HASH {
            // Never part of an escape, whose characters come sooner after its backslash.
            // Cannot fail: the text is in memory.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
            // Its digits could be a hash's too.
            run = 4;
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_its_words_and_no_store_paths() {
        let hash = "0123456789abcdfghijklmnpqrsvwxyz";
        let log = format!("/nix/store/{hash}-gcc/bin/gcc \"x\"\n{hash}{hash}\n\u{1}{hash}n\t/{}", &hash[..31]);
        let json = without_hashes(&serde_json::to_string(&log).expect("JSON"));
        assert_eq!(serde_json::from_str::<String>(&json).expect("still JSON"), log);
        let is_hash = |window: &[u8]| window.iter().all(|byte| hash.as_bytes().contains(byte));
        assert!(!json.as_bytes().windows(32).any(is_hash), "{json}");
    }
}
