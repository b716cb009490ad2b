//! Uses the room that is left under a size: some of the states that stay go, and others fill it better. Pure.
//!
//! Which may go, the caller says; what stays by its age alone is not touched. Nothing is exchanged unless that leaves less free.

use std::collections::{BTreeMap, BTreeSet};

use super::super::graph::Graph;

/// How many exchanges are made at most. Each leaves less free, and with many states a few are enough.
const EXCHANGES: usize = 50;

/// How many states a search may take in or leave out, and among how many it is made: with more, exchanges are enough.
const STEPS: usize = 5_000;
const SEARCHED: usize = 200;

/// Whether more than a hundredth of the size is free.
pub fn is_far(left: u64, limit: u64) -> bool {
    limit.saturating_sub(left) > limit / 100
}

/// A choice that may be changed.
pub struct Room<'a> {
    graph: &'a Graph,
    limit: u64,
    /// What stays, with the states below it.
    fixed: BTreeSet<usize>,
    /// What may stay or go; those used last come first.
    free: Vec<Free>,
    /// Of what may stay, which is or needs a state.
    above: BTreeMap<usize, Vec<usize>>,
    /// How many of those that stay and may go are or need a state.
    needed: BTreeMap<usize, usize>,
    left: u64,
}

struct Free {
    state: usize,
    /// It and the states below it.
    kept: BTreeSet<usize>,
    stays: bool,
}

impl<'a> Room<'a> {
    /// Of the states that stay whatever happens, and those that may, with whether they do.
    pub fn new(graph: &'a Graph, limit: u64, fixed: impl Iterator<Item = usize>, free: &[(usize, bool)]) -> Self {
        let fixed = graph.kept(fixed);
        let left = graph.bytes(&fixed);
        let (above, needed) = (BTreeMap::<usize, Vec<usize>>::new(), BTreeMap::new());
        let mut room = Self { graph, limit, fixed, free: Vec::new(), above, needed, left };
        for (at, (state, stays)) in free.iter().enumerate() {
            let kept = graph.kept([*state]);
            for below in &kept {
                room.above.entry(*below).or_default().push(at);
            }
            room.free.push(Free { state: *state, kept, stays: false });
            if *stays {
                room.add(at);
            }
        }
        room
    }

    /// Exchanges until no more than a hundredth is free or nothing helps; then searches, where there are few. Gives the bytes of
    /// what stays.
    pub fn fill(&mut self) -> u64 {
        for _ in 0..EXCHANGES {
            self.add_what_fits();
            if !is_far(self.left, self.limit) || !self.exchange() {
                break;
            }
        }
        if is_far(self.left, self.limit) && self.free.len() <= SEARCHED {
            self.search();
        }
        self.add_what_fits();
        self.left
    }

    /// Puts the first choice in place of this one that leaves no more than a hundredth free, of all that there are: those come
    /// first that have what was used last. Leaves it where there is none, or too many to look at.
    fn search(&mut self) {
        let before: Vec<usize> = (0..self.free.len()).filter(|at| self.free[*at].stays).collect();
        for at in &before {
            self.remove(*at);
        }
        // What those from one on could add at most.
        let (mut rest, mut seen) = (vec![0; self.free.len() + 1], self.fixed.clone());
        for at in (0..self.free.len()).rev() {
            let new = self.free[at].kept.iter().filter(|state| seen.insert(**state));
            rest[at] = rest[at + 1] + new.map(|state| self.graph.size(*state)).sum::<u64>();
        }
        let mut steps = STEPS;
        if !self.search_from(0, &rest, &mut steps) {
            for at in before {
                self.add(at);
            }
        }
    }

    fn search_from(&mut self, at: usize, rest: &[u64], steps: &mut usize) -> bool {
        if !is_far(self.left, self.limit) {
            return true;
        }
        if *steps == 0 || at == self.free.len() || is_far(self.left.saturating_add(rest[at]), self.limit) {
            return false;
        }
        *steps -= 1;
        let more = self.more(at);
        if more > 0 && self.left + more <= self.limit {
            self.add(at);
            if self.search_from(at + 1, rest, steps) {
                return true;
            }
            self.remove(at);
        }
        self.search_from(at + 1, rest, steps)
    }

    /// Whether each of those that may stay does.
    pub fn stays(&self) -> impl Iterator<Item = bool> {
        self.free.iter().map(|free| free.stays)
    }

    /// What one more would need.
    fn more(&self, at: usize) -> u64 {
        let is_new = |state: &&usize| !self.fixed.contains(state) && self.needed.get(state).is_none_or(|n| *n == 0);
        self.free[at].kept.iter().filter(is_new).map(|state| self.graph.size(*state)).sum()
    }

    fn add(&mut self, at: usize) {
        self.left += self.more(at);
        self.free[at].stays = true;
        for state in &self.free[at].kept {
            *self.needed.entry(*state).or_default() += 1;
        }
    }

    fn remove(&mut self, at: usize) {
        self.free[at].stays = false;
        for state in &self.free[at].kept {
            if let Some(needed) = self.needed.get_mut(state) {
                *needed -= 1;
            }
        }
        self.left -= self.more(at);
    }

    fn add_what_fits(&mut self) {
        for at in 0..self.free.len() {
            if !self.free[at].stays {
                let more = self.more(at);
                // A root that costs nothing makes no room either.
                if more == 0 || self.left + more <= self.limit {
                    self.add(at);
                }
            }
        }
    }

    /// Puts others in the place of one and all that need that: the one longest not used with which a hundredth is free, else
    /// the one with which least is. False where nothing leaves less free.
    fn exchange(&mut self) -> bool {
        let before = self.left;
        let mut best: Option<(u64, Vec<usize>, Vec<usize>)> = None;
        for at in (0..self.free.len()).rev() {
            let state = self.free[at].state;
            if !self.free[at].stays || self.fixed.contains(&state) {
                continue;
            }
            let gone: Vec<usize> = self.above[&state].iter().copied().filter(|above| self.free[*above].stays).collect();
            for above in &gone {
                self.remove(*above);
            }
            let mut instead = Vec::new();
            while let Some(largest) = self.largest_that_fits(&gone) {
                self.add(largest);
                instead.push(largest);
            }
            let left = self.left;
            for added in &instead {
                self.remove(*added);
            }
            for above in &gone {
                self.add(*above);
            }
            if left > before && best.as_ref().is_none_or(|(most, ..)| left > *most) {
                best = Some((left, gone, instead));
                if !is_far(left, self.limit) {
                    break;
                }
            }
        }
        let Some((_, gone, instead)) = best else { return false };
        for above in gone {
            self.remove(above);
        }
        for added in instead {
            self.add(added);
        }
        true
    }

    fn largest_that_fits(&self, gone: &[usize]) -> Option<usize> {
        let others = (0..self.free.len()).filter(|other| !self.free[*other].stays && !gone.contains(other));
        let needs = others.map(|other| (self.more(other), other));
        let fits = needs.filter(|(more, _)| *more > 0 && self.left + more <= self.limit);
        // Of two equal ones the one used last.
        fits.max_by_key(|(more, other)| (*more, std::cmp::Reverse(*other))).map(|(_, other)| other)
    }
}
