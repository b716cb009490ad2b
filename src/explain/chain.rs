//! Two chains compared, stage by stage: what each would do, and the first cause of it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::trace::Explainer;
use super::{Cause, InputCause, trace};
use crate::source::drv::Drv;
use crate::source::stage_arguments::StageArguments;

/// A stage of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub stage: String,
    /// Its derivation.
    pub drv: String,
    /// The store path of its state; of the last, the path that stands for the package.
    pub path: String,
}

/// What became of a stage between two chains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Change {
    /// Nothing: its state is the same store path.
    Same,
    /// The other chain has no such stage.
    New,
    /// Its state is another one.
    Changed {
        /// Why, where no stage before it has the same cause already.
        causes: Vec<Cause>,
        /// The stage before it, where that one's state is another too.
        after: Option<String>,
    },
    /// Its state is another one, and a derivation that would say why cannot be read.
    Unreadable {
        /// Why not.
        reason: String,
    },
}

/// What a build would do with a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Its state is in the store.
    Reused,
    /// It is not, and is needed.
    Runs,
    /// It is not, and no stage that runs needs it.
    NotNeeded,
}

/// A stage of the new chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageChange {
    /// The stage's name.
    pub stage: String,
    /// What became of it.
    pub change: Change,
}

/// Compares two chains: each stage of the new one with its namesake. A cause is told with the first stage that has it.
pub fn compare(old: &[Member], new: &[Member], explainer: &Explainer<'_>) -> Vec<StageChange> {
    let mut told = BTreeSet::new();
    let mut changes: Vec<StageChange> = Vec::new();
    for (at, member) in new.iter().enumerate() {
        let change = match old.iter().find(|other| other.stage == member.stage) {
            None => Change::New,
            Some(other) if other.path == member.path => Change::Same,
            Some(other) => match causes(old, new, other, member, explainer) {
                Err(reason) => Change::Unreadable { reason },
                Ok(causes) => {
                    let causes = causes.into_iter().filter(|(_, key)| told.insert(key.clone()));
                    let before = at.checked_sub(1).map(|before| &changes[before]);
                    let after =
                        before.filter(|before| before.change != Change::Same).map(|before| before.stage.clone());
                    Change::Changed { causes: causes.map(|(cause, _)| cause).collect(), after }
                }
            },
        };
        changes.push(StageChange { stage: member.stage.clone(), change });
    }
    changes
}

/// What a build up to the last of these stages would do, from which of their states are in the store.
pub fn verdicts(in_store: &[bool]) -> Vec<Verdict> {
    let mut needed = true;
    let mut verdicts: Vec<Verdict> = in_store
        .iter()
        .rev()
        .map(|there| {
            let verdict = match (*there, needed) {
                (true, _) => Verdict::Reused,
                (false, true) => Verdict::Runs,
                (false, false) => Verdict::NotNeeded,
            };
            needed = needed && !there;
            verdict
        })
        .collect();
    verdicts.reverse();
    verdicts
}

/// All causes, each with a key that tells it from others.
fn causes(
    old: &[Member],
    new: &[Member],
    before: &Member,
    now: &Member,
    explainer: &Explainer<'_>,
) -> Result<Vec<(Cause, String)>, String> {
    let difference = explainer.difference(&before.drv, &now.drv)?;
    let inputs = explainer.inputs(&difference.pairs);
    let follows = |chain: &[Member], member: &Member| -> Result<Option<String>, String> {
        Ok(parent(&*explainer.drvs().derivation(&member.drv)?, chain))
    };
    let (old_parent, new_parent) = (follows(old, before)?, follows(new, now)?);
    let neighbour = (old_parent != new_parent).then_some(Cause::Follows { old: old_parent, new: new_parent });
    let (attributes, rest): (Vec<&Cause>, Vec<&Cause>) =
        difference.causes.iter().partition(|cause| matches!(cause, Cause::Attribute { .. }));
    let own = |cause: &Cause| (cause.clone(), key(cause));
    let mut causes: Vec<(Cause, String)> = attributes.into_iter().map(own).collect();
    causes.extend(inputs.into_iter().map(|(input, end)| (Cause::Input(input), format!("input {} {}", end.0, end.1))));
    causes.extend(neighbour.iter().map(own));
    causes.extend(rest.into_iter().map(own));
    Ok(causes)
}

/// The stage that a stage continues from.
fn parent(drv: &Drv, chain: &[Member]) -> Option<String> {
    let parent = StageArguments::read(drv)?.parent()?.to_owned();
    let known = chain.iter().find(|member| member.path == parent).map(|member| member.stage.clone());
    // A pinned state, or one of a chain that is known in part.
    known.or_else(|| Some(trace::stage_in_name(&parent)))
}

/// Two stages with the same key have the same cause.
fn key(cause: &Cause) -> String {
    match cause {
        Cause::Attribute { name, .. } | Cause::Moved { name } => format!("attribute {name}"),
        Cause::Outputs { .. } => "attribute outputs".to_owned(),
        Cause::Input(InputCause { path, .. }) => format!("input {path:?}"),
        Cause::Inputs { added, removed } => format!("inputs {added:?} {removed:?}"),
        Cause::Builder { .. } => "builder".to_owned(),
        Cause::Script { .. } => "script".to_owned(),
        Cause::System { .. } => "system".to_owned(),
        Cause::Chain { .. } => "chain".to_owned(),
        Cause::Follows { old, new } => format!("follows {old:?} {new:?}"),
        Cause::HeldBack { added, removed } => format!("held back {added:?} {removed:?}"),
        Cause::Pinned { .. } => "pinned".to_owned(),
        Cause::Runtime => "runtime".to_owned(),
        Cause::Engine => "engine".to_owned(),
        Cause::Option { name, .. } => format!("option {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_runs_where_what_needs_it_is_missing() {
        use Verdict::{NotNeeded, Reused, Runs};
        assert_eq!(verdicts(&[true, true, false, false]), [Reused, Reused, Runs, Runs]);
        assert_eq!(verdicts(&[false, true, false]), [NotNeeded, Reused, Runs]);
        assert_eq!(verdicts(&[false, false, true]), [NotNeeded, NotNeeded, Reused]);
        assert_eq!(verdicts(&[false, false]), [Runs, Runs]);
    }
}
