//! A state as an OCI image (image-spec 1.1): a layer for each state of its chain, what is gone as whiteouts.
//!
//! The build directory is where the build had it, each staged output at its prefix, the shell state in `/.phasesplit`.
//! Nothing but the states decides the bytes, so two machines make the same image. [`tree`] says what is in a layer,
//! [`layer`] writes it, [`image`] the JSON around it.
//!
//! Must not know Nix or the command line.

pub mod image;
pub mod layer;
pub mod tree;

use std::path::PathBuf;

use crate::inspect::State;
use crate::state::Result;

/// The states that an image of `state` has layers for: those of its chain, and where the chain was begun anew in the
/// middle, only those since.
///
/// # Errors
/// Parents that are missing or damaged.
pub fn states(state: &State) -> Result<Vec<State>> {
    let chain: Vec<PathBuf> = state.chain()?;
    chain.iter().map(|path| State::open(path)).collect()
}
