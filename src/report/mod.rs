//! Turns results into what a person reads: tables, sizes, times, and progress while Nix builds.
//!
//! The one table printer and the one progress display. Must not know Nix or packages.

pub mod human;
pub mod progress;
pub mod table;
