//! `manifest.zst`: what a state holds, without the data. `diff`, `plan` and a restore's checks read it.
//!
//! Uncompressed it is a sequence of records, each three byte strings that end in NUL (which no path and
//! no link target can contain, so nothing is escaped):
//!
//! ```text
//! phasesplit-manifest 1 NUL NUL NUL                                the first record
//! KIND MODE SIZE SECS.NANOS HASH NUL PATH NUL LINK NUL             one per member of the layer, in its order
//! end COUNT NUL NUL NUL                                            the last record
//! ```
//!
//! `KIND`: `f` file, `z` file with holes, `d` directory, `l` symlink, `h` hard link, `p` pipe, `s` socket.
//! `MODE`: octal. `SIZE`: decimal. `SECS`: decimal, rounded down (so −0.25 s is `-1.750000000`); `NANOS`:
//! nine digits. `HASH`: BLAKE3 in hexadecimal, `-` where there is no content. The fields: see [`Entry`].
//!
//! Reading checks what an archive from a stranger could get wrong: paths that leave the tree, entries twice
//! or below something that is no directory, hard links to nothing. What passes here can be extracted
//! by following no link and replacing no file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use super::entry::{self, Entry, Kind, Mtime};
use super::error::{Error, Result, Shown, as_path};
use super::format;

const HEADER: &[u8] = b"phasesplit-manifest 1";

/// Bounds what a decompression bomb can cost: 4 GiB describe some 40 million files.
const LIMIT: u64 = 4 << 30;

/// Writes a manifest record by record.
pub struct Writer<W: Write> {
    out: W,
    count: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a manifest.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(HEADER)?;
        out.write_all(b"\0\0\0")?;
        Ok(Self { out, count: 0 })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn add(&mut self, entry: &Entry) -> io::Result<()> {
        let kind = letter(entry.kind);
        let Mtime { secs, nanos } = entry.mtime;
        write!(self.out, "{kind} {:o} {} {secs}.{nanos:09} ", entry.mode, entry.size)?;
        match &entry.hash {
            Some(hash) => self.out.write_all(blake3::Hash::from_bytes(*hash).to_hex().as_bytes())?,
            None => self.out.write_all(b"-")?,
        }
        for part in [&b""[..], &entry.path, &entry.link] {
            self.out.write_all(part)?;
            self.out.write_all(b"\0")?;
        }
        self.count += 1;
        Ok(())
    }

    /// Ends the manifest and gives `out` back.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(mut self) -> io::Result<W> {
        write!(self.out, "end {}\0\0\0", self.count)?;
        Ok(self.out)
    }
}

/// Reads and checks `DIR/manifest.zst`. The entries come in the order of [`entry::order`].
///
/// # Errors
/// A damaged manifest, or one that no save would write: see the module docs.
pub fn read(operation: &'static str, state: &Path) -> Result<Vec<Entry>> {
    let path = state.join(format::MANIFEST);
    let file = File::open(&path).map_err(|source| Error::io(operation, &path, source))?;
    let decoder = zstd::Decoder::new(file).map_err(|source| Error::reading(operation, &path, source))?;
    parse(BufReader::with_capacity(1 << 17, decoder)).map_err(|problem| match problem {
        Problem::Read(source) => Error::reading(operation, &path, source),
        Problem::Content(what) => Error::damaged(operation, &path, what),
    })
}

