//! `manifest.zst`: what a state holds, without the data. `diff`, `plan`, the next save and a restore read it alone.
//!
//! Uncompressed it is a sequence of records, each four byte strings that end in NUL (which no path and
//! no link target can contain, so nothing is escaped):
//!
//! ```text
//! phasesplit-manifest 3 NUL NUL NUL NUL                                     the first record
//! layer MEMBERS DATA NUL NUL NUL NUL                                        one per layer of the chain, the state's own last
//! KIND MODE SIZE SECS.NANOS HASH LAYER NUL PATH NUL LINK NUL ORIGIN NUL     one per entry of the tree
//! end COUNT NUL NUL NUL NUL                                                 the last record
//! ```
//!
//! `MEMBERS` and `DATA`: how many members the layer has and how many bytes of data in all.
//! `KIND`: `f` file, `z` file with holes, `d` directory, `l` symlink, `h` hard link, `p` pipe, `s` socket.
//! `MODE`: octal. `SIZE`: decimal; for `z` followed by `/` and the bytes of its data. `SECS`: decimal, rounded down (so
//! −0.25 s is `-1.750000000`); `NANOS`: nine digits. `HASH`: BLAKE3 in hexadecimal, `-` where there is no content.
//! `LAYER`: the index of the layer that has the entry, or a file's content. `ORIGIN`: the path of a file's content there,
//! empty where it is `PATH`. The fields: see [`Entry`] and [`Record`].
//!
//! Reading checks what an archive from a stranger could get wrong: paths that leave the tree, entries twice
//! or below something that is no directory, hard links to nothing, layers that are not there. What passes here can be
//! extracted by following no link and replacing no file.

use std::io::{self, BufRead, Read, Write};
use std::path::Path;

use super::entry::{self, Entry, Kind, Mtime};
use super::error::{Error, Result, Shown, as_path};
use super::records::Records;
use super::spill::Scratch;
use super::{file, format, frames};

const HEADER: &[u8] = b"phasesplit-manifest 3";

/// 4 GiB describe some 40 million files.
const LIMIT: u64 = 4 << 30;

/// The longest path or link target: more than any file system has.
const FIELD: u64 = 1 << 24;

/// Bounds what a decompression bomb can cost: `packed` bytes may become this many. zstd makes one byte of 30,000; of the
/// records of a tree not one of 1,000, but where paths are longer than a kernel takes at once.
fn limit(packed: u64) -> u64 {
    packed.saturating_mul(1024).saturating_add(64 << 20).min(LIMIT)
}

/// What a state holds, in little memory: what a save and a restore work with.
pub struct Packed {
    /// As [`Manifest::layers`].
    pub layers: Vec<Layer>,
    /// As [`Manifest::records`].
    pub records: Records,
}

/// What a state holds, open to be looked at and changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The layers of the chain, from the one without a parent to the state's own.
    pub layers: Vec<Layer>,
    /// The whole tree, in the order of [`entry::order`].
    pub records: Vec<Record>,
}

/// How much a layer must hold: more is a bomb, less is damage, and either way it is not the one that was meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layer {
    /// Members of the archive.
    pub members: u64,
    /// Bytes of data of all of them, as [`Record::data`] counts.
    pub data: u64,
}

/// An entry of the tree, and where the chain has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The entry.
    pub entry: Entry,
    /// Bytes that its content takes in an archive: a file's size, or the map of its holes and what lies between them.
    pub data: u64,
    /// Index in [`Manifest::layers`] of the layer that has the entry. Of a file only the content is meant: the member
    /// there may have another mode and mtime.
    pub layer: usize,
    /// Where the layer has the content, if not at the entry's own path; else empty.
    pub origin: Vec<u8>,
}

impl Record {
    /// The path of the member that this record is about, in its layer.
    pub fn origin(&self) -> &[u8] {
        if self.origin.is_empty() { &self.entry.path } else { &self.origin }
    }

