//! Whether two results are the same package.
//!
//! Owns the meaning of *equal modulo the package's own hash* (DESIGN.md §3.4): the two results lie at different store paths, so where each
//! mentions its own, fully or in a piece, the bytes may differ. Nothing else is excused but what [`Excuse`] lists.
//! Compared: the shape of the trees, kinds, modes, symlink targets, hard links, contents; archives and compressed files by what is in them.
//! Not compared: owners and times, which the Nix store makes the same for all. Knows nothing of how the results came about.

//!
//! ```text
//! spans     ranges of bytes: what differs, less what is explained
//! seed      words that stand for each other            (of -frandom-seed, of build-ids)
//! context   what is known of the two packages
//! show      differences for people
//! content   one file: bytes, or by its format           (formats/*)
//! unpacked  ELF files without the compression of their sections
//! names     files named after build-ids
//! tree      files and directories
//! stable    what a package does not agree with itself about
//! ```

mod content;
mod context;
mod excuse;
mod formats;
mod names;
mod record;
mod seed;
mod show;
mod spans;
mod stable;
mod tree;
mod unpacked;
mod what;

pub use excuse::Excuse;
pub use stable::unstable;
pub use what::{Places, What};

use crate::state::relocate::prefix::StorePath;
use crate::state::relocate::runs::Finder;
use context::{Context, Side};
use std::collections::{BTreeMap, HashMap};
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
    /// The way to the member of an archive, outermost first; empty for the file itself.
    pub members: Vec<String>,
    /// What differs.
    pub what: What,
    /// Lines that show it: those with `-` are the first side's, those with `+` the second's.
    pub shown: Vec<String>,
    /// Where in the file or member.
    pub places: Places,
}

/// A difference that does not count, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excused {
    /// As [`Difference::file`].
    pub file: String,
    /// The rule.
    pub rule: Excuse,
    /// In how many of an archive's members, or 1.
    pub times: usize,
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
    compare_split(a, b, &[])
}

/// As [`compare_packages`], where the first was built with staged prefixes, which `staged` names: compilers were given parts of
/// them as seeds.
///
/// # Errors
/// As there; and where a staged prefix is no store path.
pub fn compare_split(a: Outputs, b: Outputs, staged: Outputs) -> Result<Report, Error> {
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
        side.values().map(|path| store_path(path)).collect::<Result<Vec<_>, _>>().map(Finder::new)
    };
    let finders = [finder(&first)?, finder(&second)?];
    let mut words = Vec::new();
    for ((one, other), name) in finders[0].paths().iter().zip(finders[1].paths()).zip(first.keys()) {
        if one.bytes().len() != other.bytes().len() {
            return Err(Error::Mismatch(format!("{one} and {other} differ in length, so they have not the same name")));
        }
        words.extend(seed::words_of_seed(one.hash(), other.hash()));
        for (_, path) in staged.iter().filter(|(output, _)| output == name) {
            words.extend(seed::words_of_seed(store_path(path)?.hash(), other.hash()));
        }
    }
    let names = first.keys().map(|name| (*name).to_owned()).collect();
    let context = Context { names, finders, words, debug_files: HashMap::new() };
    compare_trees(context, first.values().copied(), second.values().copied())
}

/// Compares a result with what the same derivation gave when it was built again, of which some outputs were kept: `kept` are
/// the outputs of the first build, `copies` those of the second, by the same names but at paths of their own (`<path>.check`).
/// Both mention `all` the outputs' paths of the first.
///
/// # Errors
/// As [`compare_packages`].
pub fn compare_rebuilt(all: Outputs, kept: Outputs, copies: Outputs) -> Result<Report, Error> {
    let mut paths = Vec::new();
    let mut names = Vec::new();
    // The outputs that have trees come first: a tree is read for each name that has a root.
    let others = all.iter().filter(|(name, _)| !kept.iter().any(|(known, _)| known == name));
    for (name, path) in kept.iter().chain(others) {
        paths.push(store_path(path)?);
        names.push(name.clone());
    }
    let finders = [Finder::new(paths.clone()), Finder::new(paths)];
    let copy_of = |name: &str| copies.iter().find(|(copy, _)| copy == name).map(|(_, path)| path);
    let copies: Vec<&PathBuf> = kept.iter().filter_map(|(name, _)| copy_of(name)).collect();
    if copies.len() != kept.len() {
        return Err(Error::Mismatch("an output was not kept when it was built again".to_owned()));
    }
    let context = Context { names, finders, words: Vec::new(), debug_files: HashMap::new() };
    compare_trees(context, kept.iter().map(|(_, path)| path), copies.into_iter())
}

fn compare_trees<'a>(
    mut context: Context,
    first: impl Iterator<Item = &'a PathBuf>,
    second: impl Iterator<Item = &'a PathBuf>,
) -> Result<Report, Error> {
    let mut trees =
        [tree::Tree::read(&context, Side::First, first)?, tree::Tree::read(&context, Side::Second, second)?];
    let [one, other] = &mut trees;
    names::pair(&mut context, one, other);
    trees.iter_mut().for_each(tree::Tree::link);
    let mut report = Report::default();
    tree::compare(&context, &trees[0], &trees[1], &mut report)?;
    Ok(report)
}

fn store_path(path: &std::path::Path) -> Result<StorePath, Error> {
    StorePath::parse(logical(path.as_os_str().as_bytes())).map_err(Error::Mismatch)
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
            write!(f, "\n  {}: {}", difference.place(), difference.what)?;
        }
        for excused in &self.excused {
            write!(f, "\n  excused: {}: {}", excused.file, excused.rule)?;
        }
        Ok(())
    }
}

impl Difference {
    /// The file, and the way to the member in it.
    #[must_use]
    pub fn place(&self) -> String {
        let way = self.members.iter().map(|member| format!(", {member}"));
        std::iter::once(self.file.clone()).chain(way).collect()
    }
}
