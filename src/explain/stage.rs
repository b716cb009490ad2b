//! What phasesplit itself passes to a stage, compared and told as what it means.
//!
//! Whatever is not understood is told as an option that changed: nothing that makes a stage another one stays untold.

use std::collections::BTreeSet;

use super::Cause;
use crate::source::stage_arguments::StageArguments;

/// Options that follow from others, which are told instead: the name and outputs of the package, the place in the chain.
const CONSEQUENCES: [&str; 9] =
    ["package", "stage", "range", "finish", "directory", "scratch", "parent", "given", "outputs"];

/// What two stages' arguments differ in, but for their scripts. `attributes` is what is known of the attributes.
pub(super) fn causes(old: &StageArguments<'_>, new: &StageArguments<'_>, attributes: &[Cause]) -> Vec<Cause> {
    let mut causes = Vec::new();
    if old.pinned() != new.pinned() {
        causes.push(Cause::Pinned { old: old.pinned().map(str::to_owned), new: new.pinned().map(str::to_owned) });
    }
    let (before, now) = (names(old), names(new));
    if before != now {
        causes.push(Cause::Outputs { old: before, new: now });
    } else if old.package() == new.package() && old.outputs() != new.outputs() {
        causes.push(changed(old, new, "outputs"));
    }
    let same_chain = old.option("entries") == new.option("entries");
    if !same_chain {
        let phases = |stage: &StageArguments<'_>| stage.option("entries").unwrap_or_default().replace(',', ", ");
        causes.push(Cause::Chain { old: phases(old), new: phases(new) });
    }
    // Whoever comes after another stage gets what that one would have got first.
    if same_chain && old.option("range") == new.option("range") {
        causes.extend(moved(old, new, attributes));
    }
    causes.extend(held_back(old, new, attributes));
    if old.runtime != new.runtime {
        causes.push(Cause::Runtime);
    }
    if old.option("engine") != new.option("engine") {
        causes.push(Cause::Engine);
    }
    let told = [&CONSEQUENCES[..], &["entries", "later", "engine", "pinned"]].concat();
    let options: BTreeSet<&str> = old.options.keys().chain(new.options.keys()).copied().collect();
    for name in options.into_iter().filter(|name| !told.contains(name)) {
        if old.option(name) != new.option(name) {
            causes.push(changed(old, new, name));
        }
    }
    causes
}

fn names(stage: &StageArguments<'_>) -> Vec<String> {
    stage.outputs().into_keys().map(str::to_owned).collect()
}

fn changed(old: &StageArguments<'_>, new: &StageArguments<'_>, name: &str) -> Cause {
    let value = |stage: &StageArguments<'_>| stage.option(name).map(str::to_owned);
    Cause::Option { name: name.to_owned(), old: value(old), new: value(new) }
}

/// Whether an attribute is known to have changed. `COMMAND=INPUT` is a word that a late input brings, told with the input.
fn is_told(attributes: &[Cause], word: &str) -> bool {
    attributes.iter().any(|cause| matches!(cause, Cause::Attribute { name, .. } if name == word))
}

fn moved(old: &StageArguments<'_>, new: &StageArguments<'_>, attributes: &[Cause]) -> Vec<Cause> {
    let (before, now) = (old.words("given"), new.words("given"));
    let apart =
        before.iter().filter(|word| !now.contains(word)).chain(now.iter().filter(|word| !before.contains(word)));
    apart.filter(|word| !is_told(attributes, word)).map(|word| Cause::Moved { name: (*word).to_owned() }).collect()
}

fn held_back(old: &StageArguments<'_>, new: &StageArguments<'_>, attributes: &[Cause]) -> Option<Cause> {
    let (before, now) = (old.words("later"), new.words("later"));
    let apart = |these: &[&str], those: &[&str]| -> Vec<String> {
        let only = these.iter().filter(|word| !those.contains(word) && !is_told(attributes, word));
        only.map(|word| (*word).to_owned()).collect()
    };
    let (added, removed) = (apart(&now, &before), apart(&before, &now));
    (!added.is_empty() || !removed.is_empty()).then_some(Cause::HeldBack { added, removed })
}
