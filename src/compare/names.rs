//! Files that are named after build-ids: `lib/debug/.build-id/<2 digits>/<the rest>.debug`.
//!
//! Owns the pairing: programs at the same place on both sides tell which build-ids stand for each other, and so which debug files do.

use super::Excuse;
use super::context::Context;
use super::formats::elf;
use super::seed::Word;
use super::tree::{Entry, Tree};
use std::collections::{BTreeMap, HashMap};

const DIRECTORY: &[u8] = b"/.build-id/";

/// Build-id in digits → what the file that has it is called on both sides.
type Labels = HashMap<Vec<u8>, Vec<u8>>;

/// Gives debug files names that are the same on both sides, and tells `context` which build-ids and files belong together.
pub fn pair(context: &mut Context, first: &mut Tree, second: &mut Tree) {
    let named = |tree: &Tree| tree.entries.keys().any(|path| memchr::memmem::find(path, DIRECTORY).is_some());
    if named(first) || named(second) {
        let mut labels: [Labels; 2] = Default::default();
        for (path, entry) in &first.entries {
            let Some(twin) = second.entries.get(path) else { continue };
            let (Some(one), Some(other)) = (build_id(entry), build_id(twin)) else { continue };
            let known = labels[0].contains_key(one.as_bytes()) || labels[1].contains_key(other.as_bytes());
            if one != other && one.len() == other.len() && one.len() > 2 && !known {
                context.words.extend(words(&one, &other));
                let label = [b"<build-id of ", &path[..], b">"].concat();
                labels[0].insert(one.into_bytes(), label.clone());
                labels[1].insert(other.into_bytes(), label);
            }
        }
        rename(first, &labels[0]);
        rename(second, &labels[1]);
    }
    for (path, entry) in first.entries.iter().filter(|(path, _)| path.ends_with(b".debug")) {
        if let Some(twin) = second.entries.get(path) {
            let both =
                [entry, twin].map(|entry| entry.path.file_name().unwrap_or_default().as_encoded_bytes().to_vec());
            context.debug_files.entry(both).or_default().push([entry.path.clone(), twin.path.clone()]);
        }
    }
}

fn build_id(entry: &Entry) -> Option<String> {
    if !entry.meta.is_file() {
        return None;
    }
    elf::id_of(&std::fs::read(&entry.path).ok()?)
}

fn words(one: &str, other: &str) -> impl Iterator<Item = Word> {
    let split = |id: &str| [id.to_owned(), format!("{}/{}", &id[..2], &id[2..]), id[2..].to_owned()];
    let pairs = split(one).into_iter().zip(split(other));
    pairs.map(|(one, other)| Word { first: one.into_bytes(), second: other.into_bytes(), rule: Excuse::DebugName })
}

/// Renames what is known by its build-id. Its directory, which may hold others too, is looked at once for each of them.
fn rename(tree: &mut Tree, labels: &Labels) {
    let mut renamed: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
    let mut emptied: HashMap<Vec<u8>, usize> = HashMap::new();
    let known: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> =
        tree.entries.keys().filter_map(|path| neutral(path, labels)).collect();
    for (path, directory, new) in known {
        if let Some(mut entry) = tree.entries.remove(&path) {
            if let Some(own) = tree.entries.get(&directory) {
                let mut own = own.clone();
                let end = new.iter().rposition(|&byte| byte == b'/').unwrap_or(new.len());
                own.renamed = true;
                own.leader = new[..end].to_vec();
                renamed.insert(new[..end].to_vec(), own);
            }
            if entry.leader == path {
                entry.leader.clone_from(&new);
            }
            entry.renamed = true;
            *emptied.entry(directory).or_default() += 1;
            renamed.insert(new, entry);
        }
    }
    for directory in emptied.into_keys() {
        let inside = [&directory[..], b"/"].concat();
        if !tree.entries.keys().any(|path| path.starts_with(&inside)) {
            tree.entries.remove(&directory);
        }
    }
    tree.entries.extend(renamed);
}

/// Of `…/.build-id/ab/cdef.debug`: itself, its directory `…/.build-id/ab`, and `…/.build-id/<build-id of …>/.debug`.
fn neutral(path: &[u8], labels: &Labels) -> Option<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let at = memchr::memmem::find(path, DIRECTORY)? + DIRECTORY.len();
    let (two, rest) = (path.get(at..at + 2)?, path.get(at + 3..)?);
    if path[at + 2] != b'/' || rest.contains(&b'/') {
        return None;
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let label = labels.get(&[two, &rest[..digits]].concat())?;
    Some((path.to_vec(), path[..at + 2].to_vec(), [&path[..at], label, b"/", &rest[digits..]].concat()))
}