    /// Whether two records can have one member for their content.
    pub fn has_content_of(&self, other: &Self) -> bool {
        let content = |record: &Self| (record.entry.kind, record.entry.size, record.data, record.entry.hash);
        content(self) == content(other)
    }
}

/// Writes a manifest.
///
/// # Errors
/// Those of `out`.
pub fn write(out: impl Write, manifest: &Manifest) -> io::Result<()> {
    write_all(out, &manifest.layers, manifest.records.len(), manifest.records.iter().cloned().map(Ok))
}

/// As [`write()`].
///
/// # Errors
/// Those of `out`, and of the temporary file.
pub fn write_packed(out: impl Write, manifest: &Packed) -> io::Result<()> {
    write_all(out, &manifest.layers, manifest.records.len(), manifest.records.iter())
}

fn write_all(
    mut out: impl Write,
    layers: &[Layer],
    count: usize,
    records: impl Iterator<Item = io::Result<Record>>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    let bare = |bytes: &mut Vec<u8>, head: &[u8]| {
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(&[0; 4]);
    };
    bare(&mut bytes, HEADER);
    for layer in layers {
        bare(&mut bytes, format!("layer {} {}", layer.members, layer.data).as_bytes());
    }
    for record in records {
        let Record { entry, data, layer, origin } = record?;
        let Mtime { secs, nanos } = entry.mtime;
        write!(bytes, "{} {:o} {}", letter(entry.kind), entry.mode, entry.size)?;
        if entry.kind == Kind::Sparse {
            write!(bytes, "/{data}")?;
        }
        write!(bytes, " {secs}.{nanos:09} ")?;
        match &entry.hash {
            Some(hash) => bytes.extend_from_slice(blake3::Hash::from_bytes(*hash).to_hex().as_bytes()),
            None => bytes.push(b'-'),
        }
        write!(bytes, " {layer}")?;
        for part in [&entry.path, &entry.link, &origin] {
            bytes.push(0);
            bytes.extend_from_slice(part);
        }
        bytes.push(0);
        out.write_all(&bytes)?;
        bytes.clear();
    }
    bare(&mut bytes, format!("end {count}").as_bytes());
    out.write_all(&bytes)
}

/// Reads and checks `DIR/manifest.zst`.
///
/// # Errors
/// As for [`read_packed`].
pub fn read(operation: &'static str, state: &Path) -> Result<Manifest> {
    let Packed { layers, records } = read_packed(operation, state, &Scratch::system())?;
    let records = records.iter().collect::<io::Result<_>>();
    Ok(Manifest {
        layers,
        records: records.map_err(|source| Error::io(operation, state.join(format::MANIFEST), source))?,
    })
}

/// Reads and checks `DIR/manifest.zst`. `scratch` is for one that is too long for memory.
///
/// # Errors
/// A damaged manifest, or one that no save would write: see the module docs. Those of the temporary file.
pub fn read_packed(operation: &'static str, state: &Path, scratch: &Scratch) -> Result<Packed> {
    let path = state.join(format::MANIFEST);
    let (file, packed) = file::open(operation, &path)?;
    let reader = frames::Reader::new(file, packed).map_err(|source| Error::reading(operation, &path, source))?;
    parse(reader.take(limit(packed)), scratch).map_err(|problem| match problem {
        Problem::Read(source) => Error::reading(operation, &path, source),
        Problem::Content(what) => Error::damaged(operation, &path, what),
    })
}

