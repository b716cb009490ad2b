//! Constants in code that prove an inlined path, on whatever machine.
//!
//! Owns which finder is for which code.

use super::layout::Kind;
use super::prefix::StorePath;
use super::{arm64::Moves, x86::Immediates};
use std::ops::Range;

/// How a constant that is not rewritten holds a part of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constant {
    /// Four bytes of the path, at least two of the hash.
    Short,
    /// Bytes in reversed order, as comparisons that must tell which is greater load them.
    Reversed,
}

/// Finds constants that are too short, or turned around, to be rewritten.
#[derive(Debug, Clone)]
pub struct Constants {
    x86: Immediates,
    arm64: Moves,
}

impl Constants {
    /// A finder for the parts of `paths`, named by their index.
    #[must_use]
    pub fn new(paths: &[StorePath]) -> Self {
        Self { x86: Immediates::new(paths), arm64: Moves::new(paths) }
    }

    /// Offsets of constants within `bytes[range]`, each with the path it belongs to.
    #[must_use]
    pub fn find(&self, bytes: &[u8], range: Range<usize>, kind: Kind) -> Vec<(usize, usize, Constant)> {
        match kind {
            Kind::CodeX86 => self.x86.find(bytes, range),
            Kind::CodeArm64 => self.arm64.find(bytes, range),
            Kind::Code | Kind::Data | Kind::Plain => Vec::new(),
        }
    }
}
