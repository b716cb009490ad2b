//! A pax tar stream of [`Entry`]s, written and read: POSIX.1-2001 headers, GNU's sparse format 1.0 for files with
//! holes. Anything standard can list and extract it; what we read is exactly what we write.
//!
//! - Owners are 0 without names: a state belongs to whoever restores it.
//! - Nanoseconds, times before 1970 or after 2242, paths and links over 100 bytes and sizes from 8 GiB on go
//!   into pax records; `hdrcharset=BINARY` announces bytes that are no UTF-8.
//! - A socket has no place in tar: it is an empty file with the record `PHASESPLIT.kind=socket` (vendor
//!   keywords are upper case, says POSIX), which other readers report and ignore.
//!
//! Knows no file system and no compression. Format: POSIX `pax`, "pax Interchange Format"; GNU tar manual,
//! "Storing Sparse Files".

use std::io::{self, Read, Write};

use super::entry::{Entry, Kind, Mtime, split_parent};
use super::error::{Shown, as_path};

/// tar counts in blocks of this many bytes.
pub const BLOCK: usize = 512;

const NAME: usize = 100;
const MAX_OCTAL_11: u64 = 0o777_7777_7777;

/// More records than any path a kernel accepts could need.
const MAX_RECORDS: u64 = 16 << 20;

/// Writes members one after the other.
pub struct Writer<W: Write> {
    out: W,
    left: u64,
    padding: usize,
}

impl<W: Write> Writer<W> {
    /// An archive that begins at `out`'s position.
    pub fn new(out: W) -> Self {
        Self { out, left: 0, padding: 0 }
    }

    /// Begins a member whose data, `data` bytes, must follow through [`Write`] before the next one.
    /// For a file with holes the data is its map and what lies between the holes.
    ///
    /// # Errors
    /// Those of the output, and `InvalidInput` where the member before is incomplete.
    pub fn member(&mut self, entry: &Entry, data: u64) -> io::Result<()> {
        self.end_member()?;
        let mut path = entry.path.clone();
        let type_flag = match entry.kind {
            Kind::File | Kind::Sparse | Kind::Socket => b'0',
            Kind::HardLink => b'1',
            Kind::Symlink => b'2',
            Kind::Directory => {
                path.push(b'/');
                b'5'
            }
            Kind::Fifo => b'6',
        };
        let mut records = Records::default();
        let is_sparse = entry.kind == Kind::Sparse;
        let long = |value: &[u8]| value.len() > NAME;
        if [&path, &entry.link].iter().any(|v| (long(v) || is_sparse) && std::str::from_utf8(v).is_err()) {
            records.add("hdrcharset", b"BINARY");
        }
        if is_sparse {
            records.add("GNU.sparse.major", b"1");
            records.add("GNU.sparse.minor", b"0");
            records.add("GNU.sparse.name", &path);
            records.add("GNU.sparse.realsize", entry.size.to_string().as_bytes());
            // A reader without sparse files gets the map and the data under a name that says so.
            path = [b"GNUSparseFile.0/", split_parent(&path).1].concat();
        } else if long(&path) {
            records.add("path", &path);
        }
        if long(&entry.link) {
            records.add("linkpath", &entry.link);
        }
        let seconds = u64::try_from(entry.mtime.secs).ok().filter(|secs| *secs <= MAX_OCTAL_11);
        if seconds.is_none() || entry.mtime.nanos != 0 {
            records.add("mtime", decimal(entry.mtime).as_bytes());
        }
        let size = Some(data).filter(|data| *data <= MAX_OCTAL_11);
        if size.is_none() {
            records.add("size", data.to_string().as_bytes());
        }
        if entry.kind == Kind::Socket {
            records.add("PHASESPLIT.kind", b"socket");
        }
        if !records.0.is_empty() {
            let name = [b"PaxHeaders/", split_parent(&entry.path).1].concat();
            let len = records.0.len() as u64;
            self.out.write_all(&header(&name, b'x', 0o644, len, 0, b""))?;
            self.out.write_all(&records.0)?;
            self.out.write_all(&[0; BLOCK][..padding(len)])?;
        }
        let (size, seconds) = (size.unwrap_or(0), seconds.unwrap_or(0));
        self.out.write_all(&header(&path, type_flag, entry.mode, size, seconds, &entry.link))?;
        (self.left, self.padding) = (data, padding(data));
        Ok(())
    }

    /// Ends the archive and gives the output back.
    ///
    /// # Errors
    /// As for [`Writer::member`].
    pub fn finish(mut self) -> io::Result<W> {
        self.end_member()?;
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(self.out)
    }

