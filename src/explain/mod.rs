//! Why a stage would run again, from derivations alone: what the last build's said and what the new ones say.
//!
//! Owns the comparison: of values with store paths in them ([`value`]), of two derivations ([`difference`]), down to the input
//! that changed first ([`trace`]), of what phasesplit itself passes to a stage ([`stage`]), and of two chains ([`chain`]); and the
//! words for what it found ([`words`]). Pure: derivations come through
//! [`Derivations`](crate::source::drv::Derivations); no file is opened here and Nix is not asked.
//!
//! It does not live in `plan`: that speaks of a package *before* it is evaluated, and must not know derivations; this knows
//! nothing else, and no package.

mod chain;
mod difference;
mod stage;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod trace;
mod value;
mod words;

use serde::Serialize;

pub use chain::{Change, Member, StageChange, Verdict, compare, verdicts};
pub use trace::Explainer;
pub use value::diff;

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Cause {
    /// An attribute.
    Attribute {
        /// Its name; of a structured one within a set, with dots.
        name: String,
        /// Its text before, absent where it was not there.
        old: Option<String>,
        /// Its text now, absent where it is gone.
        new: Option<String>,
    },
    /// An attribute that is as it was, but now reaches this stage first.
    Moved {
        /// Its name.
        name: String,
    },
    /// Something that it is built with.
    Input(InputCause),
    /// Something that it is built with, named by no attribute.
    Inputs {
        /// The names of those that came.
        added: Vec<String>,
        /// The names of those that went.
        removed: Vec<String>,
    },
    /// The program that builds it.
    Builder {
        /// Before.
        old: String,
        /// Now.
        new: String,
    },
    /// The arguments of its builder; of a stage, the package's own builder script.
    Script {
        /// Before.
        old: String,
        /// Now.
        new: String,
    },
    /// The platform.
    System {
        /// Before.
        old: String,
        /// Now.
        new: String,
    },
    /// The names of the package's outputs.
    Outputs {
        /// Before.
        old: Vec<String>,
        /// Now.
        new: Vec<String>,
    },
    /// The chain is divided otherwise: `--stages`, `--merge`, `--cut`.
    Chain {
        /// The phases of each entry before.
        old: String,
        /// The phases of each entry now.
        new: String,
    },
    /// Another stage comes right before it.
    Follows {
        /// The one before, where there was one.
        old: Option<String>,
        /// The one now, where there is one.
        new: Option<String>,
    },
    /// Which names the stages must not mention, as they come later.
    HeldBack {
        /// Names held back now.
        added: Vec<String>,
        /// Names not held back any more.
        removed: Vec<String>,
    },
    /// A pin.
    Pinned {
        /// The state that was pinned.
        old: Option<String>,
        /// The state that is.
        new: Option<String>,
    },
    /// phasesplit's stage runtime is another version.
    Runtime,
    /// phasesplit's state engine is another version.
    Engine,
    /// An option that phasesplit passes to the stage.
    Option {
        /// Its name.
        name: String,
        /// Before.
        old: Option<String>,
        /// Now.
        new: Option<String>,
    },
}

/// An input that changed, and what made it change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputCause {
    /// From the stage down to the derivation or file that changed by itself.
    pub path: Vec<Step>,
    /// What changed there.
    pub why: Why,
    /// Other inputs of the same stage that changed for the same reason: attribute and input.
    pub also: Vec<Step>,
}

/// From a derivation to one that it needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Step {
    /// The attribute that names it.
    pub attribute: String,
    /// The name of what is needed.
    pub input: String,
}

/// What changed at the end of a path of inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Why {
    /// The content of a file or directory.
    Content {
        /// Its store path before.
        old: String,
        /// Its store path now.
        new: String,
    },
    /// The content that a download must have.
    Hash {
        /// Its hash before.
        old: String,
        /// Its hash now.
        new: String,
    },
    /// Another version, or another name.
    Replaced {
        /// The name before.
        old: String,
        /// The name now.
        new: String,
    },
    /// Another output of the same derivation.
    Output {
        /// The store path before.
        old: String,
        /// The store path now.
        new: String,
    },
    /// The derivation itself.
    Derivation {
        /// What is not as it was.
        causes: Vec<Cause>,
    },
    /// It cannot be told.
    Unknown {
        /// Why not.
        reason: String,
    },
}
