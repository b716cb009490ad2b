//! Cutting a list of phases into stages.
//!
//! The stage runtime (`nix-lib/runtime`) cuts the list that it finds at build time by [`assign`]'s rule, with the chain of
//! `split.nix` saying which phase is listed where.

use super::Stage;

/// A phase and the stage that runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutPhase {
    /// The stage, one of those that were kept.
    pub stage: Stage,
    /// The phase's name.
    pub phase: String,
}

/// Assigns each phase, in the order in which they run, to a place in a chain whose last place is `last`.
///
/// A listed phase goes to its place. A phase that is not listed goes where the next listed one goes: a hook puts its
/// phase before the one it prepares. Places never go backwards, so that each place runs consecutive phases, and what
/// follows the last listed phase goes to the last place.
pub fn assign<T: Copy + Ord>(phases: &[String], last: T, place: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let mut wanted = Vec::with_capacity(phases.len());
    let mut next = last;
    for phase in phases.iter().rev() {
        next = place(phase).unwrap_or(next);
        wanted.push(next);
    }
    wanted.reverse();
    let mut reached = None;
    for place in &mut wanted {
        let at = reached.map_or(*place, |reached| (*place).max(reached));
        *place = at;
        reached = Some(at);
    }
    wanted
}

/// Cuts an expanded list of phases at the stages that are kept; the phases of the others fall to the next kept stage.
/// [`Stage::Finish`] is always kept.
pub fn cut(phases: &[String], keep: impl Fn(Stage) -> bool) -> Vec<CutPhase> {
    let kept =
        |from: Stage| Stage::ALL.into_iter().find(|stage| *stage >= from && keep(*stage)).unwrap_or(Stage::Finish);
    assign(phases, Stage::Finish, |phase| Stage::of_phase(phase).map(kept))
        .into_iter()
        .zip(phases)
        .map(|(stage, phase)| CutPhase { stage, phase: phase.clone() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::PhaseLists;
    use pretty_assertions::assert_eq;
    use proptest::prelude::*;

    fn list(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn show(phases: &str, keep: impl Fn(Stage) -> bool) -> String {
        cut(&list(phases), keep).iter().map(|one| format!("{}:{}", one.stage, one.phase)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_boundary_ends_its_stage() {
        let all = PhaseLists::default().expand().join(" ");
        assert_eq!(
            show(&all, |_| true),
            "unpack:unpackPhase patch:patchPhase configure:configurePhase build:buildPhase check:checkPhase \
             install:installPhase finish:fixupPhase finish:installCheckPhase finish:distPhase"
        );
    }

    #[test]
    fn a_phase_of_a_hook_goes_with_the_one_it_prepares() {
        assert_eq!(
            show("patchPhase autoreconfPhase configurePhase wrapPhase fixupPhase pytestPhase", |_| true),
            "patch:patchPhase configure:autoreconfPhase configure:configurePhase finish:wrapPhase finish:fixupPhase \
             finish:pytestPhase"
        );
    }

    #[test]
    fn a_dropped_stage_falls_to_the_next() {
        assert_eq!(
            show("unpackPhase patchPhase configurePhase buildPhase checkPhase installPhase", |stage| {
                !matches!(stage, Stage::Unpack | Stage::Patch | Stage::Check)
            }),
            "configure:unpackPhase configure:patchPhase configure:configurePhase build:buildPhase install:checkPhase \
             install:installPhase"
        );
    }

    #[test]
    fn the_order_of_a_custom_list_never_goes_back() {
        assert_eq!(
            show("unpackPhase installPhase buildPhase extraPhase checkPhase", |_| true),
            "unpack:unpackPhase install:installPhase install:buildPhase install:extraPhase install:checkPhase"
        );
        assert_eq!(show("onePhase twoPhase", |_| true), "finish:onePhase finish:twoPhase");
        assert_eq!(show("", |_| true), "");
    }

    proptest! {
        #[test]
        fn any_list_is_cut_in_order_into_kept_stages(
            phases in proptest::collection::vec("(unpack|patch|configure|build|check|install|fixup|dist|a|b)Phase", 0..20),
            dropped in proptest::collection::vec(0usize..7, 0..5),
        ) {
            let keep = |stage: Stage| stage == Stage::Finish || !dropped.contains(&(stage as usize));
            let result = cut(&phases, keep);
            prop_assert!(result.is_sorted_by_key(|one| one.stage));
            prop_assert!(result.iter().all(|one| keep(one.stage)));
            prop_assert_eq!(result.into_iter().map(|one| one.phase).collect::<Vec<_>>(), phases);
        }
    }
}
