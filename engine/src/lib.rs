//! The archive of a build directory: what `phasesplit-state` does inside a build, and what `phasesplit` reads of it.
//!
//! Owns the format of a state (`format`, `info`, `manifest`, `pax`, `frames`, `file`), writing one (`save`) as the difference to
//! the one before it (`parent`, `chain`, `listing`), reading one (`restore`, `list`), the walk of a tree that both need
//! (`tree`), what may outgrow memory (`spill`, `records`, `index`, `sorter`), the hash of long files (`hashing`), the lock of a stable build directory (`lock`), the end of a stage's log (`log`), the files that are Nix's own (`nix_files`), git's index (`git_index`), what the runtime needs before bash has a PATH (`place`) and the
//! relocation of staged outputs (`relocate`), what these may not name (`foreign`); and the search for names of variables that the build could read: in the
//! source tree (`mentions`), in the shell's text (`reach`).
//!
//! It must not know stages, plans, Nix or the command line of `phasesplit`. The engine is a crate of its own with its own
//! version and lock file, so that a release which leaves it alone leaves its program's bytes alone, hence its store path,
//! and with it every state anyone has built.

pub mod chain;
pub mod entry;
pub mod error;
pub mod file;
pub mod foreign;
pub mod format;
pub mod frames;
pub mod git_index;
mod hashing;
mod index;
pub mod info;
pub mod list;
pub mod listing;
pub mod lock;
pub mod log;
pub mod manifest;
pub mod mentions;
pub mod nix_files;
pub mod parent;
pub mod pax;
pub mod place;
pub mod random;
pub mod reach;
pub mod records;
pub mod relocate;
pub mod restore;
#[cfg(test)]
mod round_trip;
pub mod save;
mod sorter;
pub mod sparse;
pub mod spill;
pub mod tree;

pub use error::{Error, Result};
