//! OCI images (image-spec 1.1): a state, with a layer for each state of its chain, what is gone as whiteouts; and the
//! closure of a package, with a layer for each store path or group of them.
//!
//! Of a state, the build directory is where the build had it, each staged output at its prefix, the shell state in
//! `/.phasesplit`. Nothing but the states, or the store paths, decides the bytes, so two machines make the same image.
//!
//! - States: [`tree`] says what is in a layer, [`layer`] writes it, [`image`] the JSON around it.
//! - Closures: [`grouping`] says which paths share a layer, [`store_tree`] writes their archive, [`compress`] makes a layer
//!   of it, [`interpreter`] sees what would not run, [`runtime`] puts it together.
//! - Both: [`blob`] and [`layout`] are what lies in the directory, [`config`] what an image says to those who run it.
//!
//! Must not know Nix or the command line.

pub mod blob;
pub mod compress;
pub mod config;
pub mod grouping;
pub mod image;
pub mod interpreter;
pub mod layer;
pub mod layout;
pub mod runtime;
pub mod store_tree;
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
