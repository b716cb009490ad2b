//! What a stranger's bytes may do to the state engine, as functions that panic where it does more: for `cargo fuzz`, and
//! for the replay in `tests/state_fuzz.rs`.

#![allow(dead_code, reason = "each fuzzer is one of them")]

pub mod manifest;
pub mod relocate;
pub mod restore;