/// Why [`parse`] gives no manifest.
#[derive(Debug)]
pub enum Problem {
    /// The input could not be read.
    Read(io::Error),
    /// It is none, or one that no save would write.
    Content(String),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Reads and checks a manifest that is not compressed.
///
/// # Errors
/// As for [`read`].
pub fn parse(mut input: impl BufRead, scratch: &Scratch) -> Result<Packed, Problem> {
    let content = |what: &str| Problem::Content(what.to_owned());
    let mut field = |mut bytes: Vec<u8>| -> Result<Vec<u8>, Problem> {
        bytes.clear();
        Read::take(&mut input, FIELD).read_until(0, &mut bytes)?;
        match bytes.pop() {
            Some(0) => Ok(bytes),
            _ => Err(Problem::Content("the manifest ends in the middle, or is too large".into())),
        }
    };
    let mut manifest = Packed { layers: Vec::new(), records: Records::new(scratch) };
    let mut is_first = true;
    // The fields of the record before, whose memory the next ones take.
    let (mut head, mut path, mut link, mut origin) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    loop {
        (head, path, link, origin) = (field(head)?, field(path)?, field(link)?, field(origin)?);
        let is_bare = path.is_empty() && link.is_empty() && origin.is_empty();
        if std::mem::take(&mut is_first) {
            if head != HEADER || !is_bare {
                return Err(content("not a manifest of version 3"));
            }
            continue;
        }
        if let Some(count) = head.strip_prefix(b"end ") {
            if number(count) != Some(manifest.records.len()) || !is_bare {
                return Err(content("the number of entries is wrong"));
            }
            break;
        }
        if let Some(layer) = head.strip_prefix(b"layer ") {
            if manifest.layers.len() == format::LAYERS {
                return Err(content("it has more layers than a chain can have"));
            }
            let layer = parse_layer(layer).filter(|_| is_bare && manifest.records.is_empty());
            manifest.layers.push(layer.ok_or_else(|| content("the layers are malformed or not in front"))?);
            continue;
        }
        let record = parse_record(&head, path, link, origin)
            .ok_or_else(|| Problem::Content(format!("no record: {}", Shown(as_path(&head)))))?;
        check(&record, &manifest)?
            .map_err(|what| Problem::Content(format!("{}: {what}", Shown(as_path(&record.entry.path)))))?;
        manifest.records.push(&record)?;
        (path, link, origin) = (record.entry.path, record.entry.link, record.origin);
    }
    if manifest.layers.is_empty() {
        return Err(content("it has no layers"));
    }
    // Nothing may follow, and asking for more makes the decoder check its last checksum.
    if input.fill_buf()?.is_empty() { Ok(manifest) } else { Err(content("there is more after its end")) }
}

/// A number as [`write`] writes it: another way to say the same would make two manifests of one tree.
fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    let is_plain = is_plain(digits.strip_prefix(b"-").unwrap_or(digits)) && digits != b"-0";
    std::str::from_utf8(digits).ok().filter(|_| is_plain)?.parse().ok()
}

/// Whether digits have neither a sign nor zeros in front.
fn is_plain(digits: &[u8]) -> bool {
    matches!(digits, [b'0'] | [b'1'..=b'9', ..])
}

fn parse_layer(fields: &[u8]) -> Option<Layer> {
    let blank = fields.iter().position(|byte| *byte == b' ')?;
    Some(Layer { members: number(&fields[..blank])?, data: number(&fields[blank + 1..])? })
}

fn parse_record(head: &[u8], path: Vec<u8>, link: Vec<u8>, origin: Vec<u8>) -> Option<Record> {
    let mut fields = head.split(|byte| *byte == b' ');
    let kind = kind(fields.next()?)?;
    let mode = fields.next().filter(|mode| is_plain(mode))?;
    let mode = u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok()?;
    let size = fields.next()?;
    let (size, data) = match size.iter().position(|byte| *byte == b'/') {
        Some(slash) if kind == Kind::Sparse => (number(&size[..slash])?, number(&size[slash + 1..])?),
        None if kind != Kind::Sparse => (number(size)?, number(size)?),
        _ => return None,
    };
    let time = fields.next()?;
    let dot = time.iter().position(|byte| *byte == b'.')?;
    let nanos = Some(&time[dot + 1..]).filter(|nanos| nanos.len() == 9 && nanos.iter().all(u8::is_ascii_digit))?;
    let mtime = Mtime { secs: number(&time[..dot])?, nanos: std::str::from_utf8(nanos).ok()?.parse().ok()? };
    let hash = match fields.next()? {
        b"-" => None,
        hex => Some(hash(hex)?),
    };
    let layer = number(fields.next()?)?;
    let whole = fields.next().is_none() && mode <= 0o7777;
    let entry = Entry { path, kind, mode, size, mtime, link, hash };
    whole.then_some(Record { entry, data, layer, origin })
}

