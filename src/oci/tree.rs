//! What is in a layer of an image: the entries that differ from the state before, at their paths in the image.

use std::collections::{BTreeMap, BTreeSet};

use crate::inspect::State;
use crate::state::entry::{self, Entry, Kind, Mtime, join, split_parent};
use crate::state::error::{Error, Result, as_path};
use crate::state::format;
use crate::state::manifest::Record;

/// Where the shell state goes.
const SHELL: &[u8] = b".phasesplit/shell";

/// What marks that a file of a layer below is gone (image-spec, "Whiteouts").
pub const WHITEOUT: &[u8] = b".wh.";

/// A member of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// As it is in the image; paths are relative to its root.
    pub entry: Entry,
    /// The record that has its content, if it has any.
    pub content: Option<usize>,
}

/// What a layer of an image holds, in the order of paths, hard links last; a whiteout comes where its name sorts.
///
/// `before` is the state of the layer below. Sockets are left out: no archive has them.
///
/// # Errors
/// A file whose name would mark another one as gone.
pub fn members(before: Option<&State>, after: &State) -> Result<Vec<Member>> {
    let old = before.map(by_path).transpose()?.unwrap_or_default();
    let new = by_path(after)?;
    let mut chosen: BTreeSet<&[u8]> = new
        .iter()
        .filter(|(path, (_, record))| old.get(&path[..]).is_none_or(|(_, old)| !is_same(old, record)))
        .map(|(path, _)| &path[..])
        .collect();
    // All names of a file come together, or they would be two files.
    let target = |record: &Record| (record.entry.kind == Kind::HardLink).then(|| in_image(after, &record.entry.link));
    let groups: BTreeSet<Vec<u8>> = chosen
        .iter()
        .filter_map(|path| new.get(*path).map(|(_, record)| target(record).unwrap_or_else(|| path.to_vec())))
        .collect();
    for (path, (_, record)) in &new {
        let file = target(record);
        if groups.contains(file.as_ref().unwrap_or(path)) {
            chosen.insert(path);
        }
    }
    let mut members: BTreeMap<Path, Member> = BTreeMap::new();
    for path in chosen {
        let Some((index, record)) = new.get(path) else { continue };
        let mut entry = Entry { path: path.to_vec(), ..record.entry.clone() };
        entry.link = target(record).unwrap_or(entry.link);
        let content = entry.is_file().then_some(*index);
        members.insert(Path(path.to_vec()), Member { entry, content });
        above(path, &new, &mut members);
    }
    for path in old.keys().filter(|path| !new.contains_key(*path)) {
        let (parent, name) = split_parent(path);
        // What lies in something that is gone, or is no directory any more, goes with it.
        if new.get(parent).is_some_and(|(_, record)| record.entry.kind == Kind::Directory) || !old.contains_key(parent)
        {
            let path = join(parent, &[WHITEOUT, name].concat());
            members.insert(Path(path.clone()), Member { entry: plain(path, Kind::File, 0o644), content: None });
        }
    }
    // A hard link comes behind what it names, wherever their paths are.
    let (links, others): (Vec<Member>, Vec<Member>) =
        members.into_values().partition(|member| member.entry.kind == Kind::HardLink);
    Ok(others.into_iter().chain(links).collect())
}

/// The directories above that are no entries of a state, such as the store.
fn above(path: &[u8], known: &Tree<'_>, members: &mut BTreeMap<Path, Member>) {
    let mut parent = split_parent(path).0;
    while !parent.is_empty() && !known.contains_key(parent) {
        // Like the directories of temporary files in a build.
        let mode = if matches!(parent, b"tmp" | b"dev/shm") { 0o1777 } else { 0o755 };
        let member = Member { entry: plain(parent.to_vec(), Kind::Directory, mode), content: None };
        members.entry(Path(parent.to_vec())).or_insert(member);
        parent = split_parent(parent).0;
    }
}

fn plain(path: Vec<u8>, kind: Kind, mode: u32) -> Entry {
    Entry { path, kind, mode, size: 0, mtime: Mtime::default(), link: Vec::new(), hash: None }
}

/// A path in the order of entries: a directory right before what it holds.
#[derive(PartialEq, Eq)]
struct Path(Vec<u8>);

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Path {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        entry::order(&self.0, &other.0)
    }
}

/// Records by their paths in the image, with their indices.
type Tree<'a> = BTreeMap<Vec<u8>, (usize, &'a Record)>;

fn by_path(state: &State) -> Result<Tree<'_>> {
    let records = state.records().iter().enumerate().filter(|(_, record)| record.entry.kind != Kind::Socket);
    records
        .map(|(index, record)| {
            if split_parent(&record.entry.path).1.starts_with(WHITEOUT) {
                return Err(Error::Refused {
                    operation: "make an image of",
                    path: as_path(&record.entry.path).into(),
                    what: "a name that begins with .wh. means in an image that a file is gone".into(),
                    todo: "use `phasesplit state extract`",
                });
            }
            Ok((in_image(state, &record.entry.path), (index, record)))
        })
        .collect()
}

/// The path in the image of an archive path.
fn in_image(state: &State, path: &[u8]) -> Vec<u8> {
    let below = |root: &str, rest: &[u8]| {
        let names = root.as_bytes().split(|byte| *byte == b'/').chain(rest.split(|byte| *byte == b'/'));
        names.filter(|name| !matches!(*name, b"" | b"." | b"..")).fold(Vec::new(), |path, name| join(&path, name))
    };
    if path == format::SHELL {
        return SHELL.to_vec();
    }
    if let Some(rest) = path.strip_prefix(format::BUILD) {
        return below(&state.info.build_dir, rest);
    }
    for (root, place) in format::OUTSIDE {
        if let Some(rest) = path.strip_prefix(root).filter(|rest| rest.starts_with(b"/")) {
            return below(place, rest);
        }
    }
    let rest = path.strip_prefix(format::OUTPUTS).and_then(|rest| rest.strip_prefix(b"/")).unwrap_or(path);
    let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    let prefix = std::str::from_utf8(&rest[..end]).ok().and_then(|name| state.info.outputs.get(name));
    match prefix {
        Some(prefix) => below(prefix, &rest[end..]),
        None => below("outputs", rest),
    }
}

/// Whether a layer below has an entry already.
fn is_same(old: &Record, new: &Record) -> bool {
    let (one, other) = (&old.entry, &new.entry);
    let seen = |entry: &Entry| (entry.kind, entry.mode, entry.size, entry.mtime, entry.hash);
    seen(one) == seen(other) && one.link == other.link
}