    fn end_member(&mut self) -> io::Result<()> {
        if self.left != 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a member got too little data"));
        }
        self.out.write_all(&[0; BLOCK][..std::mem::take(&mut self.padding)])
    }
}

/// The data of the current member.
impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a member got too much data"));
        }
        let written = self.out.write(bytes)?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn padding(len: u64) -> usize {
    let used = usize::try_from(len % BLOCK as u64).unwrap_or(0);
    (BLOCK - used) % BLOCK
}

#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    /// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
    fn add(&mut self, key: &str, value: &[u8]) {
        let rest = key.len() + value.len() + 3;
        let mut length = rest;
        while rest + length.to_string().len() != length {
            length = rest + length.to_string().len();
        }
        self.0.extend_from_slice(format!("{length} {key}=").as_bytes());
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }
}

fn header(name: &[u8], type_flag: u8, mode: u32, size: u64, mtime: u64, link: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name[..name.len().min(NAME)]);
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{mtime:011o}").as_bytes());
    put(148, b"        ");
    put(156, &[type_flag]);
    put(157, &link[..link.len().min(NAME)]);
    put(257, b"ustar\x0000");
    put(329, b"0000000");
    put(337, b"0000000");
    let sum = format!("{:06o}\0 ", checksum(&block));
    block[148..156].copy_from_slice(sum.as_bytes());
    block
}

/// The sum of all bytes, its own field counted as blanks.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let blanks = 8 * u32::from(b' ');
    let own: u32 = block[148..156].iter().map(|byte| u32::from(*byte)).sum();
    block.iter().map(|byte| u32::from(*byte)).sum::<u32>() - own + blanks
}

/// pax writes −0.25 s as `-0.25`, while the kernel says −1 s and 0.75.
fn decimal(time: Mtime) -> String {
    let Mtime { secs, nanos } = time;
    if secs < 0 && nanos > 0 {
        format!("-{}.{:09}", (secs + 1).unsigned_abs(), 1_000_000_000 - nanos)
    } else {
        format!("{secs}.{nanos:09}")
    }
}

fn from_decimal(text: &str) -> Option<Mtime> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.len() > 9 || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}").parse().ok()?;
    let secs: i64 = format!("{}{whole}", if negative { "-" } else { "" }).parse().ok()?;
    Some(if negative && nanos > 0 {
        Mtime { secs: secs.checked_sub(1)?, nanos: 1_000_000_000 - nanos }
    } else {
        Mtime { secs, nanos }
    })
}

/// Reads members one after the other.
pub struct Reader<R: Read> {
    input: R,
    left: u64,
    padding: usize,
}

/// Errors of the content, as opposed to those of the input, have the kind `InvalidData`.
impl<R: Read> Reader<R> {
    /// An archive that begins at `input`'s position.
    pub fn new(input: R) -> Self {
        Self { input, left: 0, padding: 0 }
    }

    /// The next member, without a hash, and the length of its data, which [`Read`] then gives; what is not
    /// read of it is skipped. `None` after the last one, when also the input has ended.
    ///
    /// # Errors
    /// Those of the input; `InvalidData` for anything that [`Writer`] would not have written.
    pub fn next_member(&mut self) -> io::Result<Option<(Entry, u64)>> {
        if self.left > 0 {
            io::copy(&mut self.by_ref(), &mut io::sink())?;
        }
        self.input.read_exact(&mut [0; BLOCK][..std::mem::take(&mut self.padding)])?;
        let mut block = self.block()?;
        if block == [0; BLOCK] {
            return self.end();
        }
        let mut pax = Pax::default();
        if block[156] == b'x' {
            check_header(&block)?;
            let len = octal(&block[124..136])?;
            if len > MAX_RECORDS {
                return Err(invalid("a pax header is too large"));
            }
            let mut records = Vec::new();
            (&mut self.input).take(len).read_to_end(&mut records)?;
            if records.len() as u64 != len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.input.read_exact(&mut [0; BLOCK][..padding(len)])?;
            pax = Pax::parse(&records)?;
            block = self.block()?;
        }
        check_header(&block)?;
        let size = pax.size.map_or_else(|| octal(&block[124..136]), Ok)?;
        let entry = entry(&block, pax, size)?;
        if size != 0 && !entry.is_file() {
            return Err(invalid(&format!("{}: a member that is no file has data", Shown(as_path(&entry.path)))));
        }
        (self.left, self.padding) = (size, padding(size));
        Ok(Some((entry, size)))
    }

