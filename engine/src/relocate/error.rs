//! What goes wrong, as a person reads it.

use super::content::{Finding, Reason};
use super::judge::What;
use super::prefix::Mapping;
use std::fmt::{self, Write as _};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Files and findings shown before the rest is only counted.
const SHOWN_FILES: usize = 20;
const SHOWN_FINDINGS: usize = 5;

/// A failure of `relocate` or `scan`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is wrong.
    #[error("{0}\nusage: {1}")]
    Usage(String, &'static str),
    /// The system refused an operation.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// A verb, perhaps with more words.
        operation: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file name would become one that exists.
    #[error(
        "cannot rename {} to {}: that exists already\nhelp: the build must not create both names; rename or remove one of them before the finish stage",
        old.display(), new.display()
    )]
    Taken {
        /// The name with the staged hash.
        old: PathBuf,
        /// The name with the real one.
        new: PathBuf,
    },
    /// A file does not fit into this machine's addresses.
    #[error("{} is too large to be searched on this machine", .0.display())]
    TooLarge(PathBuf),
    /// Mentions that cannot be rewritten, or were left.
    #[error("{0}")]
    Refused(Box<Refusal>),
}

impl Error {
    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }
}

/// Everything that was found, by file.
#[derive(Debug)]
pub struct Refusal {
    /// One sentence: what cannot be done or has been found.
    pub summary: &'static str,
    /// What the findings' `path` counts.
    pub mappings: Vec<Mapping>,
    /// By file.
    pub files: Vec<(PathBuf, Vec<Finding>)>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.summary)?;
        let mut helps: Vec<&str> = Vec::new();
        for (path, findings) in self.files.iter().take(SHOWN_FILES) {
            for finding in findings.iter().take(SHOWN_FINDINGS) {
                write!(f, "\n  {}", path.display())?;
                self::finding(f, &self.mappings, finding)?;
                let help = help(&finding.reason);
                if !helps.contains(&help) {
                    helps.push(help);
                }
            }
            if let Some(more @ 1..) = findings.len().checked_sub(SHOWN_FINDINGS) {
                write!(f, "\n  {}: {more} more", path.display())?;
            }
        }
        if let Some(more @ 1..) = self.files.len().checked_sub(SHOWN_FILES) {
            write!(f, "\n  and {more} more files")?;
        }
        for help in helps.into_iter().filter(|help| !help.is_empty()) {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

/// Mentions that stay, and that no program runs on. Displayed as lines for the log, each on its own.
#[derive(Debug, Default)]
pub struct Harmless {
    /// What the findings' `path` counts.
    pub mappings: Vec<Mapping>,
    /// By file.
    pub files: Vec<(PathBuf, Vec<Finding>)>,
}

impl Harmless {
    /// The files that could not be searched, or only in part, and what each is.
    pub fn unsearched(&self) -> impl Iterator<Item = (&Path, &'static str)> {
        self.files.iter().filter_map(|(path, findings)| {
            let what = findings.iter().find_map(|finding| match finding.reason {
                Reason::Opaque(what) => Some(what),
                _ => None,
            });
            Some((path.as_path(), what?))
        })
    }

    /// What a user should know, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut files: Vec<&Path> = self.unsearched().map(|(path, _)| path).collect();
        files.dedup();
        let mut all = Vec::new();
        if !files.is_empty() {
            let named: Vec<String> = files.iter().take(SHOWN_FINDINGS).map(|path| path.display().to_string()).collect();
            let (count, more) = (files.len(), if files.len() > SHOWN_FINDINGS { " …" } else { "" });
            let noun = if count == 1 { "file" } else { "files" };
            all.push(format!("{count} {noun} could not be searched for the staged path: {}{more}", named.join(", ")));
        }
        for (path, findings) in &self.files {
            all.extend(findings.iter().filter_map(|finding| match &finding.reason {
                Reason::Hint(of) => {
                    Some(format!("{} may hold a digest of {of}, which relocation changed", path.display()))
                }
                _ => None,
            }));
        }
        all
    }

    /// The rest.
    #[must_use]
    pub fn stays(&self) -> Self {
        let stays = |finding: &&Finding| !matches!(finding.reason, Reason::Opaque(_) | Reason::Hint(_));
        let files =
            self.files.iter().map(|(path, findings)| (path.clone(), findings.iter().filter(stays).cloned().collect()));
        let files = files.filter(|(_, findings): &(_, Vec<Finding>)| !findings.is_empty()).collect();
        Self { mappings: self.mappings.clone(), files }
    }
}

impl fmt::Display for Harmless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (path, findings)) in self.files.iter().take(SHOWN_FILES).enumerate() {
            let Some(first) = findings.first() else { continue };
            let why = match first.reason {
                Reason::Opaque(_) => "not searched for the staged prefix",
                Reason::Hint(_) => "not known",
                _ => "left as it is, no program runs on it",
            };
            write!(f, "{}{why}: {}", if i > 0 { "\n" } else { "" }, path.display())?;
            finding(f, &self.mappings, first)?;
            if let Some(more @ 1..) = findings.len().checked_sub(1) {
                write!(f, " (and {more} more)")?;
            }
        }
        if let Some(more @ 1..) = self.files.len().checked_sub(SHOWN_FILES) {
            write!(f, "\nleft as it is in {more} more files")?;
        }
        Ok(())
    }
}

