//! Which states a policy gives up: pure, on what is known of them.
//!
//! `keep_last` and `keep_stages` protect; `older_than` and `max_size` give up what is not protected; where neither of these is
//! set, all that is not protected is given up. What a running build uses, or the user keeps, is protected always.
//!
//! `max_size` takes the protected states first and then those used last, each with the layers below it that are not counted yet,
//! as long as they fit: so a small state may stay where a larger one that was used later does not fit, and what is left
//! free is less than any state that was given up would need. Where that is more than a hundredth, older states are
//! exchanged for such that fill the room ([`use_room`]).

mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use room::is_far;

use super::graph::Graph;

/// What to keep and what to give up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// So many states of each stage of each package, those used last.
    pub keep_last: Option<usize>,
    /// What was not used for so long is given up.
    pub older_than: Option<Duration>,
    /// The states are to take no more bytes than these.
    pub max_size: Option<u64>,
    /// All states of these stages are kept.
    pub keep_stages: Vec<String>,
    /// Only packages of these names are looked at; none: all.
    pub packages: Vec<String>,
    /// Only these stages are looked at; none: all.
    pub stages: Vec<String>,
}

impl Policy {
    /// Whether it says anything about what to give up or keep.
    pub fn is_empty(&self) -> bool {
        self.keep_last.is_none() && self.older_than.is_none() && self.max_size.is_none() && self.keep_stages.is_empty()
    }

    /// Whether it looks at this stage of this package.
    pub fn covers(&self, package: &str, stage: &str) -> bool {
        (self.packages.is_empty() || self.packages.iter().any(|name| is_name(name, package)))
            && (self.stages.is_empty() || self.stages.iter().any(|name| is_stage(name, stage)))
    }
}

/// Whether a person who writes `name` means the package: all of its name, or all but the version.
pub fn is_name(name: &str, package: &str) -> bool {
    let Some(rest) = package.strip_prefix(name) else { return false };
    rest.is_empty() || rest.strip_prefix('-').is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether a person who writes `name` means the stage; the parts of a cut stage (`build-1`) belong to it.
pub fn is_stage(name: &str, stage: &str) -> bool {
    let rest = stage.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('-').is_some_and(|part| part.parse::<usize>().is_ok()))
}

/// A state that a policy may give up.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its number in the graph.
    pub state: usize,
    /// The states that are counted together for `keep_last`: the same stage of the same package, whatever its version.
    pub group: String,
    /// The package's name.
    pub package: String,
    /// The stage.
    pub stage: String,
    /// When it was used last, in seconds since 1970.
    pub last_used: u64,
    /// Whether no policy may give it up.
    pub protected: bool,
}

/// Why a state is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It is not among those to be kept.
    NotKept,
    /// It was not used for too long.
    Old,
    /// There is no room for it.
    Size,
}

/// What a policy gives up.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Which of the candidates, and why, in the order of the candidates.
    pub given_up: Vec<(usize, Why)>,
    /// What the states that are left keep, in bytes, of those the policy looks at.
    pub left: u64,
    /// Of the candidates that were given up for the size the one used last, and the bytes that it would need.
    pub next: Option<(usize, u64)>,
}

