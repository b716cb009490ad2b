//! Digests of what relocation changes, wherever an output has them: they must fit what is there afterwards.
//!
//! Owns the order: a file that holds a digest of another changes too, so its own digests are looked for in turn, until nothing
//! new changes. A digest is known by its value, not by the file it is in: two texts of 128 bits are not alike by chance.

use super::beside::{self, Known, Made, Named};
use super::content::{Edit, Examined, Examiner, Finding, Reason, apply};
use super::digest::{self, Entry, NAMES, Table};
use super::error::Error;
use super::prefix::Mapping;
use super::tree::{self, Plan};
use super::{debuglink, files, pyc, record};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Files that hold digests of files that hold digests, and so on, this deep.
const ROUNDS: usize = 12;
/// From so many installed files on, their paths' digests are looked for in the usual form alone.
const MANY: usize = 5000;

/// What a digest is of.
#[derive(Debug, Clone)]
enum Subject {
    /// The content of a file.
    File(PathBuf),
    /// A text and what it becomes.
    Text { old: Vec<u8>, new: Vec<u8> },
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Text { old, .. } => write!(f, "the text {}", String::from_utf8_lossy(old).trim_end()),
        }
    }
}

/// Calls `work` with each of `items` on all cores.
fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R, Error> + Sync) -> Result<Vec<R>, Error> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let run = || loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(item) = items.get(index) else { return };
        let result = work(item);
        if let Ok(mut done) = done.lock() {
            done.insert(index, result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..std::thread::available_parallelism().map_or(1, usize::from).min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_values().collect()
}

/// The paths of `entries` as they were while they were built, and as they are: for those that lie where a mapping says.
fn path_texts(mappings: &[Mapping], entries: &[tree::Entry]) -> Vec<Subject> {
    let text = |entry: &tree::Entry| {
        let path = entry.path.as_os_str().as_bytes();
        let mapping = mappings.iter().find(|mapping| {
            path.strip_prefix(mapping.real.bytes()).is_some_and(|rest| matches!(rest.first(), Some(b'/')))
        })?;
        let old = [mapping.staged.bytes(), &path[mapping.real.bytes().len()..]].concat();
        Some(Subject::Text { old, new: path.to_vec() })
    };
    entries.iter().filter_map(text).collect()
}

/// The digests of `old`, each with that of `new`; only those forms that `keep` says yes to.
fn entries_of(old: &[u8], new: Option<&[u8]>, source: usize, keep: impl Fn(usize, usize) -> bool) -> Vec<Entry> {
    let new = new.map(digest::all);
    let mut all = Vec::new();
    let is_kept = |&(algorithm, _): &(usize, &Vec<u8>)| (0..6).any(|form| keep(algorithm, form));
    for (algorithm, old) in digest::all(old).iter().enumerate().filter(is_kept) {
        let new = new.as_ref().map(|new| digest::forms(&new[algorithm]));
        for (form, old) in digest::forms(old).into_iter().enumerate().filter(|(form, _)| keep(algorithm, *form)) {
            let new = new.as_ref().map(|forms| forms[form].clone()).into_iter().collect();
            all.push(Entry { old, new, source, name: NAMES[algorithm] });
        }
    }
    all
}

/// The search, as far as it has come.
struct Follow<'a> {
    examiner: &'a Examiner,
    files: &'a [&'a tree::Entry],
    entries: &'a [tree::Entry],
    subjects: Vec<Subject>,
    /// Subjects of which a digest was found.
    needed: BTreeSet<usize>,
    /// Files, by index, that hold one.
    holders: BTreeSet<usize>,
    /// Files whose digests have been looked for.
    searched: BTreeSet<PathBuf>,
    /// Short checksums and MACs, by the file that has them.
    short: BTreeMap<usize, Vec<Short>>,
    /// Files with what may be a digest of another, by index.
    hints: BTreeMap<usize, String>,
}

/// A checksum that is known by the name beside it.
#[derive(Debug)]
struct Short {
    at: usize,
    token: Vec<u8>,
    made: Made,
    /// What it is of, by its place among the subjects.
    source: usize,
}

