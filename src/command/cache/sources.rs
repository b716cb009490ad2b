//! What fetchers brought for a chain: its sources, patches and vendored crates.
//!
//! Each stage names them, not only the one that unpacks them: who continues from a state with an edit needs them too, and
//! Nix would fetch them from where they once came from.

use std::collections::BTreeSet;

use super::chains::Package;
use crate::command::refusal::Refusal;
use crate::diagnostic::Problem;
use crate::nix::{Nix, drv, store};
use crate::source::drv::{Derivations as _, DrvOutput};

/// The store paths of those that are here, of all stages of the packages.
pub fn of(packages: &[Package]) -> Result<Vec<String>, Refusal> {
    let reader = drv::Reader::default();
    let read = |path: &str| {
        let unreadable = |message| Refusal::input(Problem::new("cache/sources", message));
        reader.derivation(path).map_err(unreadable)
    };
    let mut found = BTreeSet::new();
    for stage in packages.iter().flat_map(|package| &package.chain.stages) {
        for (input, outputs) in &read(&stage.drv_path)?.input_drvs {
            let input = read(input)?;
            found.extend(outputs.iter().filter_map(|name| match input.outputs.get(name)? {
                DrvOutput::Fixed { path } => Some(path.clone()),
                DrvOutput::Path(_) | DrvOutput::Floating => None,
            }));
        }
    }
    let paths: Vec<&str> = found.iter().map(String::as_str).collect();
    let missing: BTreeSet<String> = store::invalid_paths(&Nix::default(), &paths)?.into_iter().collect();
    Ok(found.difference(&missing).cloned().collect())
}