/// Chooses.
pub fn choose(candidates: &[Candidate], graph: &Graph, policy: &Policy, now: u64) -> Choice {
    let mut order: Vec<usize> =
        (0..candidates.len()).filter(|at| policy.covers(&candidates[*at].package, &candidates[*at].stage)).collect();
    // Those used last first; of the same build the states that others need.
    order.sort_by_key(|at| {
        let candidate = &candidates[*at];
        (std::cmp::Reverse(candidate.last_used), graph.depth(candidate.state), *at)
    });
    let mut in_group: BTreeMap<&str, usize> = BTreeMap::new();
    let mut protected = BTreeSet::new();
    for at in &order {
        let candidate = &candidates[*at];
        let place = in_group.entry(&candidate.group).or_default();
        *place += 1;
        let is_last = policy.keep_last.is_some_and(|last| *place <= last);
        let is_kept_stage = policy.keep_stages.iter().any(|stage| is_stage(stage, &candidate.stage));
        if candidate.protected || is_last || is_kept_stage {
            protected.insert(*at);
        }
    }
    let mut why: BTreeMap<usize, Why> = BTreeMap::new();
    for at in order.iter().filter(|at| !protected.contains(at)) {
        let age = Duration::from_secs(now.saturating_sub(candidates[*at].last_used));
        match policy.older_than {
            Some(limit) if age > limit => drop(why.insert(*at, Why::Old)),
            None if policy.max_size.is_none() => drop(why.insert(*at, Why::NotKept)),
            _ => {}
        }
    }
    let state = |at: &usize| candidates[*at].state;
    let mut kept = graph.kept(order.iter().filter(|at| protected.contains(at)).map(state));
    let mut left = graph.bytes(&kept);
    for at in order.iter().filter(|at| !protected.contains(at)) {
        if why.contains_key(at) {
            continue;
        }
        let more: BTreeSet<usize> = graph.kept([state(at)]).difference(&kept).copied().collect();
        let bytes = graph.bytes(&more);
        // A root that costs nothing makes no room either.
        if bytes > 0 && policy.max_size.is_some_and(|limit| left.saturating_add(bytes) > limit) {
            why.insert(*at, Why::Size);
        } else {
            left += bytes;
            kept.extend(more);
        }
    }
    if let Some(limit) = policy.max_size.filter(|limit| room::is_far(left, *limit)) {
        left = use_room(candidates, graph, limit, &order, &protected, &mut why).unwrap_or(left);
    }
    let stays = order.iter().filter(|at| !why.contains_key(at));
    let kept = graph.kept(stays.map(state));
    let next = order.iter().find(|at| why.get(at) == Some(&Why::Size)).map(|at| {
        let more = graph.kept([state(at)]).difference(&kept).copied().collect();
        (*at, graph.bytes(&more))
    });
    Choice { given_up: why.into_iter().collect(), left, next }
}

/// Changes what is given up for its size, where more than a hundredth of the size is free. Gives what is left then.
///
/// Of the states that were used before the first one that had no room, any may make place for others. Where that is not
/// enough, so may those that a newer state of their stage has taken the place of, but only if no more than a hundredth is free
/// then: what was used last is worth more than room.
fn use_room(
    candidates: &[Candidate],
    graph: &Graph,
    limit: u64,
    order: &[usize],
    protected: &BTreeSet<usize>,
    why: &mut BTreeMap<usize, Why>,
) -> Option<u64> {
    let line = order.iter().position(|at| why.get(at) == Some(&Why::Size))?;
    let mut groups = BTreeSet::new();
    let is_newest: Vec<bool> = order.iter().map(|at| groups.insert(candidates[*at].group.as_str())).collect();
    let mut reached = None;
    for with_replaced in [false, true] {
        let (mut fixed, mut free) = (Vec::new(), Vec::new());
        for (place, at) in order.iter().enumerate() {
            if protected.contains(at) || place < line && (is_newest[place] || !with_replaced) {
                fixed.push(candidates[*at].state);
            } else if why.get(at) != Some(&Why::Old) {
                free.push(*at);
            }
        }
        let states: Vec<_> = free.iter().map(|at| (candidates[*at].state, !why.contains_key(at))).collect();
        let mut room = room::Room::new(graph, limit, fixed.into_iter(), &states);
        let left = room.fill();
        if with_replaced && room::is_far(left, limit) {
            break;
        }
        for (at, stays) in free.into_iter().zip(room.stays()) {
            if stays {
                why.remove(&at);
            } else {
                why.insert(at, Why::Size);
            }
        }
        reached = Some(left);
        if !room::is_far(left, limit) {
            break;
        }
    }
    reached
}

