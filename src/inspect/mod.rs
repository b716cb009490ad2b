//! Looking into states: what a person asks of them, answered from the manifests alone where that can be.
//!
//! Owns opening a state ([`open`]), which entries a path names ([`select`]), reading content out of layers ([`content`]),
//! taking files out ([`extract`]), the differences between two states ([`diff`], [`patch`]), where the bytes are
//! ([`usage`]), what the shell state says ([`shell`]), and a state as a file system ([`mount`]).
//!
//! A state may come from a stranger: nothing here believes a layer before it has been compared with the manifest, and the
//! shell state is read as data, never run. Must not know Nix, the command line or terminals.

pub mod content;
pub mod diff;
pub mod extract;
pub mod json;
pub mod mount;
pub mod open;
pub mod patch;
pub mod select;
pub mod shell;
#[cfg(test)]
mod tests;
pub mod usage;

pub use open::State;

/// The operation that errors of reading name.
const READ: &str = "read";
