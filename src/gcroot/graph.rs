//! Which states keep which: a layer names the state before it, and a state made from a pin the pinned one, so the store keeps
//! those with it. What deleting a root would free follows from that; each store path counts once.
//!
//! Sizes are the lengths of the files in a store path. Only roots of phasesplit are counted: what a `result` link or another
//! root keeps as well is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::nix::store;
use crate::state::{format, info};

/// States and what they keep; a state is known by its number in it.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    numbers: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Node {
    path: String,
    bytes: u64,
    keeps: Vec<usize>,
}

impl Graph {
    /// Of these states with their sizes, and of all that they keep.
    pub fn read<'a>(states: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let mut graph = Self::default();
        for (path, bytes) in states {
            graph.visit(path, Some(bytes));
        }
        graph
    }

    /// The number of a state.
    pub fn number(&self, path: &str) -> Option<usize> {
        self.numbers.get(path).copied()
    }

    fn visit(&mut self, path: &str, bytes: Option<u64>) -> usize {
        if let Some(number) = self.number(path) {
            return number;
        }
        let bytes = bytes.unwrap_or_else(|| store::size_of(Path::new(path)).unwrap_or(0));
        // Chains are short ([`format::LAYERS`]), and nothing keeps itself: its name would have to be known to its builder.
        let kept: Vec<usize> = kept_by(path).iter().map(|kept| self.visit(kept, None)).collect();
        self.add(path, bytes, kept)
    }

    pub(super) fn add(&mut self, path: &str, bytes: u64, keeps: Vec<usize>) -> usize {
        let number = self.nodes.len();
        self.nodes.push(Node { path: path.to_owned(), bytes, keeps });
        self.numbers.insert(path.to_owned(), number);
        number
    }

    /// What these states keep, themselves included.
    pub fn kept(&self, states: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut kept = BTreeSet::new();
        let mut todo: Vec<usize> = states.into_iter().collect();
        while let Some(number) = todo.pop() {
            if kept.insert(number) {
                todo.extend(&self.nodes[number].keeps);
            }
        }
        kept
    }

    /// The store path of a state.
    pub fn path(&self, state: usize) -> &str {
        &self.nodes[state].path
    }

    /// The bytes of a state alone.
    pub fn size(&self, state: usize) -> u64 {
        self.nodes[state].bytes
    }

    /// The bytes of states, each once.
    pub fn bytes(&self, states: &BTreeSet<usize>) -> u64 {
        states.iter().map(|number| self.nodes[*number].bytes).sum()
    }

    /// How long the chain behind a state is.
    pub fn depth(&self, state: usize) -> usize {
        self.nodes[state].keeps.iter().map(|kept| 1 + self.depth(*kept)).max().unwrap_or(0)
    }

    /// What would be freed if each of these roots went, alone; `roots` may name a state more than once.
    pub fn frees(&self, roots: &[usize]) -> Vec<u64> {
        let mut holders = vec![0_usize; self.nodes.len()];
        for root in roots {
            holders[*root] += 1;
        }
        for number in self.kept(roots.iter().copied()) {
            for kept in &self.nodes[number].keeps {
                holders[*kept] += 1;
            }
        }
        roots.iter().map(|root| self.freed(*root, &holders)).collect()
    }

    fn freed(&self, root: usize, holders: &[usize]) -> u64 {
        let mut lost: BTreeMap<usize, usize> = BTreeMap::new();
        let (mut todo, mut freed) = (vec![root], 0);
        while let Some(number) = todo.pop() {
            let lost = lost.entry(number).or_default();
            *lost += 1;
            if *lost == holders[number] {
                freed += self.nodes[number].bytes;
                todo.extend(&self.nodes[number].keeps);
            }
        }
        freed
    }
}

/// The states that a state names.
fn kept_by(path: &str) -> Vec<String> {
    let parent = fs::read_to_string(Path::new(path).join(format::PARENT)).ok().map(|parent| parent.trim().to_owned());
    let pinned = info::read("look at", Path::new(path)).ok().and_then(|info| info.pinned);
    let mut kept: Vec<String> = parent.into_iter().chain(pinned).filter(|kept| Path::new(kept).is_dir()).collect();
    kept.dedup();
    kept
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A graph of states: name, size, what it keeps.
    pub fn graph(states: &[(&str, u64, &[&str])]) -> Graph {
        let mut graph = Graph::default();
        for (path, bytes, keeps) in states {
            let keeps = keeps.iter().map(|kept| graph.number(kept).expect("before it")).collect();
            graph.add(path, *bytes, keeps);
        }
        graph
    }

    #[test]
    fn what_a_root_frees_is_what_nothing_else_keeps() {
        let graph = graph(&[
            ("a", 1, &[]),
            ("b", 10, &["a"]),
            ("c", 100, &["b"]),
            ("d", 1000, &["b"]),
            ("e", 10_000, &["a", "d"]),
        ]);
        let frees = |roots: &[&str]| {
            graph.frees(&roots.iter().map(|name| graph.number(name).expect("there")).collect::<Vec<_>>())
        };
        assert_eq!(frees(&["c"]), [111]);
        assert_eq!(frees(&["a", "b", "c"]), [0, 0, 100]);
        assert_eq!(frees(&["c", "d"]), [100, 1000]);
        assert_eq!(frees(&["c", "c"]), [0, 0]);
        assert_eq!(frees(&["e", "a"]), [11_010, 0]);
        assert_eq!(frees(&["e", "c"]), [11_000, 100]);
        let all = graph.kept([graph.number("e").expect("there")]);
        assert_eq!((graph.bytes(&all), graph.depth(4)), (11_011, 3));
    }

    #[test]
    fn a_layer_keeps_the_one_it_names() {
        let scratch = tempfile::tempdir().expect("a directory");
        let state = |name: &str, parent: Option<&str>| {
            let path = scratch.path().join(name);
            fs::create_dir(&path).expect("made");
            fs::write(path.join("layer.tar.zst"), "12345").expect("written");
            if let Some(parent) = parent {
                fs::write(path.join("parent"), parent).expect("written");
            }
            path.display().to_string()
        };
        let first = state("1", None);
        let second = state("2", Some(&format!("{first}\n")));
        let gone = state("3", Some("/no/such/state"));
        let graph = Graph::read([(second.as_str(), 100), (gone.as_str(), 7)]);
        let [second, gone] = [second, gone].map(|path| graph.number(&path).expect("there"));
        assert_eq!(graph.frees(&[second, gone]), [105, 7]);
        assert!(graph.number(&first).is_some());
    }
}
