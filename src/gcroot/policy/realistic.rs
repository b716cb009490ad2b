//! How near `max_size` comes on states as people have them: chains of layers of very different sizes, edited here and there.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // sizes are drawn

use super::super::graph::Graph;
use super::*;

const DAY: f64 = 86_400.0;
const MIB: f64 = 1_048_576.0;
const NOW: u64 = 8_640_000;

/// The stages of a chain, and the bounds of their layers' sizes as shares of the source's.
const STAGES: [(&str, f64, f64); 6] = [
    ("unpack", 1.0, 1.0),
    ("patch", 0.0001, 0.01),
    ("configure", 0.001, 0.1),
    ("build", 0.1, 5.0),
    ("check", 0.0001, 0.1),
    ("install", 0.05, 1.0),
];

/// Random numbers that a seed gives again (`SplitMix64`).
struct Chance(u64);

impl Chance {
    /// From 0 to 1.
    fn part(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 32) as f64 / f64::from(u32::MAX)
    }

    /// Between two sizes, each order of magnitude as often.
    fn size(&mut self, least: f64, most: f64) -> f64 {
        least * (most / least).powf(self.part())
    }

    fn below(&mut self, end: usize) -> usize {
        ((self.part() * end as f64) as usize).min(end - 1)
    }
}

/// So many packages, each built up to so many times from the stage on that was edited, with sources of these sizes in MiB.
fn states(seed: u64, packages: usize, builds: usize, (least, most): (f64, f64)) -> (Vec<Candidate>, Graph) {
    let mut chance = Chance(seed);
    let (mut graph, mut candidates) = (Graph::default(), Vec::new());
    for package in 0..packages {
        let source = chance.size(least, most) * MIB;
        let mut chain: Vec<usize> = Vec::new();
        let mut when = chance.part() * 60.0;
        for build in 0..=chance.below(builds) {
            let edited = if build == 0 { 0 } else { chance.below(STAGES.len()) };
            chain.truncate(edited);
            when += chance.part() * 2.0;
            for (stage, least, most) in &STAGES[edited..] {
                let bytes = (source * chance.size(*least, *most)) as u64 + 5000;
                let below = chain.last().copied().into_iter().collect();
                chain.push(graph.add(&format!("{package}-{build}-{stage}"), bytes, below));
                candidates.push(Candidate {
                    state: chain[chain.len() - 1],
                    group: format!("{package}/{stage}"),
                    package: format!("p{package}-1"),
                    stage: (*stage).to_owned(),
                    last_used: 0,
                    protected: false,
                });
            }
            for candidate in candidates.iter_mut().filter(|candidate| chain.contains(&candidate.state)) {
                candidate.last_used = (when * DAY) as u64;
            }
        }
    }
    (candidates, graph)
}

/// The states that fit one after the other, those used last first, up to the first that does not.
fn newest(candidates: &[Candidate], graph: &Graph, limit: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|at| (std::cmp::Reverse(candidates[*at].last_used), graph.depth(candidates[*at].state), *at));
    let mut kept = BTreeSet::new();
    order.retain(|at| {
        kept.extend(graph.kept([candidates[*at].state]));
        graph.bytes(&kept) <= limit
    });
    order
}

/// The shares of the limits that stay free.
fn free(seed: u64, packages: usize, builds: usize, sources: (f64, f64)) -> Vec<f64> {
    let (candidates, graph) = states(seed, packages, builds, sources);
    let total = graph.bytes(&graph.kept(candidates.iter().map(|candidate| candidate.state)));
    let mut free = Vec::new();
    for share in [0.2, 0.35, 0.5, 0.65, 0.8, 0.95] {
        let limit = (total as f64 * share) as u64;
        let choice = choose(&candidates, &graph, &Policy { max_size: Some(limit), ..Policy::default() }, NOW);
        let gone: BTreeSet<usize> = choice.given_up.iter().map(|(at, _)| *at).collect();
        let kept = graph.kept((0..candidates.len()).filter(|at| !gone.contains(at)).map(|at| candidates[at].state));
        assert_eq!(graph.bytes(&kept), choice.left);
        assert!(choice.left <= limit);
        // What was used last is worth more than room: each stage's last state stays where all that is newer fits with it.
        let mut stages = BTreeSet::new();
        for at in newest(&candidates, &graph, limit) {
            let is_last = stages.insert(&candidates[at].group);
            assert!(!is_last || !gone.contains(&at), "seed {seed}: {:?}", candidates[at]);
        }
        let (_, needs) = choice.next.expect("not all fits");
        assert!(choice.left + needs > limit, "seed {seed}: it had room");
        free.push((limit - choice.left) as f64 / limit as f64);
    }
    free
}

#[test]
fn hundreds_of_states_fill_a_size_to_a_hundredth() {
    for seed in 0..8 {
        for (packages, builds) in [(60, 8), (20, 6)] {
            let free = free(seed, packages, builds, (0.1, 300.0));
            assert!(free.iter().all(|free| *free <= 0.01), "seed {seed}, {packages} packages: {free:?}");
        }
    }
}

/// Where states are few and large no choice may come so near. Where one does, it is found: one that keeps what was used last.
#[test]
fn few_states_come_as_near_as_they_can() {
    let (mut near, mut far) = (0, 0);
    for seed in 0..60 {
        let (candidates, graph) = states(seed, 3, 3, (1.0, 300.0));
        let total = graph.bytes(&graph.kept(candidates.iter().map(|candidate| candidate.state)));
        for share in [0.3, 0.5, 0.7, 0.9] {
            let limit = (total as f64 * share) as u64;
            let newest = newest(&candidates, &graph, limit);
            let (mut stages, mut fixed) = (BTreeSet::new(), BTreeSet::new());
            for at in newest.iter().filter(|at| stages.insert(candidates[**at].group.as_str())) {
                fixed.extend(graph.kept([candidates[*at].state]));
            }
            let others: Vec<usize> =
                candidates.iter().map(|candidate| candidate.state).filter(|at| !fixed.contains(at)).collect();
            if others.len() > 14 {
                continue;
            }
            let best = most(&graph, &others, &fixed, limit);
            let choice = choose(&candidates, &graph, &Policy { max_size: Some(limit), ..Policy::default() }, NOW);
            assert!(
                room::is_far(best, limit) || !room::is_far(choice.left, limit),
                "seed {seed}, {share}: {choice:?}, {best}"
            );
            *if room::is_far(best, limit) { &mut far } else { &mut near } += 1;
        }
    }
    assert!(near > 20 && far > 20, "{near} near, {far} far");
}

/// The most bytes that some of these states, with what they need, take beside what stays: all choices are looked at.
fn most(graph: &Graph, states: &[usize], stays: &BTreeSet<usize>, limit: u64) -> u64 {
    let taken = graph.bytes(stays);
    let Some((first, rest)) = states.split_first() else { return taken };
    let with: BTreeSet<usize> = graph.kept([*first]).union(stays).copied().collect();
    let without = most(graph, rest, stays, limit);
    if with.len() == stays.len() || graph.bytes(&with) > limit {
        return without;
    }
    without.max(most(graph, rest, &with, limit))
}
