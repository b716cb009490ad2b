//! Phases and stages: what stdenv runs in which order, where the order is cut, and which stage first gets an attribute.
//!
//! Pure functions on values. It must not know Nix syntax, files or how a package was read; `scope` and `late` alone
//! parse text, the tables in `nix-lib` that the Nix side uses too, and `script` the bash of a phase.

mod cut;
mod late;
mod order;
mod runs;
mod scope;
pub mod script;
mod stage;

pub use cut::{CutPhase, assign, cut};
pub use late::InputNames;
pub use order::PhaseLists;
pub use runs::{Runs, Switches};
pub use scope::{ScopeError, Scopes, UNPACK_ATTRIBUTES, scope_table};
pub use stage::{Stage, UnknownStage};
