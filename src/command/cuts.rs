//! Where phases are cut: `--cut`, and the comments in their scripts.

use super::expansion::{Expansion, ReadFrom};
use super::r#gen::GenError;
use crate::cli::Cut;
use crate::diagnostic::Problem;
use crate::phase::script::{self, CutAt};
use crate::plan::{Entry, Until};
use crate::status::Status;

/// The cuts of each phase that is cut, from the scripts as Nix evaluates them.
///
/// # Errors
/// Where a script is not known, or cannot be cut there.
pub fn find(wanted: &[Cut], chain: &[Entry], expansion: &Expansion) -> Result<Vec<Vec<Until>>, GenError> {
    let mut phases: Vec<&str> = wanted.iter().map(|cut| cut.phase.as_str()).collect();
    phases.sort_unstable();
    phases.dedup();
    let asked = phases.len();
    phases.extend(marked(chain, expansion).into_iter().filter(|phase| !wanted.iter().any(|cut| cut.phase == *phase)));
    let mut found = Vec::new();
    for (number, phase) in phases.into_iter().enumerate() {
        let commands = wanted.iter().filter(|cut| cut.phase == phase).map(|cut| CutAt::Command(cut.command));
        let places: Vec<CutAt> = commands.chain([CutAt::Markers]).collect();
        // A comment is the package's word, an option the user's.
        let status = if number < asked { Status::Usage } else { Status::Input };
        found.push(cuts(phase, &places, expansion).map_err(|error| GenError { status, ..error })?);
    }
    Ok(found)
}

/// The phases whose scripts have a comment that cuts them.
fn marked<'a>(chain: &'a [Entry], expansion: &Expansion) -> Vec<&'a str> {
    let script = |phase: &str| expansion.attributes.as_ref()?.attributes.get(phase)?.text();
    let phases = chain.iter().flat_map(|entry| &entry.phases).map(String::as_str);
    phases.filter(|phase| script(phase).is_some_and(|text| text.contains("phasesplit:"))).collect()
}

fn cuts(phase: &str, places: &[CutAt], expansion: &Expansion) -> Result<Vec<Until>, GenError> {
    let refused = |why: &str| GenError::input(Problem::new("gen/cut", format!("{phase} cannot be cut: {why}")));
    // As nix-lib/cut.nix says it, which has the last word.
    if phase == "unpackPhase" {
        return Err(refused("stdenv enters the source only after the whole of it"));
    }
    let Some(known) = &expansion.attributes else {
        let help = match expansion.from {
            ReadFrom::Drv => "name the package's own file in place of the .drv",
            _ => "cuts need Nix, and a package that it can evaluate",
        };
        let mut error = refused("its script was not evaluated");
        error.problems = error.problems.into_iter().map(|problem| problem.help(help)).collect();
        return Err(error);
    };
    let Some(script) = known.attributes.get(phase).and_then(|value| value.text()) else {
        return Err(refused(
            "the package has no script of that name (a string), so stdenv's or a hook's own function runs",
        ));
    };
    // Its bytes are counted, and such a character may stand for one that Nix could not show.
    if script.contains('\u{fffd}') {
        return Err(refused("its script is not UTF-8"));
    }
    let lengths = script::cut_points(script, &script::analyse(script), places, phase).map_err(|problems| {
        let about = (phase.to_owned(), script.to_owned());
        GenError { status: Status::Input, problems, about, words: String::new() }
    })?;
    Ok(lengths.into_iter().map(|length| Until::new(phase, script, length)).collect())
}
