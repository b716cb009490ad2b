//! What differs, in words.

use std::fmt;
use std::ops::Range;

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
        /// Function or object of the first.
        symbol: Option<String>,
    },
    /// An archive's members, by name: those that the other does not have at this place.
    Members(Vec<String>, Vec<String>),
}

/// Where in a file a difference lies: what it takes to say that two comparisons found the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    /// The file as a whole.
    Whole,
    /// Bytes, at the same offsets on both sides.
    Bytes(Vec<Range<usize>>),
    /// Lines that were replaced: ranges (from 0) of the first side and of the second.
    Lines(Vec<(Range<usize>, Range<usize>)>),
}

impl What {
    /// The kind of difference, for JSON.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::OnlyInFirst => "only-in-first",
            Self::OnlyInSecond => "only-in-second",
            Self::Kind(..) => "kind",
            Self::Mode(..) => "mode",
            Self::Target(..) => "target",
            Self::HardLink(..) => "hard-link",
            Self::Size(..) => "size",
            Self::Content { .. } => "content",
            Self::Members(..) => "members",
        }
    }

    /// The difference in words, with what the two sides are called.
    #[must_use]
    pub fn describe(&self, sides: [&str; 2]) -> String {
        match self {
            Self::OnlyInFirst => format!("only in {}", sides[0]),
            Self::OnlyInSecond => format!("only in {}", sides[1]),
            Self::Kind(a, b) => format!("is a {a} in {} and a {b} in {}", sides[0], sides[1]),
            Self::Mode(a, b) => format!("mode {a:04o} against {b:04o}"),
            Self::Target(a, b) => format!("points to `{a}` against `{b}`"),
            Self::HardLink(a, b) if a == b => "hard links differ".to_owned(),
            Self::HardLink(a, b) => format!("is the same file as {a} in {}, as {b} in {}", sides[0], sides[1]),
            Self::Size(a, b) => format!("{a} bytes against {b}"),
            Self::Members(a, b) => {
                let list = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(" ") };
                format!("the members differ: {} in {}, {} in {}", list(a), sides[0], list(b), sides[1])
            }
            Self::Content { at, bytes, shown, section, symbol } => {
                let place = match (section, symbol) {
                    (Some(section), Some(symbol)) => format!(" (section {section}, {symbol})"),
                    (Some(section), None) => format!(" (section {section})"),
                    (None, _) => String::new(),
                };
                let plural = if *bytes == 1 { "byte differs" } else { "bytes differ" };
                format!(
                    "{bytes} {plural}, the first at offset {at:#x}{place}: `{}` against `{}`",
                    shown.0.escape_ascii(),
                    shown.1.escape_ascii()
                )
            }
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(["the first result", "the second"]))
    }
}