    /// Takes of what is left of the current member's data from the input, as that can give it: `take` gets the input and how
    /// many bytes are left, and says what it took and how many bytes that was.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn data<T>(&mut self, take: impl FnOnce(&mut R, usize) -> io::Result<(T, usize)>) -> io::Result<T> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let (taken, len) = take(&mut self.input, left)?;
        self.left -= len.min(left) as u64;
        Ok(taken)
    }

    fn block(&mut self) -> io::Result<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        self.input.read_exact(&mut block)?;
        Ok(block)
    }

    fn end(&mut self) -> io::Result<Option<(Entry, u64)>> {
        // Reading on until the end also makes the decoder below check its last checksum.
        if self.block()? != [0; BLOCK] || self.input.read(&mut [0])? != 0 {
            return Err(invalid("there is more after the end of the archive"));
        }
        Ok(None)
    }
}

/// The data of the current member.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.input.read(&mut buffer[..wanted])?;
        if read == 0 && wanted != 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// What the records before a header say.
#[derive(Default)]
struct Pax {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    mtime: Option<Mtime>,
    real_size: Option<u64>,
    is_socket: bool,
}

impl Pax {
    fn parse(mut rest: &[u8]) -> io::Result<Self> {
        let mut pax = Self::default();
        while !rest.is_empty() {
            let (record, after) = record(rest).ok_or_else(|| invalid("a pax header is malformed"))?;
            rest = after;
            let (key, value) = record;
            let text = || std::str::from_utf8(value).ok();
            let number = || text()?.parse().ok();
            let known = match key {
                b"path" | b"GNU.sparse.name" => pax.path.replace(value.to_vec()).is_none(),
                b"linkpath" => pax.link.replace(value.to_vec()).is_none(),
                b"size" => number().is_some_and(|size| pax.size.replace(size).is_none()),
                b"GNU.sparse.realsize" => number().is_some_and(|size| pax.real_size.replace(size).is_none()),
                b"mtime" => text().and_then(from_decimal).is_some_and(|time| pax.mtime.replace(time).is_none()),
                b"GNU.sparse.major" => value == b"1",
                b"GNU.sparse.minor" => value == b"0",
                b"hdrcharset" => value == b"BINARY",
                b"PHASESPLIT.kind" => {
                    pax.is_socket = true;
                    value == b"socket"
                }
                _ => false,
            };
            if !known {
                let key = String::from_utf8_lossy(key);
                return Err(invalid(&format!("the pax record {key:?} is unknown, doubled or malformed")));
            }
        }
        Ok(pax)
    }
}

type Record<'a> = (&'a [u8], &'a [u8]);

fn record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let blank = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
    let body = bytes.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some(((&body[..equals], &body[equals + 1..]), &bytes[length..]))
}

fn entry(block: &[u8; BLOCK], pax: Pax, data: u64) -> io::Result<Entry> {
    let mut path = pax.path.unwrap_or_else(|| text(&block[..NAME]).to_vec());
    let refused = |what: &str| Err(invalid(&format!("{}: {what}", Shown(as_path(&path)))));
    let kind = match block[156] {
        b'0' if pax.is_socket => Kind::Socket,
        b'0' if pax.real_size.is_some() => Kind::Sparse,
        b'0' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        b'3' | b'4' => return refused("it is a device"),
        other => return refused(&format!("it is of the unknown type {other:#04x}")),
    };
    if kind == Kind::Directory && path.last() == Some(&b'/') {
        path.pop();
    }
    let mtime = match pax.mtime {
        Some(mtime) => mtime,
        None => Mtime { secs: octal(&block[136..148])?.cast_signed(), nanos: 0 },
    };
    let mode = u32::try_from(octal(&block[100..108])?).map_err(|_| invalid("a mode is too large"))?;
    let size = match kind {
        Kind::File => data,
        _ => pax.real_size.unwrap_or(0),
    };
    let link = pax.link.unwrap_or_else(|| text(&block[157..257]).to_vec());
    Ok(Entry { path, kind, mode, size, mtime, link, hash: None })
}

fn check_header(block: &[u8; BLOCK]) -> io::Result<()> {
    if octal(&block[148..156])? != u64::from(checksum(block)) {
        return Err(invalid("the checksum of a header is wrong"));
    }
    if &block[257..265] != b"ustar\x0000" {
        return Err(invalid("a header is not of the pax format"));
    }
    Ok(())
}

/// A field up to its NUL, or whole.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or(field)
}

