//! The state engine's module, built for the fuzzer without the rest of the library.

#[path = "../src/state/mod.rs"]
pub mod state;
