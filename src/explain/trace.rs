//! From an input that changed down to what changed by itself, by the shortest way.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::difference::{self, Difference, Input, Origin, Pair};
use super::value::name_of;
use super::{InputCause, Step, Why};
use crate::source::drv::Derivations;

/// Two derivations' store paths.
type Drvs = (String, String);

/// Compares derivations and remembers what it found: the inputs of stages, and of their inputs, are mostly the same ones.
pub struct Explainer<'a> {
    drvs: &'a dyn Derivations,
    found: RefCell<BTreeMap<Drvs, Rc<Difference>>>,
}

/// What is at one end of a path of inputs: two explained paths with the same end have the same cause.
pub(super) type End = (String, String);

impl<'a> Explainer<'a> {
    /// Reads derivations through `drvs`.
    pub fn new(drvs: &'a dyn Derivations) -> Self {
        Self { drvs, found: RefCell::default() }
    }

    pub(super) fn drvs(&self) -> &dyn Derivations {
        self.drvs
    }

    /// What two derivations differ in.
    pub(super) fn difference(&self, old: &str, new: &str) -> Result<Rc<Difference>, String> {
        let key = (old.to_owned(), new.to_owned());
        if let Some(found) = self.found.borrow().get(&key) {
            return Ok(Rc::clone(found));
        }
        let found = Rc::new(difference::compare(&*self.drvs.derivation(old)?, &*self.drvs.derivation(new)?, self.drvs));
        self.found.borrow_mut().insert(key, Rc::clone(&found));
        Ok(found)
    }

    /// Why each of these inputs is another one, those with the same reason as one, with what tells the reason apart.
    pub(super) fn inputs(&self, pairs: &[Pair]) -> Vec<(InputCause, End)> {
        let mut causes: Vec<(InputCause, End)> = Vec::new();
        let mut found: Vec<_> = pairs.iter().map(|pair| self.trace(pair)).collect();
        // The shortest way to a reason speaks for all.
        found.sort_by_key(|(cause, _)| cause.path.len());
        for (cause, end) in found {
            match causes.iter_mut().find(|(_, known)| *known == end) {
                Some((known, _)) => known.also.extend(cause.path.into_iter().take(1)),
                None => causes.push((cause, end)),
            }
        }
        causes
    }

    /// Breadth first, so that the first end is one of the nearest; a pair of derivations is looked at once.
    fn trace(&self, start: &Pair) -> (InputCause, End) {
        let mut seen: BTreeSet<Drvs> = BTreeSet::new();
        let mut queue = VecDeque::from([(vec![step(start)], start.old.clone(), start.new.clone())]);
        let mut last_reason = "its derivation is another one, and no attribute or input of it shows why".to_owned();
        while let Some((path, old, new)) = queue.pop_front() {
            let drvs = match ends(&old, &new) {
                Ok(why) => return cause(path, why, (old.path, new.path)),
                Err(drvs) => drvs,
            };
            if !seen.insert(drvs.clone()) {
                continue;
            }
            let difference = match self.difference(&drvs.0, &drvs.1) {
                Ok(difference) => difference,
                Err(reason) => {
                    last_reason = reason;
                    continue;
                }
            };
            if !difference.causes.is_empty() {
                return cause(path, Why::Derivation { causes: difference.causes.clone() }, drvs);
            }
            let further = |pair: &Pair| ([&path[..], &[step(pair)]].concat(), pair.old.clone(), pair.new.clone());
            queue.extend(difference.pairs.iter().map(further));
            if let Some((old, new)) = &difference.parents {
                let pair = self.parents(&drvs, old, new);
                queue.push_back(further(&pair));
            }
        }
        cause(vec![step(start)], Why::Unknown { reason: last_reason }, (start.old.path.clone(), start.new.path.clone()))
    }

    /// The input is the last stage of a chain itself: its stage before is an input as any other.
    fn parents(&self, drvs: &Drvs, old: &str, new: &str) -> Pair {
        let input = |drv: &str, path: &str| {
            let origin = match maker(self.drvs, drv, path) {
                Some(maker) => Origin::Built(maker),
                None => Origin::Unknown(format!("no input of {drv} makes {path}")),
            };
            Input { path: path.to_owned(), origin }
        };
        Pair { attribute: "the stage before".to_owned(), old: input(&drvs.0, old), new: input(&drvs.1, new) }
    }
}

/// The input derivation of `drv` that makes a store path.
pub(super) fn maker(drvs: &dyn Derivations, drv: &str, path: &str) -> Option<String> {
    let drv = drvs.derivation(drv).ok()?;
    drv.input_drvs.keys().find(|input| drvs.derivation(input).is_ok_and(|input| input.makes(path))).cloned()
}

fn step(pair: &Pair) -> Step {
    Step { attribute: pair.attribute.clone(), input: name_of(&pair.new.path).to_owned() }
}

fn cause(path: Vec<Step>, why: Why, end: End) -> (InputCause, End) {
    (InputCause { path, why, also: Vec::new() }, end)
}

/// What can be told of two inputs without looking into their derivations; else these.
fn ends(old: &Input, new: &Input) -> Result<Why, Drvs> {
    let names = (name_of(&old.path), name_of(&new.path));
    let replaced = || Why::Replaced { old: names.0.to_owned(), new: names.1.to_owned() };
    let paths = || (old.path.clone(), new.path.clone());
    match (&old.origin, &new.origin) {
        (Origin::Unknown(reason), _) | (_, Origin::Unknown(reason)) => Ok(Why::Unknown { reason: reason.clone() }),
        (Origin::Built(a), Origin::Built(b)) if a == b => {
            let (old, new) = paths();
            Ok(Why::Output { old, new })
        }
        _ if names.0 != names.1 => Ok(replaced()),
        (Origin::Built(a), Origin::Built(b)) => Err((a.clone(), b.clone())),
        (Origin::Fetched { hash: a, .. }, Origin::Fetched { hash: b, .. }) => {
            Ok(Why::Hash { old: a.clone(), new: b.clone() })
        }
        _ => {
            let (old, new) = paths();
            Ok(Why::Content { old, new })
        }
    }
}

/// The stage in the name of a state: `…-phase-build`.
pub(super) fn stage_in_name(path: &str) -> String {
    let name = name_of(path);
    name.rsplit_once("-phase-").map_or(name, |(_, stage)| stage).to_owned()
}