fn octal(field: &[u8]) -> io::Result<u64> {
    let digits = std::str::from_utf8(text(field)).ok().map(str::trim_ascii);
    let number = digits.and_then(|digits| u64::from_str_radix(digits, 8).ok());
    number.ok_or_else(|| invalid("a number in a header is malformed"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(path: &[u8], kind: Kind) -> Entry {
        Entry { path: path.into(), kind, mode: 0o644, size: 0, mtime: Mtime::default(), link: Vec::new(), hash: None }
    }

    #[test]
    fn times_are_written_as_pax_wants() {
        let cases = [
            (0, 0, "0.000000000"),
            (0, 1, "0.000000001"),
            (-1, 750_000_000, "-0.250000000"),
            (-2, 0, "-2.000000000"),
            (-2, 999_999_999, "-1.000000001"),
            (1 << 34, 5, "17179869184.000000005"),
            (i64::MIN, 1, "-9223372036854775807.999999999"),
        ];
        for (secs, nanos, text) in cases {
            assert_eq!(decimal(Mtime { secs, nanos }), text);
            assert_eq!(from_decimal(text), Some(Mtime { secs, nanos }));
        }
        for bad in ["", "-", ".5", "1.0000000001", "+1", "1e3", "--1", "99999999999999999999"] {
            assert_eq!(from_decimal(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for len in 0..1100 {
            let mut records = Records::default();
            records.add("path", &vec![b'x'; len]);
            let ((key, value), rest) = record(&records.0).unwrap();
            assert_eq!((key, value.len(), rest.len()), (&b"path"[..], len, 0));
        }
    }

    #[test]
    fn sizes_from_8_gib_on_go_into_a_record() {
        let big = Entry { size: 9 << 30, ..entry(b"build/big", Kind::File) };
        let mut writer = Writer::new(Vec::new());
        writer.member(&big, big.size).unwrap();
        let mut reader = Reader::new(&writer.out[..]);
        assert_eq!(reader.next_member().unwrap(), Some((big, 9 << 30)));
    }

    #[test]
    fn devices_and_unknown_members_are_refused() {
        for (flag, what) in [(b'3', "a device"), (b'4', "a device"), (b'g', "unknown"), (b'L', "unknown")] {
            let bytes = header(b"build/x", flag, 0o644, 0, 0, b"");
            let error = Reader::new(&bytes[..]).next_member().unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
    }

    #[test]
    fn a_member_needs_exactly_its_data() {
        let mut writer = Writer::new(Vec::new());
        let file = entry(b"build/x", Kind::File);
        writer.member(&file, 3).unwrap();
        assert!(writer.write_all(b"four").is_err());
        assert!(writer.member(&file, 0).is_err());
    }

    fn any_entry() -> impl Strategy<Value = (Entry, Vec<u8>)> {
        let name = prop::collection::vec(1..=255u8, 1..300)
            .prop_filter("a trailing slash is a directory's", |name| name.last() != Some(&b'/'));
        let kinds = prop::sample::select(vec![
            Kind::File,
            Kind::Sparse,
            Kind::Directory,
            Kind::Symlink,
            Kind::HardLink,
            Kind::Fifo,
            Kind::Socket,
        ]);
        let data = prop::collection::vec(any::<u8>(), 0..1200);
        (name.clone(), kinds, 0..=0o7777u32, any::<u64>(), any::<i64>(), 0..1_000_000_000u32, name, data).prop_map(
            |(path, kind, mode, size, secs, nanos, link, data)| {
                let has_link = matches!(kind, Kind::Symlink | Kind::HardLink);
                let link = if has_link { link } else { Vec::new() };
                let has_data = matches!(kind, Kind::File | Kind::Sparse);
                let data = if has_data { data } else { Vec::new() };
                let size = match kind {
                    Kind::File => data.len() as u64,
                    Kind::Sparse => size,
                    _ => 0,
                };
                let mtime = Mtime { secs, nanos };
                (Entry { path, kind, mode, size, mtime, link, hash: None }, data)
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(members in prop::collection::vec(any_entry(), 0..6)) {
            let mut writer = Writer::new(Vec::new());
            for (entry, data) in &members {
                writer.member(entry, data.len() as u64).unwrap();
                writer.write_all(data).unwrap();
            }
            let bytes = writer.finish().unwrap();
            prop_assert_eq!(bytes.len() % BLOCK, 0);
            let mut reader = Reader::new(&bytes[..]);
            for (entry, data) in &members {
                let (read, len) = reader.next_member().unwrap().unwrap();
                prop_assert_eq!(&read, entry);
                prop_assert_eq!(len, data.len() as u64);
                let mut content = Vec::new();
                reader.read_to_end(&mut content).unwrap();
                prop_assert_eq!(&content, data);
            }
            prop_assert_eq!(reader.next_member().unwrap(), None);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            let mut reader = Reader::new(&bytes[..]);
            while let Ok(Some(_)) = reader.next_member() {}
            let _ = Pax::parse(&bytes);
        }
    }
}