fn finding(f: &mut fmt::Formatter<'_>, mappings: &[Mapping], finding: &Finding) -> fmt::Result {
    for member in &finding.members {
        write!(f, ": {member}")?;
    }
    write!(f, ": offset {:#x}", finding.at)?;
    if let Some(section) = &finding.section {
        write!(f, ", section {section}")?;
    }
    if let Some(symbol) = &finding.symbol {
        write!(f, ", in `{symbol}`")?;
    }
    write!(f, ": {}", reason(mappings, finding))
}

fn reason(mappings: &[Mapping], finding: &Finding) -> String {
    let path = mappings.get(finding.path).map_or_else(String::new, |m| m.staged.to_string());
    match &finding.reason {
        Reason::Full => format!("the hash of {path}"),
        Reason::Piece(part) => format!("{} of the hash of {path}", characters(part)),
        Reason::Doubt(What::Gap(gaps)) => {
            let gaps: Vec<String> = gaps.iter().map(characters).collect();
            format!(
                "a constant that holds {path} was compiled into pieces, and {} of its hash are in pieces too small to be found",
                gaps.join(", ")
            )
        }
        Reason::Doubt(What::Short) => format!("an instruction holds four bytes of {path}"),
        Reason::Doubt(What::Reversed) => {
            format!("an instruction holds bytes of {path} in reversed order")
        }
        Reason::Doubt(What::Tail) => format!(
            "a constant seems to begin with the end of {path}, in fewer than 8 bytes because the name is so short"
        ),
        Reason::Doubt(What::OutOfLine) => {
            format!("a part of {path} lies where no compiled constant does")
        }
        Reason::Doubt(What::Shared) => {
            format!("a constant belongs to {path} and to another output's path")
        }
        Reason::Packed(format) => {
            format!("{path} is mentioned in {format} data, which is not packed again")
        }
        Reason::PackedSection => format!("{path} is mentioned in compressed LTO data, from which programs are linked"),
        Reason::PackedDebug(_) => format!("{path} is mentioned in compressed debug information"),
        Reason::Seed => format!("the first characters of the hash of {path}, as the seed of a compiler"),
        Reason::Gzip => {
            format!("{path} is mentioned in a gzip member that is over 1 GiB or describes its own compressed blocks")
        }
        Reason::InArchive => {
            format!("{path} is mentioned in a compressed file inside an archive, whose size would change")
        }
        Reason::Foreign(name) => {
            format!("{path} is mentioned in {name}, which would not be whole with another text of that length")
        }
        Reason::Bitcode => format!("{path} is mentioned in LLVM bitcode, from which programs are made"),
        Reason::Digest { name, of } => {
            format!("the {name} of {of}, which relocation changes, cannot be rewritten here")
        }
        Reason::ShortDigest(of) => {
            format!("what seems to be a checksum or the beginning of a digest of {of}, which relocation changes")
        }
        Reason::Hint(of) => format!("may hold a digest of {of}, which relocation changes"),
        Reason::Opaque(name) => format!("{name}, which cannot be searched"),
        Reason::Signed => format!("{path} is mentioned in a zip file whose contents are signed"),
        Reason::Encoded(form) => format!("{path} is mentioned in {form}"),
    }
}
/// "characters 5 to 7", counted from one as people do.
fn characters(part: &Range<usize>) -> String {
    let mut text = String::new();
    let _ = if part.len() == 1 {
        write!(text, "character {}", part.end)
    } else {
        write!(text, "characters {} to {}", part.start + 1, part.end)
    };
    text
}

fn help(reason: &Reason) -> &'static str {
    match reason {
        Reason::Full | Reason::Piece(_) => {
            "a phase of the finish stage wrote the staged prefix; use $out there, or the file holds it in a form that relocation does not know"
        }
        Reason::Doubt(_) => {
            "build that file so that the path stays one string (-O1, -fno-builtin, or without -mno-sse), or use the unsplit build"
        }
        Reason::Packed(_) | Reason::Gzip | Reason::InArchive | Reason::Foreign(_) | Reason::Signed => {
            "make that file in a phase of the finish stage (preFixup), where $out is the real path, or use the unsplit build"
        }
        Reason::PackedSection | Reason::Bitcode => {
            "build that file without -flto, with -ffat-lto-objects and the LTO sections stripped, or use the unsplit build"
        }
        Reason::Digest { .. } | Reason::ShortDigest(_) => {
            "make the file with the digest in a phase of the finish stage (preFixup), where the other one is as it stays, or use the unsplit build"
        }
        Reason::Encoded(_) => {
            "make that text in a phase of the finish stage (preFixup), where $out is the real path, build a program so that a wide string stays one string (-O1, -fno-builtin), or use the unsplit build"
        }
        Reason::PackedDebug(_) | Reason::Seed | Reason::Opaque(_) | Reason::Hint(_) => "",
    }
}
