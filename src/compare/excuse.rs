//! Every rule that excuses a difference: its name, and why it is no difference.
//!
//! A rule is proven on both sides where it is applied (`formats`, `names`, `seed`); here it only has its words.

use std::fmt;

/// A rule that excuses a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Excuse {
    /// The linker's hash of the program as it was linked, with the staged prefix in it.
    BuildId,
    /// The name of a debug file, which is the build-id of its program.
    DebugName,
    /// The checksum of a debug file that is the same but for what is excused.
    DebugLink,
    /// The order of strings in debug information: a compiler's hash table, in which the package's own path lies.
    StringOrder,
    /// What a compiler makes of `-frandom-seed`, which nixpkgs gives it from the output's hash.
    RandomSeed,
    /// The time of a member of an ar archive.
    ArTime,
    /// The time of a member of a tar archive.
    TarTime,
    /// The time in a gzip header.
    GzipTime,
    /// The time of a member of a zip file.
    ZipTime,
    /// The time of the source in Python bytecode.
    PycTime,
    /// The digest of the source in Python bytecode, where the source mentions its own package.
    PycSource,
    /// Python's RECORD: the digest of a file that mentions its own package.
    Record,
    /// The same bytes, packed in another way.
    Packing,
}

impl Excuse {
    /// All rules, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::BuildId,
        Self::DebugName,
        Self::DebugLink,
        Self::StringOrder,
        Self::RandomSeed,
        Self::ArTime,
        Self::TarTime,
        Self::GzipTime,
        Self::ZipTime,
        Self::PycTime,
        Self::PycSource,
        Self::Record,
        Self::Packing,
    ];

    /// The rule's name, for people and for JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BuildId => "build-id",
            Self::DebugName => "debug-name",
            Self::DebugLink => "debug-link",
            Self::StringOrder => "string-order",
            Self::RandomSeed => "random-seed",
            Self::ArTime => "ar-time",
            Self::TarTime => "tar-time",
            Self::GzipTime => "gzip-time",
            Self::ZipTime => "zip-time",
            Self::PycTime => "pyc-time",
            Self::PycSource => "pyc-source",
            Self::Record => "record",
            Self::Packing => "packing",
        }
    }

    /// Why it is no difference.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::BuildId => {
                "the build-id note (.note.gnu.build-id) is a hash of the program as linked, before relocation"
            }
            Self::DebugName => "a debug file is named after the build-id of its program",
            Self::DebugLink => {
                "the checksum in .gnu_debuglink is right on both sides, and the debug file differs only in what is excused"
            }
            Self::StringOrder => {
                "debug information has the same strings in another order, and each offset leads to the same string"
            }
            Self::RandomSeed => "the compiler's -frandom-seed is the first ten characters of the output's hash",
            Self::ArTime => "the time of an ar member; its content is compared",
            Self::TarTime => "the time of a tar member; its content is compared",
            Self::GzipTime => "the time in the gzip header; the content is compared",
            Self::ZipTime => "the time of a zip member; its content is compared",
            Self::PycTime => "the time of the source in a .pyc; the code is compared",
            Self::PycSource => {
                "the .pyc has a digest of its source, which mentions its own package; the code is compared"
            }
            Self::Record => "RECORD has the digests of files that mention their own package",
            Self::Packing => "the same bytes, packed in another way",
        }
    }
}

impl fmt::Display for Excuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.reason())
    }
}
