//! What may not be passed on unasked: a result that continues from a pinned state is not what its package would give.

use crate::command::refusal::Refusal;
use crate::diagnostic::Problem;
use crate::nix::{copy, drv};

/// Looks whether the paths, or what goes with them, are pinned results other than those that the user named.
///
/// A path whose derivation is no longer in the store is taken for what it says it is.
pub fn check(paths: &[&str], named: &[String]) -> Result<(), Refusal> {
    for (path, deriver) in copy::closure(paths)? {
        if named.contains(&path) {
            continue;
        }
        let Some(drv) = deriver.and_then(|deriver| drv::read(&deriver).ok()) else { continue };
        if let Some(state) = drv::is_pinned(&drv) {
            let what = format!(
                "{path} is not pushed: it continues from the pinned state {state}, so it may not be what its package gives"
            );
            let help = format!(
                "build it without --pin; or, if you want others to get it, `phasesplit cache push --pinned {path}`"
            );
            return Err(Refusal::input(Problem::new("cache/pinned", what).help(help)));
        }
    }
    Ok(())
}
