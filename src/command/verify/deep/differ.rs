//! Where two states of one stage differ, and what of that says nothing because two plain runs differ there too.
//!
//! Times do not count. The shell is compared part by part, without the variables that the stage was given on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::command::refusal::Refusal;
use crate::command::state::output;
use crate::command::state::vars::shell_of;
use crate::inspect::State;
use crate::inspect::diff::{self, Change};
use crate::inspect::shell::{self, Part, Shell};
use crate::state::entry::split_parent;
use crate::state::format;
use crate::state::manifest::{self, Record};

/// A state and its shell, read.
#[derive(Debug)]
pub struct Opened {
    /// The state.
    pub state: State,
    /// Its shell.
    pub shell: Shell,
}

impl Opened {
    /// Reads both.
    pub fn at(path: &str) -> Result<Self, Refusal> {
        let state = State::open(path.as_ref())?;
        let shell = shell_of(&state)?;
        Ok(Self { state, shell })
    }
}

/// What may differ between two states.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// An entry of the tree, by its path in the archive.
    Entry(Vec<u8>),
    /// A part of the shell, by its name.
    Shell(Part, Vec<u8>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(path) => output::shown(path).fmt(f),
            Self::Shell(Part::Other, name) => write!(f, "the shell's {}", output::shown(name)),
            Self::Shell(part, name) => write!(f, "the shell's {} {}", part.word(), output::shown(name)),
        }
    }
}

/// Places that differ, and how. What was renamed is gone in one place and new in the other.
pub type Differences = BTreeMap<Place, Change>;

/// What differs between two states of a stage; `given` are names of variables that do not count.
pub fn differences(before: &Opened, after: &Opened, given: &BTreeSet<String>) -> Differences {
    let mut found = Differences::new();
    for difference in diff::compare(&before.state, &after.state, false).differences {
        let path = |side: Option<(usize, &Record)>| side.map(|(_, record)| record.entry.path.clone());
        let (old, new) = (path(difference.before), path(difference.after));
        if difference.change == Change::Renamed {
            found.extend(old.map(|path| (Place::Entry(path), Change::Removed)));
            found.extend(new.map(|path| (Place::Entry(path), Change::Added)));
        } else {
            found.extend(new.or(old).map(|path| (Place::Entry(path), difference.change)));
        }
    }
    // It is compared as what it means, and it says what the stage searched for.
    found.remove(&Place::Entry(format::SHELL.to_vec()));
    let is_given = |name: &[u8]| std::str::from_utf8(name).is_ok_and(|name| given.contains(name));
    let parts = shell::compare(&before.shell, &after.shell).into_iter();
    let parts = parts.filter(|part| !(part.part == Part::Variable && is_given(&part.name)));
    found.extend(parts.map(|part| (Place::Shell(part.part, part.name), part.change)));
    found
}

/// What differs between two runs of the same stage.
#[derive(Debug, Default)]
pub struct Noise {
    places: Differences,
    /// Directories in which each run makes entries of other names (`tmp.Xa81`).
    unsteady: BTreeSet<Vec<u8>>,
}

impl Noise {
    /// Of two plain runs, and what differs between them.
    pub fn of(plain: &Opened, again: &Opened, differences: Differences) -> Self {
        let new = anchors(&differences, Change::Added, plain.state.records());
        let gone = anchors(&differences, Change::Removed, again.state.records());
        Self { unsteady: new.intersection(&gone).cloned().collect(), places: differences }
    }

    /// Whether a difference between the plain run and another says nothing.
    pub fn excuses(&self, place: &Place, change: Change, plain: &Opened, other: &Opened) -> bool {
        match self.places.get(place) {
            // Its mode or its links change by themselves: its content does not.
            Some(Change::Metadata) => change == Change::Metadata,
            Some(_) => true,
            None => {
                let Place::Entry(path) = place else { return false };
                let base = match change {
                    Change::Added => plain,
                    Change::Removed => other,
                    _ => return false,
                };
                self.unsteady.contains(anchor(path, base.state.records()))
            }
        }
    }

    /// Adds what one more plain run differs in.
    pub fn learn(&mut self, differences: Differences) {
        self.places.extend(differences);
    }
}

/// The directories that both runs have, in which entries came or went.
fn anchors(differences: &Differences, change: Change, others: &[Record]) -> BTreeSet<Vec<u8>> {
    let entries = differences.iter().filter(|(_, found)| **found == change);
    let paths = entries.filter_map(|(place, _)| match place {
        Place::Entry(path) => Some(anchor(path, others).to_vec()),
        Place::Shell(..) => None,
    });
    paths.collect()
}

/// The nearest directory above `path` that is among the records.
fn anchor<'a>(path: &'a [u8], records: &[Record]) -> &'a [u8] {
    let mut above = split_parent(path).0;
    while !above.is_empty() && manifest::find(records, above).is_none() {
        above = split_parent(above).0;
    }
    above
}