/// Brings `plan` to where every digest of what changes fits. Returns an examiner that knows them, for the names of files.
///
/// # Errors
/// What cannot be read.
pub(super) fn follow(
    examiner: &Examiner,
    plan: &mut Plan,
    files: &[&tree::Entry],
    entries: &[tree::Entry],
) -> Result<Examiner, Error> {
    let subjects = path_texts(examiner.mappings(), entries);
    let mut follow = Follow {
        examiner,
        files,
        entries,
        subjects,
        needed: BTreeSet::new(),
        holders: BTreeSet::new(),
        searched: BTreeSet::new(),
        short: BTreeMap::new(),
        hints: BTreeMap::new(),
    };
    let mut before = None;
    for _ in 0..ROUNDS {
        let fresh: Vec<PathBuf> = plan.changing().into_iter().filter(|path| !follow.searched.contains(path)).collect();
        if before.is_none() || !fresh.is_empty() {
            follow.search(fresh, before.is_none())?;
            follow.look_beside()?;
        }
        let known = follow.known(plan)?;
        follow.apply(&known, plan)?;
        let after = Some(plan.fingerprints());
        if before == after {
            follow.look_at_names(plan)?;
            follow.add_hints(plan);
            return Ok(known);
        }
        before = after;
    }
    // Not one that ends: each change makes another one necessary.
    for &index in &follow.holders {
        let reason = Reason::Digest { name: "digest", of: "files that hold digests of each other".to_owned() };
        plan.refusals.push((files[index].path.clone(), vec![Finding { reason, ..Finding::at(0) }]));
    }
    Ok(examiner.clone())
}