/// What each byte is worth as a hexadecimal digit; more than 15 where it is none, or a capital.
const DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[b"0123456789abcdef"[digit as usize] as usize] = digit;
        digit += 1;
    }
    digits
};

fn hash(hex: &[u8]) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    let mut all = 0;
    let pairs: &[u8; 64] = hex.try_into().ok()?;
    for (byte, [high, low]) in hash.iter_mut().zip(pairs.as_chunks().0) {
        let (high, low) = (DIGITS[usize::from(*high)], DIGITS[usize::from(*low)]);
        all |= high | low;
        *byte = high << 4 | low & 15;
    }
    (all < 16).then_some(hash)
}

fn check(record: &Record, before: &Packed) -> io::Result<Result<(), &'static str>> {
    let target = match record.entry.kind {
        Kind::HardLink => before.records.find(&record.entry.link)?,
        _ => None,
    };
    Ok(check_with(record, before, target))
}

/// `target`: of a hard link the record that it names.
fn check_with(record: &Record, before: &Packed, target: Option<Record>) -> Result<(), &'static str> {
    let entry = &record.entry;
    let path = &entry.path[..];
    if record.layer >= before.layers.len() {
        return Err("it is in a layer that there is not");
    }
    if !record.origin.is_empty() && (!entry.is_file() || record.origin == path || !entry::is_below_root(&record.origin))
    {
        return Err("its content cannot come from another path");
    }
    let before = &before.records;
    if !entry::is_below_root(path) {
        return Err("the path leaves its directory");
    }
    if !before.is_empty() && entry::order(before.last_path(), path).is_ge() {
        return Err("it is there twice, or out of order");
    }
    let (parent, _) = entry::split_parent(path);
    if path == format::SHELL {
        if entry.kind != Kind::File {
            return Err("the shell state is not a file");
        }
    } else if path == format::BUILD {
        if entry.kind != Kind::Directory {
            return Err("the build directory is not a directory");
        }
    } else if !format::has_no_member(parent) && (parent.is_empty() || parent != before.nearest(path)) {
        return Err("it does not lie in a directory of the state");
    }
    let linked = matches!(entry.kind, Kind::Symlink | Kind::HardLink);
    if linked == entry.link.is_empty() || entry.is_file() != entry.hash.is_some() {
        return Err("its link or its hash does not fit its kind");
    }
    if !entry.is_file() && entry.size != 0 || i64::try_from(entry.size.max(record.data)).is_err() {
        return Err("it has an impossible size");
    }
    if entry.kind == Kind::HardLink {
        let target = target.ok_or("it is a hard link to nothing before it")?.entry;
        if matches!(target.kind, Kind::Directory | Kind::HardLink) {
            return Err("it is a hard link to a directory or to another link");
        }
        if (target.mode, target.mtime) != (entry.mode, entry.mtime) {
            return Err("it is a hard link with a mode or mtime of its own");
        }
    }
    Ok(())
}

/// The record of an archive path.
pub fn find<'a>(records: &'a [Record], path: &[u8]) -> Option<&'a Record> {
    position(records, path).and_then(|at| records.get(at))
}

