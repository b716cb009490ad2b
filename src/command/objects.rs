//! The store objects that a split.nix names: the state engine and the host set.

use super::r#gen::{GenError, GenRequest, Generated};
use super::pkgs::PkgsChoice;
use crate::cli::PackageArgs;
use crate::diagnostic::Problem;
use crate::gcroot::{RootError, Roots};
use crate::nix::engine::{self, EngineError, StoreObject};
use crate::nix::store_path::StorePathError;
use crate::nix::{Cause, Nix};
use crate::status::Status;

/// Fills in the store paths that a request names. They are computed: nothing is looked up or added.
///
/// # Errors
/// Where this program has no state engine, or `NIX_STORE_DIR` is no directory that Nix takes.
pub fn fill(request: &mut GenRequest, arguments: &PackageArgs) -> Result<(), GenError> {
    let engine = match &arguments.engine {
        Some(path) => path.clone(),
        None => path_of(&engine::engine().map_err(|error| no_engine(&error))?)?,
    };
    request.engines = vec![(engine::SYSTEM.to_owned(), engine)];
    request.host_set = match (&arguments.host_set, engine::host_set()) {
        (Some(path), _) => Some(path.clone()),
        (None, Ok(set)) => Some(path_of(&set)?),
        // Only a package that wants it has to do without.
        (None, Err(_)) => None,
    };
    Ok(())
}

/// The objects that a generated file names and this program has, not what the user named instead.
pub fn wanted(generated: &Generated, arguments: &PackageArgs) -> Vec<StoreObject> {
    let mut objects = Vec::new();
    if arguments.engine.is_none() {
        objects.extend(engine::engine());
    }
    if arguments.host_set.is_none() && generated.pkgs == Some(PkgsChoice::Host) {
        objects.extend(engine::host_set());
    }
    objects
}

/// Adds what a generated file names to the store and keeps it from the garbage collector, where there is Nix. Without Nix
/// the file is right all the same, so a failure is told, not returned.
pub fn provide(generated: &Generated, arguments: &PackageArgs) {
    let objects = wanted(generated, arguments);
    if objects.is_empty() {
        return;
    }
    let roots = match Roots::of_user() {
        Ok(roots) => roots,
        Err(error) => return eprintln!("warning: {error}"),
    };
    let nix = Nix::new([]);
    for object in &objects {
        match roots.provide(&nix, object) {
            Ok(_) => {}
            Err(RootError::Nix(error)) if matches!(error.cause, Cause::Missing { .. }) => {
                return eprintln!(
                    "note: Nix is not installed here, so nothing was added to its store; where split.nix is built, run \
                     `phasesplit gen` once, or have a binary cache that holds the state engine"
                );
            }
            Err(error @ RootError::NotKept(_)) => {
                eprintln!("warning: {} is not protected from garbage collection: {error}", object.name());
            }
            Err(error) => eprintln!("warning: {} is not in the Nix store yet: {error}", object.name()),
        }
    }
}

fn path_of(object: &StoreObject) -> Result<String, GenError> {
    object.store_path().map_err(|error: StorePathError| {
        GenError::one(Status::Environment, Problem::new("gen/store-path", error.to_string()))
    })
}

fn no_engine(error: &EngineError) -> GenError {
    GenError::one(Status::Environment, Problem::new("gen/no-engine", error.to_string()).help(error.help()))
}