#[derive(Debug)]
enum Problem {
    Read(io::Error),
    Content(String),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

fn parse(input: impl BufRead) -> Result<Vec<Entry>, Problem> {
    let content = |what: &str| Problem::Content(what.to_owned());
    let mut input = input.take(LIMIT);
    let mut field = move || -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        input.read_until(0, &mut bytes)?;
        match bytes.pop() {
            Some(0) => Ok(bytes),
            _ => Err(Problem::Content("the manifest ends in the middle, or is too large".into())),
        }
    };
    if field()? != HEADER || !field()?.is_empty() || !field()?.is_empty() {
        return Err(content("not a manifest of version 1"));
    }
    let mut entries: Vec<Entry> = Vec::new();
    let mut parents: Vec<usize> = Vec::new();
    loop {
        let (head, path, link) = (field()?, field()?, field()?);
        if let Some(count) = head.strip_prefix(b"end ") {
            if number::<usize>(count) != Some(entries.len()) {
                return Err(content("the number of entries is wrong"));
            }
            break;
        }
        let entry = record(&head, path, link)
            .ok_or_else(|| Problem::Content(format!("no record: {}", Shown(as_path(&head)))))?;
        check(&entry, &entries, &mut parents)
            .map_err(|what| Problem::Content(format!("{}: {what}", Shown(as_path(&entry.path)))))?;
        entries.push(entry);
    }
    match field() {
        // Nothing may follow, and asking for more makes the decoder check its last checksum.
        Err(Problem::Content(_)) => Ok(entries),
        Err(problem) => Err(problem),
        Ok(_) => Err(content("there is more after its end")),
    }
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn record(head: &[u8], path: Vec<u8>, link: Vec<u8>) -> Option<Entry> {
    let mut fields = head.split(|byte| *byte == b' ');
    let kind = kind(fields.next()?)?;
    let mode = u32::from_str_radix(std::str::from_utf8(fields.next()?).ok()?, 8).ok()?;
    let size = number(fields.next()?)?;
    let time = fields.next()?;
    let dot = time.iter().position(|byte| *byte == b'.')?;
    let mtime = Mtime { secs: number(&time[..dot])?, nanos: number(&time[dot + 1..])? };
    let hash = match fields.next()? {
        b"-" => None,
        hex => Some(*blake3::Hash::from_hex(hex).ok()?.as_bytes()),
    };
    let whole = fields.next().is_none() && mode <= 0o7777 && mtime.nanos < 1_000_000_000;
    whole.then_some(Entry { path, kind, mode, size, mtime, link, hash })
}

/// `parents` holds the indices of the directories above the entry before this one.
fn check(entry: &Entry, before: &[Entry], parents: &mut Vec<usize>) -> Result<(), &'static str> {
    let path = &entry.path[..];
    if path.split(|byte| *byte == b'/').any(|name| matches!(name, b"" | b"." | b"..")) {
        return Err("the path leaves its directory");
    }
    if before.last().is_some_and(|last| entry::order(&last.path, path).is_ge()) {
        return Err("it is there twice, or out of order");
    }
    while parents.last().is_some_and(|&parent| !is_below(path, &before[parent].path)) {
        parents.pop();
    }
    let (parent, name) = entry::split_parent(path);
    let nearest = parents.last().map_or(&b""[..], |&parent| &before[parent].path);
    if path == format::SHELL {
        if entry.kind != Kind::File {
            return Err("the shell state is not a file");
        }
    } else if path == format::BUILD {
        if entry.kind != Kind::Directory {
            return Err("the build directory is not a directory");
        }
    } else if parent != format::OUTPUTS && (parent.is_empty() || parent != nearest) {
        return Err("it does not lie in a directory of the state");
    }
    if parent == format::BUILD && format::is_nix_file(name) {
        return Err("it would replace a file of Nix");
    }
    let linked = matches!(entry.kind, Kind::Symlink | Kind::HardLink);
    if linked == entry.link.is_empty() || entry.is_file() != entry.hash.is_some() {
        return Err("its link or its hash does not fit its kind");
    }
    if !entry.is_file() && entry.size != 0 || i64::try_from(entry.size).is_err() {
        return Err("it has an impossible size");
    }
    if entry.kind == Kind::HardLink {
        let target = find(before, &entry.link).ok_or("it is a hard link to nothing before it")?;
        if matches!(target.kind, Kind::Directory | Kind::HardLink) {
            return Err("it is a hard link to a directory or to another link");
        }
        if (target.mode, target.mtime) != (entry.mode, entry.mtime) {
            return Err("it is a hard link with a mode or mtime of its own");
        }
    }
    if entry.kind == Kind::Directory {
        parents.push(before.len());
    }
    Ok(())
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

/// The entry at an archive path.
pub fn find<'a>(entries: &'a [Entry], path: &[u8]) -> Option<&'a Entry> {
    let at = entries.binary_search_by(|entry| entry::order(&entry.path, path)).ok()?;
    entries.get(at)
}

const KINDS: [(Kind, char); 7] = [
    (Kind::File, 'f'),
    (Kind::Sparse, 'z'),
    (Kind::Directory, 'd'),
    (Kind::Symlink, 'l'),
    (Kind::HardLink, 'h'),
    (Kind::Fifo, 'p'),
    (Kind::Socket, 's'),
];

fn letter(kind: Kind) -> char {
    KINDS.iter().find(|(k, _)| *k == kind).map_or('?', |(_, letter)| *letter)
}

