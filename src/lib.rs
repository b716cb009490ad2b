//! phasesplit splits a Nix stdenv package into a chain of derivations, one per phase.
//!
//! Data flows one way, along two lines that only `command` joins:
//!
//! ```text
//! source -> phase -> plan -> render      what the package is -> split.nix (pure: no files, no processes)
//! nix -> state -> gcroot                 what Nix built -> states -> what keeps them
//! ```
//!
//! A module imports only modules to its left. `diagnostic` is the one type for a user's mistakes;
//! `report` turns results into tables; `compare` tells whether two trees are the same package;
//! `explain` why a derivation is another one (pure, on what `source` reads of them); `inspect` what is in a state;
//! `oci` makes images of that and of closures; `sandbox` makes a room like that of Nix's builder; `cache` asks binary caches.

pub mod cache;
pub mod cli;
pub mod command;
pub mod compare;
pub mod diagnostic;
pub mod explain;
pub mod gcroot;
pub mod inspect;
pub mod nix;
pub mod oci;
pub mod phase;
pub mod plan;
pub mod render;
pub mod report;
pub mod sandbox;
pub mod source;
pub mod status;

pub use phasesplit_state as state;