/// Its index.
pub fn position(records: &[Record], path: &[u8]) -> Option<usize> {
    records.binary_search_by(|record| entry::order(&record.entry.path, path)).ok()
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

    fn record(path: &[u8], kind: Kind) -> Record {
        let mtime = Mtime { secs: -3, nanos: 7 };
        let hash = matches!(kind, Kind::File | Kind::Sparse).then_some([9; 32]);
        let link = if kind == Kind::Symlink { b"\xff\n t".to_vec() } else { Vec::new() };
        let entry = Entry { path: path.into(), kind, mode: 0o1755, size: 0, mtime, link, hash };
        Record { entry, data: 0, layer: 1, origin: Vec::new() }
    }

    fn link(path: &[u8], to: &[u8]) -> Record {
        changed(record(path, Kind::HardLink), |entry| entry.link = to.into())
    }

    fn changed(mut record: Record, change: impl FnOnce(&mut Entry)) -> Record {
        change(&mut record.entry);
        record
    }

    fn manifest(records: &[Record]) -> Manifest {
        let layers = vec![Layer { members: 7, data: u64::MAX }, Layer::default()];
        Manifest { layers, records: records.to_vec() }
    }

    fn bytes(manifest: &Manifest) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, manifest).unwrap();
        bytes
    }

    fn parse(input: &[u8]) -> Result<Packed, Problem> {
        super::parse(input, &Scratch::system())
    }

    fn refusal_of(manifest: &Manifest) -> String {
        match parse(&bytes(manifest)[..]) {
            Err(Problem::Content(what)) => what,
            other => panic!("{:?}", other.err()),
        }
    }

    fn refusal(records: &[Record]) -> String {
        refusal_of(&manifest(records))
    }

    #[test]
    fn what_is_written_is_read() {
        let sparse = changed(record(b"build/z", Kind::Sparse), |entry| entry.size = 1 << 40);
        let file = changed(record(b"build/\xff\nodd name", Kind::File), |entry| entry.size = 5);
        let written = manifest(&[
            record(b"build", Kind::Directory),
            record(b"build/a", Kind::Directory),
            record(b"build/a/link", Kind::Symlink),
            record(b"build/p", Kind::Fifo),
            record(b"build/s", Kind::Socket),
            Record { data: 1 << 30, layer: 0, origin: b"build/a/b".to_vec(), ..sparse },
            Record { data: 5, ..file },
            link(b"outputs/dev", b"build/z"),
            record(b"outputs/out", Kind::Symlink),
            record(b"shell", Kind::File),
        ]);
        let Packed { layers, records } = parse(&bytes(&written)[..]).unwrap();
        assert_eq!(Manifest { layers, records: records.iter().map(Result::unwrap).collect() }, written);
    }

    #[test]
    fn every_cut_is_noticed() {
        let bytes = bytes(&manifest(&[record(b"build", Kind::Directory), record(b"shell", Kind::File)]));
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_err(), "{end}");
        }
        for more in [&b"x\0"[..], b"x", b"\0"] {
            let Err(Problem::Content(what)) = parse(&[&bytes[..], more].concat()[..]) else { panic!("{more:?}") };
            assert!(what.contains("more after its end"), "{what}");
        }
    }

    #[test]
    fn a_number_is_written_in_one_way() {
        let whole = "phasesplit-manifest 3\0\0\0\0layer 1 1\0\0\0\0d 755 0 5.000000005 - 0\0build\0\0\0end 1\0\0\0\0";
        let mut again = Vec::new();
        write_packed(&mut again, &parse(whole.as_bytes()).unwrap()).unwrap();
        assert_eq!(again, whole.as_bytes());
        for (from, to) in [
            ("layer 1 1", "layer 01 1"),
            ("layer 1 1", "layer 1 +1"),
            ("d 755 ", "d 0755 "),
            ("d 755 ", "d +755 "),
            (" 0 5.", " 00 5."),
            (" 5.000000005", " +5.000000005"),
            (" 5.000000005", " -0.000000005"),
            (" 5.000000005", " 5.5"),
            (" 5.000000005", " 5.+00000005"),
            (" 5.000000005", " 5.0000000050"),
            (" - 0\0build", " - 00\0build"),
            ("end 1", "end 01"),
            ("end 1", "end "),
        ] {
            let other = whole.replacen(from, to, 1);
            assert!(other != whole && parse(other.as_bytes()).is_err(), "{to}");
        }
        let file = bytes(&manifest(&[changed(record(b"shell", Kind::File), |entry| entry.hash = Some([0xab; 32]))]));
        let upper: Vec<u8> = file.iter().map(|byte| if *byte == b'b' { b'B' } else { *byte }).collect();
        assert!(parse(&file[..]).is_ok() && parse(&upper[..]).is_err());
    }

    #[test]
    fn layers_and_origins_that_cannot_be_are_refused() {
        let file = record(b"shell", Kind::File);
        assert!(refusal(&[Record { layer: 2, ..file.clone() }]).contains("a layer that there is not"));
        for origin in [&b"shell"[..], b"../shell", b"/etc/shadow", b"build/./x"] {
            let what = refusal(&[Record { origin: origin.into(), ..file.clone() }]);
            assert!(what.contains("from another path"), "{what}");
        }
        let what = refusal(&[Record { origin: b"build/x".to_vec(), ..record(b"build", Kind::Directory) }]);
        assert!(what.contains("from another path"), "{what}");
        let many = Manifest { layers: vec![Layer::default(); format::LAYERS + 1], records: Vec::new() };
        assert!(refusal_of(&many).contains("more layers than"));
        assert!(refusal_of(&Manifest::default()).contains("no layers"));
        let late = b"phasesplit-manifest 3\0\0\0\0layer 1 1\0\0\0\0d 755 0 0.000000000 - 0\0build\0\0\0layer 1 1\0\0\0\0end 1\0\0\0\0";
        assert!(matches!(parse(&late[..]), Err(Problem::Content(what)) if what.contains("not in front")));
    }

    #[test]
    fn what_could_leave_the_tree_is_refused() {
        let build = record(b"build", Kind::Directory);
        for path in [&b"/etc/x"[..], b"build/../x", b"build/./x", b"build//x", b"", b"build/x/.."] {
            let what = refusal(&[build.clone(), record(path, Kind::File)]);
            assert!(what.contains("leaves its directory"), "{what}");
        }
        for path in [&b"elsewhere"[..], b"elsewhere/x", b"outputs", b"build/missing/x"] {
            let what = refusal(&[build.clone(), record(path, Kind::File)]);
            assert!(what.contains("not lie in a directory"), "{what}");
        }
    }

    #[test]
    fn nothing_lies_below_a_link_or_a_file() {
        let build = record(b"build", Kind::Directory);
        for kind in [Kind::Symlink, Kind::File, Kind::Fifo] {
            let what = refusal(&[build.clone(), record(b"build/l", kind), record(b"build/l/x", Kind::File)]);
            assert!(what.contains("not lie in a directory"), "{what}");
        }
        let what = refusal(&[record(b"outputs/out", Kind::Symlink), record(b"outputs/out/x", Kind::File)]);
        assert!(what.contains("not lie in a directory"), "{what}");
    }

    #[test]
    fn duplicates_and_odd_roots_are_refused() {
        let build = record(b"build", Kind::Directory);
        let file = record(b"build/x", Kind::File);
        assert!(refusal(&[build.clone(), file.clone(), file.clone()]).contains("twice"));
        assert!(refusal(&[build.clone(), file, record(b"build/a", Kind::File)]).contains("out of order"));
        assert!(refusal(&[record(b"build", Kind::Symlink)]).contains("not a directory"));
        assert!(refusal(&[record(b"shell", Kind::Symlink)]).contains("not a file"));
        for root in [&b"outputs"[..], b"shm", b"tmp", b"other/x", b"tmp/a/b"] {
            assert!(refusal(&[build.clone(), record(root, Kind::File)]).contains("in a directory of the state"));
        }
    }

    #[test]
    fn hard_links_name_an_earlier_file() {
        let build = record(b"build", Kind::Directory);
        assert!(refusal(&[build.clone(), link(b"build/b", b"build/a")]).contains("to nothing"));
        assert!(refusal(&[build.clone(), link(b"build/b", b"build")]).contains("to a directory"));
        assert!(refusal(&[build.clone(), link(b"build/b", b"../etc/passwd")]).contains("to nothing"));
        let file = record(b"build/a", Kind::File);
        let other = changed(link(b"build/b", b"build/a"), |entry| entry.mode = 0o644);
        assert!(refusal(&[build, file, other]).contains("of its own"));
    }
}
