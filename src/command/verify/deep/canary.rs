//! Finding the words that stand in place of attributes, in what a stage made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use memchr::memmem;

use super::differ::{Differences, Opened, Place};
use crate::inspect::content::{self, Extent};
use crate::inspect::diff::Change;
use crate::inspect::shell::{Part, Shell, Value};
use crate::state::entry::Kind;
use crate::state::{Result, error::Error, manifest};

/// What each word begins with, and its length: those of `canary` in `nix-lib/split.nix`.
const BEGIN: &[u8] = b"zcanaryz";
const LENGTH: usize = 33;

/// The words, each with the name that it stands for.
#[derive(Debug)]
pub struct Words(BTreeMap<Vec<u8>, String>);

impl Words {
    /// Of names and their words.
    pub fn new(canaries: &BTreeMap<String, String>) -> Self {
        Self(canaries.iter().map(|(name, word)| (word.clone().into_bytes(), name.clone())).collect())
    }

    /// For each place that differs and has words in it, the names that they stand for.
    ///
    /// # Errors
    /// Layers that are not what the manifest says.
    pub fn find(&self, opened: &Opened, places: &Differences) -> Result<BTreeMap<Place, BTreeSet<String>>> {
        let mut found: BTreeMap<Place, BTreeSet<String>> = BTreeMap::new();
        let records = opened.state.records();
        let mut wanted = vec![false; records.len()];
        let mut readers: BTreeMap<usize, Vec<&Place>> = BTreeMap::new();
        for place in places.iter().filter(|(_, change)| **change != Change::Removed).map(|(place, _)| place) {
            let mut names = BTreeSet::new();
            match place {
                Place::Shell(part, name) => self.in_bytes(&text_of(&opened.shell, *part, name), &mut names),
                Place::Entry(path) => {
                    let Some(at) = manifest::position(records, path) else { continue };
                    let entry = &records[at].entry;
                    self.in_bytes(path, &mut names);
                    self.in_bytes(&entry.link, &mut names);
                    let target = (entry.kind == Kind::HardLink).then(|| manifest::position(records, &entry.link));
                    let at = target.flatten().unwrap_or(at);
                    wanted[at] = true;
                    readers.entry(at).or_default().push(place);
                }
            }
            if !names.is_empty() {
                found.entry(place.clone()).or_default().extend(names);
            }
        }
        content::read(&opened.state, &wanted, Extent::Wanted, &mut |member| {
            let mut search = Search { words: self, tail: Vec::new(), names: BTreeSet::new() };
            io::copy(member.data, &mut search).map_err(|source| Error::reading("read", member.layer, source))?;
            for place in member.indices.iter().filter_map(|index| readers.get(index)).flatten() {
                if !search.names.is_empty() {
                    found.entry((*place).clone()).or_default().extend(search.names.iter().cloned());
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn in_bytes(&self, bytes: &[u8], names: &mut BTreeSet<String>) {
        for at in memmem::find_iter(bytes, BEGIN) {
            names.extend(bytes.get(at..at + LENGTH).and_then(|word| self.0.get(word)).cloned());
        }
    }
}

/// A search in bytes that come in pieces.
struct Search<'a> {
    words: &'a Words,
    /// The end of what came before: too short to hold a word.
    tail: Vec<u8>,
    names: BTreeSet<String>,
}

impl Write for Search<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tail.extend_from_slice(bytes);
        self.words.in_bytes(&self.tail, &mut self.names);
        let keep = self.tail.len().min(LENGTH - 1);
        self.tail.drain(..self.tail.len() - keep);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All text of a part of the shell.
fn text_of(shell: &Shell, part: Part, name: &[u8]) -> Vec<u8> {
    let word = |map: &BTreeMap<String, Option<Vec<u8>>>| {
        std::str::from_utf8(name).ok().and_then(|name| map.get(name)?.clone()).unwrap_or_default()
    };
    match part {
        Part::Variable => match shell.variables.get(name).map(|variable| &variable.value) {
            Some(Value::Text(text)) => text.clone(),
            Some(Value::Array(elements)) => {
                elements.iter().flat_map(|(key, value)| [key.as_slice(), value].join(&b' ')).collect()
            }
            Some(Value::Around(front, back)) => [front.as_slice(), back].join(&b' '),
            Some(Value::Appended(elements)) => elements.join(&b' '),
            Some(Value::Unset | Value::Declared) | None => Vec::new(),
        },
        Part::Function => shell.functions.get(name).and_then(|function| function.text.clone()).unwrap_or_default(),
        Part::Alias => shell.aliases.get(name).cloned().unwrap_or_default(),
        Part::Trap => word(&shell.traps),
        Part::Command => shell.hashed.get(name).cloned().unwrap_or_default(),
        Part::Option | Part::Limit | Part::Builtin => Vec::new(),
        Part::Other => {
            let previous = shell.previous.iter().map(Vec::as_slice);
            let all = std::iter::once(shell.directory.as_slice()).chain(previous);
            all.chain(shell.pushed.iter().map(Vec::as_slice)).collect::<Vec<_>>().join(&b' ')
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_wherever_the_pieces_end() {
        let word = format!("zcanaryz{}z", "0123456789abcdef01234567");
        assert_eq!(word.len(), LENGTH);
        let words = Words::new(&BTreeMap::from([("installFlags".to_owned(), word.clone())]));
        let text = format!("zcanaryz zcanaryz{}z {word}", "f".repeat(24));
        for size in 1..text.len() {
            let mut search = Search { words: &words, tail: Vec::new(), names: BTreeSet::new() };
            for piece in text.as_bytes().chunks(size) {
                search.write_all(piece).expect("in memory");
            }
            assert_eq!(search.names.iter().collect::<Vec<_>>(), ["installFlags"], "pieces of {size}");
            let mut search = Search { words: &words, tail: Vec::new(), names: BTreeSet::new() };
            for piece in text.as_bytes()[..text.len() - 1].chunks(size) {
                search.write_all(piece).expect("in memory");
            }
            assert!(search.names.is_empty());
        }
    }
}
