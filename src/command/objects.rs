//! The store objects that a split.nix names: the state engine and the host set.

use super::r#gen::{GenError, GenRequest};
use super::pkgs::{self, PkgsChoice};
use crate::cli::PackageArgs;

/// Fills in the store paths that a request names.
pub fn fill(request: &mut GenRequest, arguments: &PackageArgs) -> Result<(), GenError> {
    { request.engines = vec![("x86_64-linux".to_owned(), arguments.engine.clone().unwrap_or_default())]; request.host_set.clone_from(&arguments.host_set); let _ = pkgs::default_choice; let _ = PkgsChoice::Host; Ok(()) }
}
