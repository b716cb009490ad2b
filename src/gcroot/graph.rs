//! Which states keep which: a layer names the state before it, and a state made from a pin the pinned one, so the store keeps
//! those with it. What deleting a root would free follows from that; each store path counts once.
//!
//! Sizes are the lengths of the files in a store path. Only roots of phasesplit are counted: what a `result` link or another
//! root keeps as well is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::disk;
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
    /// How long the chain behind it is; `None` while that is being read.
    depth: Option<usize>,
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

    /// Adds a state, with what it keeps.
    pub(super) fn include(&mut self, path: &str) {
        self.visit(path, None);
    }

    fn visit(&mut self, path: &str, bytes: Option<u64>) -> usize {
        if let Some(number) = self.number(path) {
            return number;
        }
        let bytes = bytes.unwrap_or_else(|| store::size_of(Path::new(path)).unwrap_or(0));
        let number = self.push(path, bytes);
        // Chains are short ([`format::LAYERS`]).
        let mut kept: Vec<usize> = kept_by(path).iter().map(|kept| self.visit(kept, None)).collect();
        // What a state names is older than it. One that a stranger made may say otherwise, and even name itself.
        kept.retain(|kept| self.nodes[*kept].depth.is_some());
        self.set_keeps(number, kept);
        number
    }

    #[cfg(test)]
    pub(super) fn add(&mut self, path: &str, bytes: u64, keeps: Vec<usize>) -> usize {
        let number = self.push(path, bytes);
        self.set_keeps(number, keeps);
        number
    }

    fn push(&mut self, path: &str, bytes: u64) -> usize {
        let number = self.nodes.len();
        self.nodes.push(Node { path: path.to_owned(), bytes, keeps: Vec::new(), depth: None });
        self.numbers.insert(path.to_owned(), number);
        number
    }

    fn set_keeps(&mut self, number: usize, keeps: Vec<usize>) {
        self.nodes[number].depth = Some(keeps.iter().map(|kept| 1 + self.depth(*kept)).max().unwrap_or(0));
        self.nodes[number].keeps = keeps;
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
        self.nodes[state].depth.unwrap_or(0)
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

/// The states that a state names: paths beside it. It may say anything else, and then it keeps nothing by that.
fn kept_by(path: &str) -> Vec<String> {
    let path = Path::new(path);
    let parent = disk::read(&path.join(format::PARENT)).ok();
    let parent = parent.map(|parent| String::from_utf8_lossy(&parent).trim().to_owned());
    let pinned = info::read("look at", path).ok().and_then(|info| info.pinned);
    let is_beside = |kept: &Path| kept.parent() == path.parent() && kept.file_name().is_some() && kept.is_dir();
    let mut kept: Vec<String> = parent.into_iter().chain(pinned).filter(|kept| is_beside(Path::new(kept))).collect();
    kept.dedup();
    kept
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

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

    /// A state from elsewhere may name what it likes: itself, one that names it, or all of the machine.
    #[test]
    fn what_a_stranger_writes_into_a_state_leads_nowhere() {
        let scratch = tempfile::tempdir().expect("a directory");
        let at = |name: &str| scratch.path().join(name).display().to_string();
        for (name, parent) in [
            ("itself", at("itself")),
            ("one", at("two")),
            ("two", at("one")),
            ("root", "/".to_owned()),
            ("above", at("..")),
            ("long", "x".repeat(20 << 20)),
        ] {
            fs::create_dir(scratch.path().join(name)).expect("made");
            fs::write(scratch.path().join(name).join("parent"), parent).expect("written");
        }
        let names = ["itself", "one", "two", "root", "above", "long"].map(at);
        let sizes = names.each_ref().map(|name| store::size_of(Path::new(name)).expect("there"));
        let graph = Graph::read(names.iter().map(String::as_str).zip(sizes));
        let numbers = names.map(|name| graph.number(&name).expect("there"));
        assert_eq!(graph.bytes(&graph.kept(numbers)), sizes.iter().sum::<u64>(), "nothing else is counted");
        let [itself, one, _, root, above, long] = sizes;
        assert_eq!(graph.frees(&numbers), [itself, one, 0, root, above, long]);
        assert_eq!(numbers.map(|number| graph.depth(number)), [0, 1, 0, 0, 0, 0]);
    }
}
