//! Everything that needs Nix: its programs, its store and what it says while it builds.
//!
//! Owns the one place that starts Nix ([`spawn`]), the meaning of its failures ([`error`]), the
//! arithmetic of store paths ([`store_path`]), the objects phasesplit itself puts into the store
//! ([`engine`]), the sandbox's view of the machine ([`sandbox`]), the one way to evaluate
//! ([`question`]), and the reading of build events ([`events`]). Must not know how `split.nix` is made: it gets finished Nix text and hands back what Nix did with it.

pub mod attributes;
pub mod build;
pub mod chain;
pub mod closure;
pub mod copy;
pub mod deep;
pub mod drv;
pub mod engine;
pub mod error;
pub mod events;
pub mod fetch;
pub mod gcroots;
pub mod question;
pub mod sandbox;
mod settings;
pub mod spawn;
pub mod store;
pub mod store_path;
pub mod substituters;
pub mod watch;

pub use error::{Cause, NixError};
pub use spawn::{Nix, Tool};