fn kind(field: &[u8]) -> Option<Kind> {
    let [letter] = field else { return None };
    KINDS.iter().find(|(_, l)| *l == char::from(*letter)).map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &[u8], kind: Kind) -> Entry {
        let mtime = Mtime { secs: -3, nanos: 7 };
        let hash = matches!(kind, Kind::File | Kind::Sparse).then_some([9; 32]);
        let link = if kind == Kind::Symlink { b"\xff\n t".to_vec() } else { Vec::new() };
        Entry { path: path.into(), kind, mode: 0o1755, size: 0, mtime, link, hash }
    }

    fn link(path: &[u8], to: &[u8]) -> Entry {
        Entry { link: to.into(), ..entry(path, Kind::HardLink) }
    }

    fn write(entries: &[Entry]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).unwrap();
        for entry in entries {
            writer.add(entry).unwrap();
        }
        writer.finish().unwrap()
    }

    fn refusal(entries: &[Entry]) -> String {
        match parse(&write(entries)[..]) {
            Err(Problem::Content(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let entries = [
            entry(b"build", Kind::Directory),
            entry(b"build/\xff\nodd name", Kind::File),
            Entry { size: 1 << 40, ..entry(b"build/a", Kind::Directory) },
        ];
        let entries = [
            entries[0].clone(),
            Entry { size: 0, ..entries[2].clone() },
            entry(b"build/a/link", Kind::Symlink),
            entry(b"build/p", Kind::Fifo),
            entry(b"build/s", Kind::Socket),
            Entry { size: 1 << 40, ..entry(b"build/z", Kind::Sparse) },
            entries[1].clone(),
            link(b"outputs/dev", b"build/z"),
            entry(b"outputs/out", Kind::Symlink),
            entry(b"shell", Kind::File),
        ];
        assert_eq!(parse(&write(&entries)[..]).unwrap(), entries);
    }

    #[test]
    fn every_cut_is_noticed() {
        let bytes = write(&[entry(b"build", Kind::Directory), entry(b"shell", Kind::File)]);
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_err(), "{end}");
        }
        assert!(parse(&[&bytes[..], b"x\0"].concat()[..]).is_err());
    }

    #[test]
    fn what_could_leave_the_tree_is_refused() {
        let build = entry(b"build", Kind::Directory);
        for path in [&b"/etc/x"[..], b"build/../x", b"build/./x", b"build//x", b"", b"build/x/.."] {
            let what = refusal(&[build.clone(), entry(path, Kind::File)]);
            assert!(what.contains("leaves its directory"), "{what}");
        }
        for path in [&b"elsewhere"[..], b"elsewhere/x", b"outputs", b"build/missing/x"] {
            let what = refusal(&[build.clone(), entry(path, Kind::File)]);
            assert!(what.contains("not lie in a directory"), "{what}");
        }
    }

    #[test]
    fn nothing_lies_below_a_link_or_a_file() {
        let build = entry(b"build", Kind::Directory);
        for kind in [Kind::Symlink, Kind::File, Kind::Fifo] {
            let what = refusal(&[build.clone(), entry(b"build/l", kind), entry(b"build/l/x", Kind::File)]);
            assert!(what.contains("not lie in a directory"), "{what}");
        }
        let what = refusal(&[entry(b"outputs/out", Kind::Symlink), entry(b"outputs/out/x", Kind::File)]);
        assert!(what.contains("not lie in a directory"), "{what}");
    }

    #[test]
    fn duplicates_and_odd_roots_are_refused() {
        let build = entry(b"build", Kind::Directory);
        let file = entry(b"build/x", Kind::File);
        assert!(refusal(&[build.clone(), file.clone(), file.clone()]).contains("twice"));
        assert!(refusal(&[build.clone(), file, entry(b"build/a", Kind::File)]).contains("out of order"));
        assert!(refusal(&[entry(b"build", Kind::Symlink)]).contains("not a directory"));
        assert!(refusal(&[entry(b"shell", Kind::Symlink)]).contains("not a file"));
        assert!(refusal(&[build, entry(b"build/env-vars", Kind::File)]).contains("file of Nix"));
    }

    #[test]
    fn hard_links_name_an_earlier_file() {
        let build = entry(b"build", Kind::Directory);
        assert!(refusal(&[build.clone(), link(b"build/b", b"build/a")]).contains("to nothing"));
        assert!(refusal(&[build.clone(), link(b"build/b", b"build")]).contains("to a directory"));
        assert!(refusal(&[build.clone(), link(b"build/b", b"../etc/passwd")]).contains("to nothing"));
        let file = entry(b"build/a", Kind::File);
        let other = Entry { mode: 0o644, ..link(b"build/b", b"build/a") };
        assert!(refusal(&[build, file, other]).contains("of its own"));
    }
}