#[cfg(test)]
mod realistic;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::graph::tests::graph;
    use super::*;

    const DAY: u64 = 86_400;

    fn candidate(number: usize, package: &str, stage: &str, last_used: u64) -> Candidate {
        let group = format!("{}/{stage}", package.split('-').next().unwrap_or_default());
        Candidate {
            state: number,
            group,
            package: package.to_owned(),
            stage: stage.to_owned(),
            last_used,
            protected: false,
        }
    }

    /// Two builds of a package's three stages, ten days apart; the second shares the first stage's state.
    fn two_builds() -> (Vec<Candidate>, Graph) {
        let graph =
            graph(&[("u", 1, &[]), ("b1", 10, &["u"]), ("i1", 100, &["b1"]), ("b2", 20, &["u"]), ("i2", 200, &["b2"])]);
        let candidates = [("unpack", 10), ("build", 0), ("install", 0), ("build", 10), ("install", 10)];
        let candidates = candidates.iter().enumerate();
        (candidates.map(|(at, (stage, day))| candidate(at, "p-1.0", stage, day * DAY)).collect(), graph)
    }

    fn given_up(policy: &Policy, now: u64) -> Vec<(usize, Why)> {
        let (candidates, graph) = two_builds();
        choose(&candidates, &graph, policy, now).given_up
    }

    #[test]
    fn keep_words_protect_and_limits_give_up() {
        let policy = |text: &dyn Fn(&mut Policy)| {
            let mut policy = Policy::default();
            text(&mut policy);
            policy
        };
        let now = 15 * DAY;
        let last = policy(&|p| p.keep_last = Some(1));
        assert_eq!(given_up(&last, now), [(1, Why::NotKept), (2, Why::NotKept)]);
        assert_eq!(given_up(&policy(&|p| p.keep_last = Some(2)), now), []);
        let old = policy(&|p| p.older_than = Some(Duration::from_secs(14 * DAY)));
        assert_eq!(given_up(&old, now), [(1, Why::Old), (2, Why::Old)]);
        assert_eq!(given_up(&old, 14 * DAY), [], "not older than that");
        assert_eq!(given_up(&Policy { keep_last: Some(1), ..old.clone() }, 100 * DAY), [(1, Why::Old), (2, Why::Old)]);
        let build = Policy { keep_stages: vec!["build".to_owned()], ..old.clone() };
        assert_eq!(given_up(&build, now), [(2, Why::Old)]);
        assert_eq!(given_up(&Policy { stages: vec!["build".to_owned()], ..old.clone() }, now), [(1, Why::Old)]);
        assert_eq!(given_up(&Policy { packages: vec!["q".to_owned()], ..old }, now), []);
        // A version is another package, and its states are the same package's.
        let (mut candidates, graph) = two_builds();
        candidates[3].package = "p-1.1".to_owned();
        assert_eq!(choose(&candidates, &graph, &last, now).given_up.len(), 2);
        // What is in use stays, whatever was asked for.
        for candidate in &mut candidates {
            candidate.protected = candidate.state == 2;
        }
        let nothing = Policy { max_size: Some(0), ..Policy::default() };
        let choice = choose(&candidates, &graph, &nothing, now);
        assert_eq!(choice.given_up.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(choice.left, 111, "it keeps the layers below it, and their roots cost nothing");
    }

    #[test]
    fn room_goes_to_what_was_used_last() {
        let of = |size| {
            let (candidates, graph) = two_builds();
            let choice = choose(&candidates, &graph, &Policy { max_size: Some(size), ..Policy::default() }, 15 * DAY);
            (choice.given_up.iter().map(|(at, _)| *at).collect::<Vec<_>>(), choice.left)
        };
        assert_eq!(of(331), (vec![], 331));
        assert_eq!(of(330), (vec![2], 231));
        assert_eq!(of(221), (vec![1, 2], 221));
        // No room for the newest install: what is older and fits stays.
        assert_eq!(of(220), (vec![4], 131));
        assert_eq!(of(0), (vec![0, 1, 2, 3, 4], 0));
    }

    #[test]
    fn names_with_and_without_version() {
        assert!(is_name("hello", "hello-2.10") && is_name("hello-2.10", "hello-2.10") && is_name("hello", "hello"));
        assert!(
            !is_name("hello", "hello-world-1") && !is_name("hell", "hello-2.10") && !is_name("hello-2.1", "hello-2.10")
        );
        assert!(is_stage("build", "build-1") && is_stage("build", "build") && !is_stage("build", "build.failed"));
    }

    proptest! {
        /// Whatever there is and whatever the limit: it is kept to, and no state that was given up would have had room.
        #[test]
        fn the_limit_is_kept_and_used_up(
            sizes in prop::collection::vec((1_u64..1_000, 0_usize..8, 0_u64..50), 1..60),
            limit in 0_u64..20_000,
        ) {
            let mut graph = Graph::default();
            let mut candidates = Vec::new();
            for (at, (bytes, parent, used)) in sizes.iter().enumerate() {
                let keeps = if *parent == 0 || *parent > at { vec![] } else { vec![at - parent] };
                graph.add(&at.to_string(), *bytes, keeps);
                candidates.push(candidate(at, "p-1", &at.to_string(), *used));
            }
            let policy = Policy { max_size: Some(limit), ..Policy::default() };
            let choice = choose(&candidates, &graph, &policy, 100);
            let gone: BTreeSet<usize> = choice.given_up.iter().map(|(at, _)| *at).collect();
            let kept = graph.kept((0..sizes.len()).filter(|at| !gone.contains(at)));
            prop_assert_eq!(graph.bytes(&kept), choice.left);
            prop_assert!(choice.left <= limit);
            for at in gone {
                let more: BTreeSet<usize> = graph.kept([at]).difference(&kept).copied().collect();
                prop_assert!(choice.left + graph.bytes(&more) > limit, "{at} had room");
            }
        }
    }
}
