//! Whether two results are the same package.
//!
//! Owns the meaning of *equal modulo the package's own hash* (DESIGN.md §3.4): the two results lie at different store paths, so where each
//! mentions its own, fully or in a piece, the bytes may differ. Nothing else is excused but what [`Excuse`] lists.
//! Compared: the shape of the trees, kinds, modes, symlink targets, hard links, contents; gzip files unpacked.
//! Not compared: owners and times, which the Nix store makes the same for all. Knows nothing of how the results came about.

mod content;
mod record;
mod tree;

use crate::state::relocate::prefix::StorePath;
use crate::state::relocate::runs::Finder;
use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// One result: its outputs' names and store paths.
pub type Outputs<'a> = &'a [(String, PathBuf)];

/// A failure to compare.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The two sides cannot be the same package.
    #[error("cannot compare: {0}")]
    Mismatch(String),
    /// A file could not be read.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// A real difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Output and path in it, the package's own hashes replaced by the outputs' names.
    pub file: String,
    /// What differs.
    pub what: What,
}

/// What differs. Pairs hold the first side's value, then the second's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The file is in the first result only.
    OnlyInFirst,
    /// The file is in the second result only.
    OnlyInSecond,
    /// One is a directory, say, and the other is not.
    Kind(&'static str, &'static str),
    /// Permission bits.
    Mode(u32, u32),
    /// A symlink's target.
    Target(String, String),
    /// The first path (in order) that is the same inode.
    HardLink(String, String),
    /// Size in bytes.
    Size(u64, u64),
    /// Bytes.
    Content {
        /// Offset of the first byte that differs.
        at: usize,
        /// How many differ.
        bytes: usize,
        /// The first few, on both sides.
        shown: (Vec<u8>, Vec<u8>),
        /// ELF section of the first.
        section: Option<String>,
        /// The gzip member that holds them (0 for the first), if any.
        member: Option<usize>,
    },
    /// The gzip members are not the same number, or their headers differ.
    Gzip,
}

/// A difference that does not count, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excused {
    /// As [`Difference::file`].
    pub file: String,
    /// The rule.
    pub rule: Excuse,
}

/// Every rule that excuses a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excuse {
    /// The linker's hash of the program as it was linked, with the staged prefix in it.
    BuildId,
    /// Python's RECORD: the digest of a file that mentions its own package.
    Record,
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Files, directories and links compared.
    pub compared: usize,
    /// Real differences, by file.
    pub differences: Vec<Difference>,
    /// Excused ones.
    pub excused: Vec<Excused>,
}

impl Report {
    /// Whether the two are the same package.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Compares two results of one package, output by output.
///
/// The outputs must have the same names on both sides, and their paths must be store paths (in any directory) of the same length.
///
/// # Errors
/// [`Error::Mismatch`] where that does not hold; [`Error::Io`] for what cannot be read.
pub fn compare_packages(a: Outputs, b: Outputs) -> Result<Report, Error> {
    let first: BTreeMap<&str, &PathBuf> = a.iter().map(|(n, p)| (n.as_str(), p)).collect();
    let second: BTreeMap<&str, &PathBuf> = b.iter().map(|(n, p)| (n.as_str(), p)).collect();
    if !first.keys().eq(second.keys()) {
        let names = |side: &BTreeMap<&str, &PathBuf>| side.keys().copied().collect::<Vec<_>>().join(" ");
        return Err(Error::Mismatch(format!(
            "the outputs are `{}` on one side and `{}` on the other",
            names(&first),
            names(&second)
        )));
    }
    let finder = |side: &BTreeMap<&str, &PathBuf>| {
        side.values()
            .map(|path| StorePath::parse(logical(path.as_os_str().as_bytes())).map_err(Error::Mismatch))
            .collect::<Result<Vec<_>, _>>()
            .map(Finder::new)
    };
    let finders = (finder(&first)?, finder(&second)?);
    for (one, other) in finders.0.paths().iter().zip(finders.1.paths()) {
        if one.bytes().len() != other.bytes().len() {
            return Err(Error::Mismatch(format!("{one} and {other} differ in length, so they have not the same name")));
        }
    }
    let names: Vec<&str> = first.keys().copied().collect();
    let mut report = Report::default();
    tree::compare(
        &tree::Side::read(&names, first.values().copied(), &finders.0)?,
        &tree::Side::read(&names, second.values().copied(), &finders.1)?,
        &mut report,
    )?;
    Ok(report)
}

/// The path as the files mention it: a store below another root (`--store DIR`, `$DESTDIR`) still calls itself `/nix/store`.
fn logical(path: &[u8]) -> &[u8] {
    let name = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
    match path[..name].strip_suffix(b"/nix/store") {
        Some(root) => &path[root.len()..],
        None => path,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.compared;
        match self.differences.len() {
            0 => write!(f, "equal: {entries} files, directories and links")?,
            1 => write!(f, "1 difference in {entries} files, directories and links")?,
            n => write!(f, "{n} differences in {entries} files, directories and links")?,
        }
        for difference in &self.differences {
            write!(f, "\n  {}: {}", difference.file, difference.what)?;
        }
        for excused in &self.excused {
            write!(f, "\n  excused: {}: {}", excused.file, excused.rule)?;
        }
        Ok(())
    }
}

impl fmt::Display for Excuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuildId => f.write_str(
                "the build-id note (.note.gnu.build-id) is a hash of the program as linked, before relocation",
            ),
            Self::Record => f.write_str("RECORD has the digests of files that mention their own package"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyInFirst => f.write_str("only in the first result"),
            Self::OnlyInSecond => f.write_str("only in the second result"),
            Self::Kind(a, b) => write!(f, "is a {a} in one and a {b} in the other"),
            Self::Mode(a, b) => write!(f, "mode {a:04o} against {b:04o}"),
            Self::Target(a, b) => write!(f, "points to `{a}` against `{b}`"),
            Self::HardLink(a, b) if a == b => write!(f, "hard links differ"),
            Self::HardLink(a, b) => {
                write!(f, "is the same file as {a} in one, as {b} in the other")
            }
            Self::Size(a, b) => write!(f, "{a} bytes against {b}"),
            Self::Gzip => f.write_str("gzip members differ in number or in their headers"),
            Self::Content { at, bytes, shown, section, member } => {
                let plural = if *bytes == 1 { "byte differs" } else { "bytes differ" };
                write!(f, "{bytes} {plural}, the first at offset {at:#x}")?;
                if let Some(member) = member {
                    write!(f, " of gzip member {}", member + 1)?;
                }
                if let Some(section) = section {
                    write!(f, " (section {section})")?;
                }
                write!(f, ": `{}` against `{}`", shown.0.escape_ascii(), shown.1.escape_ascii())
            }
        }
    }
}
