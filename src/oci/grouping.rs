//! Which store paths share a layer. Pure.
//!
//! An image has no more layers than runtimes take, and a closure may have thousands of paths. A layer is worth what it
//! saves: an image that shares the path, or the next version of this one, does not have to carry its bytes again. How
//! likely that is, nobody can say; how many paths of the closure need a path is a good guess (everything needs the C
//! library, nothing needs the program that is being worked on). So the paths with the most bytes times dependents get
//! layers of their own, and the others share one. What the image is made of, which changes most often, is never in that.

use std::cmp::Reverse;
use std::collections::HashMap;

/// A store path of a closure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePath {
    /// Its full name.
    pub path: String,
    /// The hash of its NAR: what it holds.
    pub hash: String,
    /// Bytes of its NAR.
    pub size: u64,
    /// What it refers to, all of it in the same closure.
    pub references: Vec<String>,
}

/// The layers of a closure, the lowest first, each with indices of `closure` in their order; at most `most` (two at least).
///
/// The lowest are what most others need, so that images made alike share the beginning of their layers too, which some
/// storages go by.
pub fn layers(closure: &[StorePath], roots: &[String], most: usize) -> Vec<Vec<usize>> {
    let dependents = dependents(closure);
    let is_root = |index: usize| roots.contains(&closure[index].path);
    let mut all: Vec<usize> = (0..closure.len()).collect();
    let mut shared = Vec::new();
    if closure.len() > most {
        let mut chosen: Vec<usize> = all.iter().copied().filter(|index| is_root(*index)).collect();
        // Many roots are a set that somebody put together: as good or bad as the rest.
        if chosen.len() > most / 2 {
            chosen.clear();
        }
        let worth = |index: usize| u128::from(closure[index].size) * (dependents[index] as u128 + 1);
        let mut others: Vec<usize> = all.iter().copied().filter(|index| !chosen.contains(index)).collect();
        others.sort_by_key(|&index| (Reverse(worth(index)), &closure[index].path));
        shared = others.split_off(most - 1 - chosen.len());
        shared.sort_by_key(|&index| &closure[index].path);
        chosen.extend(others);
        all = chosen;
    }
    all.sort_by_key(|&index| (is_root(index), Reverse(dependents[index]), &closure[index].path));
    let mut layers: Vec<Vec<usize>> = all.iter().map(|&index| vec![index]).collect();
    if !shared.is_empty() {
        // Above what is more needed, below the roots.
        let at = all.iter().position(|&index| is_root(index)).unwrap_or(all.len());
        layers.insert(at, shared);
    }
    layers
}

/// How many other paths need each path, directly or through others.
fn dependents(closure: &[StorePath]) -> Vec<usize> {
    let places: HashMap<&str, usize> =
        closure.iter().enumerate().map(|(index, path)| (path.path.as_str(), index)).collect();
    let edges: Vec<Vec<usize>> = closure
        .iter()
        .map(|path| path.references.iter().filter_map(|other| places.get(other.as_str()).copied()).collect())
        .collect();
    let mut counts = vec![0; closure.len()];
    // The last path from which each was come by.
    let mut seen = vec![usize::MAX; closure.len()];
    for from in 0..closure.len() {
        seen[from] = from;
        let mut todo = edges[from].clone();
        while let Some(path) = todo.pop() {
            if std::mem::replace(&mut seen[path], from) != from {
                counts[path] += 1;
                todo.extend(&edges[path]);
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(name: &str, size: u64, references: &[&str]) -> StorePath {
        let references = references.iter().map(|&name| name.to_owned()).collect();
        StorePath { path: name.to_owned(), hash: String::new(), size, references }
    }

    fn names<'a>(closure: &'a [StorePath], layers: &[Vec<usize>]) -> Vec<Vec<&'a str>> {
        layers.iter().map(|layer| layer.iter().map(|&index| closure[index].path.as_str()).collect()).collect()
    }

    fn example() -> Vec<StorePath> {
        vec![
            path("app", 50, &["app", "lib", "data", "small"]),
            path("data", 1000, &[]),
            path("lib", 100, &["libc"]),
            path("libc", 100, &["libc"]),
            path("small", 1, &["libc"]),
            path("tiny", 1, &[]),
        ]
    }

    #[test]
    fn with_room_each_has_its_own_and_the_most_needed_are_below() {
        let closure = example();
        let layers = layers(&closure, &["app".to_owned()], 100);
        assert_eq!(names(&closure, &layers), [["libc"], ["data"], ["lib"], ["small"], ["tiny"], ["app"]]);
    }

    #[test]
    fn without_room_the_least_worth_share_one_below_the_package() {
        let closure = example();
        let found = layers(&closure, &["app".to_owned()], 4);
        assert_eq!(names(&closure, &found), [vec!["libc"], vec!["data"], vec!["lib", "small", "tiny"], vec!["app"]]);
        let found = layers(&closure, &["app".to_owned()], 2);
        assert_eq!(names(&closure, &found), [vec!["data", "lib", "libc", "small", "tiny"], vec!["app"]]);
    }

    proptest! {
        #[test]
        fn each_path_is_in_one_layer_whatever_the_order_of_the_closure(
            edges in proptest::collection::vec((0usize..40, 0usize..40), 0..200),
            sizes in proptest::collection::vec(0u64..u64::MAX, 40),
            roots in proptest::collection::btree_set(0usize..40, 1..6),
            most in 2usize..60,
        ) {
            let name = |index: usize| format!("/s/{index:02}");
            let closure: Vec<StorePath> = (0..40).map(|from| StorePath {
                path: name(from),
                hash: String::new(),
                size: sizes[from],
                references: edges.iter().filter(|edge| edge.0 == from).map(|edge| name(edge.1)).collect(),
            }).collect();
            let roots: Vec<String> = roots.into_iter().map(name).collect();
            let found = layers(&closure, &roots, most);
            prop_assert!(found.len() <= most && found.iter().all(|layer| !layer.is_empty()));
            let mut all: Vec<usize> = found.iter().flatten().copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..40).collect::<Vec<_>>());
            let reversed: Vec<StorePath> = closure.iter().rev().cloned().collect();
            let again = layers(&reversed, &roots, most);
            prop_assert_eq!(names(&reversed, &again), names(&closure, &found));
        }
    }
}