impl Follow<'_> {
    /// Looks for the digests of files as they are, and in the first round for those of paths.
    fn search(&mut self, fresh: Vec<PathBuf>, first: bool) -> Result<(), Error> {
        let mut table = Vec::new();
        if first {
            // MD5, SHA-1 and SHA-256 are what names are made of.
            let few = self.subjects.len() <= MANY;
            for (source, subject) in self.subjects.iter().enumerate() {
                if let Subject::Text { old, .. } = subject {
                    let keep = |algorithm, form| algorithm < 3 && (form == 0 || few && form < 5);
                    table.extend(entries_of(old, None, source, keep));
                }
            }
        }
        let known = on_all_cores(&fresh, |path| Ok(digest::all(&files::contents(path)?)))?;
        // Without a file that changes, names alone are worth the look: a second pass over everything is not.
        let is_quick = fresh.is_empty();
        for (path, digests) in fresh.into_iter().zip(known) {
            let source = self.subjects.len();
            for (digest, name) in digests.iter().zip(NAMES) {
                let forms = digest::forms(digest).into_iter();
                table.extend(forms.map(|old| Entry { old, new: Vec::new(), source, name }));
            }
            self.searched.insert(path.clone());
            self.subjects.push(Subject::File(path));
        }
        let seeker = Examiner::new(Vec::new()).with_digests(Table::new(table));
        let is_digest = |finding: &&Finding| matches!(finding.reason, Reason::Digest { .. });
        let mut note = |examined: &Examined| {
            let found = examined.refusals.iter().filter(is_digest).map(|finding| finding.path);
            let before = self.needed.len();
            let found: Vec<usize> = found.collect();
            self.needed.extend(&found);
            !found.is_empty() || self.needed.len() > before
        };
        if !is_quick {
            for (index, examined) in files::examine(&seeker, self.files)? {
                if note(&examined) {
                    self.holders.insert(index);
                }
            }
        }
        for entry in self.entries {
            note(&seeker.examine_text(entry.path.file_name().unwrap_or_default().as_bytes()));
            if entry.meta.is_symlink() {
                let target = std::fs::read_link(&entry.path).map_err(Error::io("read the link", &entry.path))?;
                note(&seeker.examine_text(target.as_os_str().as_bytes()));
            }
        }
        Ok(())
    }

    /// An examiner that knows the digests that were found, and what they become.
    fn known(&self, plan: &Plan) -> Result<Examiner, Error> {
        let mut table = Vec::new();
        for &source in &self.needed {
            match &self.subjects[source] {
                Subject::Text { old, new } => table.extend(entries_of(old, Some(new), source, |_, _| true)),
                Subject::File(path) => {
                    let new = plan.planned(path)?;
                    table.extend(entries_of(&files::contents(path)?, Some(&new), source, |_, _| true));
                }
            }
        }
        Ok(self.examiner.with_digests(Table::new(table)))
    }

    /// Plans the files that hold a digest anew.
    fn apply(&self, known: &Examiner, plan: &mut Plan) -> Result<(), Error> {
        for &index in &self.holders {
            let entry = self.files[index];
            let bytes = files::contents(&entry.path)?;
            let all = 0..bytes.len();
            let mut examined = known.examine(&bytes, std::slice::from_ref(&all));
            for finding in examined.mentions.iter_mut().chain(&mut examined.refusals) {
                if let Reason::Digest { of, .. } = &mut finding.reason {
                    *of = self.subjects.get(finding.path).map(ToString::to_string).unwrap_or_default();
                    finding.path = 0;
                }
            }
            plan.set(entry, examined);
        }
        self.refresh_short(plan)?;
        self.refresh_checksums(plan)
    }

    /// The changed files among the subjects.
    fn changed_files(&self) -> impl Iterator<Item = (usize, &Path)> {
        self.subjects.iter().enumerate().filter_map(|(index, subject)| match subject {
            Subject::File(path) => Some((index, path.as_path())),
            Subject::Text { .. } => None,
        })
    }

    /// Looks for short checksums and MACs of the changed files in small texts.
    fn look_beside(&mut self) -> Result<(), Error> {
        self.short.clear();
        self.hints.clear();
        let named = Named::of(self.changed_files());
        let small: Vec<usize> =
            (0..self.files.len()).filter(|&index| self.files[index].meta.len() <= beside::SMALL).collect();
        if self.changed_files().next().is_none() {
            return Ok(());
        }
        let pairs = on_all_cores(&small, |&index| {
            let path = &self.files[index].path;
            let text = files::contents(path)?;
            let mut pairs = Vec::new();
            for token in beside::tokens(&text) {
                let near = named.in_line(beside::line(&text, &token));
                let about: BTreeSet<usize> = if beside::is_whole(&token) {
                    named.about(path).into_iter().chain(named.in_text(&text)).collect()
                } else {
                    BTreeSet::new()
                };
                for &source in near.union(&about) {
                    let is_hint = near.contains(&source) || named.about(path).contains(&source);
                    pairs.push((token.range.start, text[token.range.clone()].to_vec(), source, is_hint));
                }
            }
            Ok((index, pairs))
        })?;
        let sources: BTreeSet<usize> = pairs.iter().flat_map(|(_, pairs)| pairs.iter().map(|pair| pair.2)).collect();
        let sources: Vec<usize> = sources.into_iter().collect();
        let known = on_all_cores(&sources, |&source| match &self.subjects[source] {
            Subject::File(path) => Ok((source, Known::of(&files::contents(path)?))),
            Subject::Text { old, .. } => Ok((source, Known::of(old))),
        })?;
        let known: BTreeMap<usize, Known> = known.into_iter().collect();
        for (index, pairs) in pairs {
            for (at, token, source, is_hint) in pairs {
                if let Some(made) = known[&source].explains(&token) {
                    self.short.entry(index).or_default().push(Short { at, token, made, source });
                } else if is_hint && token.len() >= 64 && !self.holders.contains(&index) {
                    let is_binary = |path: &Path| Ok(memchr::memchr(0, &files::contents(path)?).is_some());
                    if let Subject::File(path) = &self.subjects[source]
                        && *path != self.files[index].path
                        && is_binary(path)?
                    {
                        self.hints.insert(index, path.display().to_string());
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes the short checksums again.
    fn refresh_short(&self, plan: &mut Plan) -> Result<(), Error> {
        let by_path: BTreeMap<&Path, &tree::Entry> =
            self.files.iter().map(|entry| (entry.path.as_path(), *entry)).collect();
        for (&index, all) in &self.short {
            let holder = &self.files[index].path;
            for short in all {
                let new = match &self.subjects[short.source] {
                    Subject::File(path) => plan.planned(path)?,
                    Subject::Text { new, .. } => new.clone(),
                };
                let of = self.subjects[short.source].to_string();
                match Known::of(&new).renewed(&short.token, short.made) {
                    Some(bytes) if plan.can_amend(holder) => {
                        plan.amend(&by_path, holder, vec![Edit { at: short.at, bytes }]);
                    }
                    _ => plan.refuse(holder, Finding { reason: Reason::ShortDigest(of), ..Finding::at(short.at) }),
                }
            }
        }
        Ok(())
    }

    /// Refuses names that hold the beginning of a digest of the file that they are made of: of its text, or of its path.
    fn look_at_names(&self, plan: &mut Plan) -> Result<(), Error> {
        let mut by_stem: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        for (index, subject) in self.subjects.iter().enumerate() {
            let path = match subject {
                Subject::File(path) => path.clone(),
                Subject::Text { new, .. } => PathBuf::from(std::ffi::OsStr::from_bytes(new)),
            };
            by_stem.entry(beside::stem(&path).to_vec()).or_default().push(index);
        }
        for entry in self.entries.iter().filter(|entry| !entry.meta.is_dir()) {
            let name = entry.path.file_name().unwrap_or_default().as_bytes();
            let Some(first) = beside::tokens(name).first().cloned() else { continue };
            let front = &name[..first.range.start];
            let stem =
                front.strip_suffix(b"-").or(front.strip_suffix(b".")).or(front.strip_suffix(b"_")).unwrap_or(front);
            for &source in by_stem.get(stem).into_iter().flatten() {
                let known = match &self.subjects[source] {
                    Subject::File(path) => Known::of(&files::contents(path)?),
                    Subject::Text { old, .. } => Known::of(old),
                };
                let explains = |token: &beside::Token| known.explains(&name[token.range.clone()]).is_some();
                if beside::tokens(name).iter().any(explains) {
                    let reason = Reason::ShortDigest(self.subjects[source].to_string());
                    let finding =
                        Finding { members: vec!["file name".to_owned()], reason, ..Finding::at(first.range.start) };
                    plan.refuse(&entry.path, finding);
                }
            }
        }
        Ok(())
    }

    fn add_hints(&self, plan: &mut Plan) {
        for (&index, of) in &self.hints {
            let finding = Finding { reason: Reason::Hint(of.clone()), ..Finding::at(0) };
            plan.harmless.push((self.files[index].path.clone(), vec![finding]));
        }
    }

    /// Checksums that are no digests, in files whose form is known.
    fn refresh_checksums(&self, plan: &mut Plan) -> Result<(), Error> {
        let by_path: BTreeMap<&Path, &tree::Entry> =
            self.files.iter().map(|entry| (entry.path.as_path(), *entry)).collect();
        let changing = plan.changing();
        for stale in pyc::find(&changing)? {
            let digest = stale.renewed(&plan.planned(&stale.source)?);
            plan.amend(&by_path, &stale.path, vec![Edit { at: pyc::DIGEST, bytes: digest.to_vec() }]);
        }
        let all: Vec<PathBuf> = self.files.iter().map(|entry| entry.path.clone()).collect();
        for stale in debuglink::find(&all, &plan.changing())? {
            let edits = stale.renewed(&plan.planned(&stale.debug)?)?;
            plan.amend(&by_path, &stale.path, edits);
        }
        for entry in self.files.iter().filter(|entry| record::is_record(&entry.path)) {
            let text = plan.planned(&entry.path)?;
            let Ok(text) = std::str::from_utf8(&text) else { continue };
            let sizes = |file: &Path| plan.sizes(file);
            if let Some(new) = record::with_sizes(&entry.path, text, sizes) {
                plan.replace(entry, new.into_bytes());
            }
        }
        Ok(())
    }
}

/// `bytes` as a change makes them.
pub(super) fn changed(mut bytes: Vec<u8>, edits: &[Edit], replacement: Option<&Vec<u8>>) -> Vec<u8> {
    if let Some(new) = replacement {
        return new.clone();
    }
    apply(&mut bytes, edits);
    bytes
}
