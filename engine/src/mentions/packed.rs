//! Archives and compressed files: what is unpacked, run and removed again within one stage is never in the tree when the stage
//! ends, but the archive that it came from was.

use std::io::{self, BufReader, Read};
use std::path::Path;

use super::Search;

/// An archive may be in an archive, so often.
const DEPTH: usize = 3;

/// All that one search unpacks, in bytes.
const BYTES: u64 = 1 << 29;

/// What of archives one search went through.
#[derive(Debug, Default)]
pub struct Seen {
    depth: usize,
    bytes: u64,
    is_over: bool,
}

const ZIP: &[u8] = b"PK\x03\x04";

/// Whether a file begins like one that can be unpacked here: gzip, xz, zstd, bzip2, zip or tar.
pub fn is_packed(head: &[u8]) -> bool {
    let magics: [&[u8]; 5] = [b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"BZh", ZIP];
    magics.iter().any(|magic| head.starts_with(magic)) || is_tar(head)
}

fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// Searches the files in an archive, or the text of a compressed file. Damaged ones are searched as far as they can be read.
pub fn search(search: &mut Search, head: &[u8], file: &mut dyn Read, path: &Path) -> io::Result<()> {
    if search.packed.depth >= DEPTH {
        return Ok(());
    }
    search.packed.depth += 1;
    let whole = head.chain(file);
    let result = match head {
        [0x1f, 0x8b, ..] => content(search, &mut flate2::read::MultiGzDecoder::new(whole), path),
        [0xfd, ..] => content(search, &mut liblzma::read::XzDecoder::new_multi_decoder(whole), path),
        [0x28, 0xb5, ..] => match zstd::stream::read::Decoder::new(whole) {
            Ok(mut decoder) => content(search, &mut decoder, path),
            Err(_) => Ok(()),
        },
        [b'B', b'Z', ..] => content(search, &mut bzip2::read::MultiBzDecoder::new(whole), path),
        [b'P', b'K', ..] => zip(search, whole, path),
        _ => tar(search, &mut BufReader::new(whole), path),
    };
    search.packed.depth -= 1;
    // What a decoder says of a damaged file is no error of the build, whose own programs will say it.
    result.or_else(|error| if error.kind() == io::ErrorKind::OutOfMemory { Err(error) } else { Ok(()) })
}

/// A reader that ends where all that may be unpacked has been. `is_over` says so afterwards.
fn content(search: &mut Search, decoder: &mut dyn Read, path: &Path) -> io::Result<()> {
    let left = BYTES.saturating_sub(search.packed.bytes);
    let mut bounded = decoder.take(left);
    let mut head = vec![0; 512];
    let length = fill(&mut bounded, &mut head)?;
    head.truncate(length);
    let result = if is_packed(&head) {
        self::search(search, &head, &mut bounded, path)
    } else {
        // The name without `.gz` says what it is.
        search.file(&mut head.as_slice().chain(&mut bounded), &path.with_extension(""))
    };
    let taken = left - bounded.limit();
    search.packed.bytes += taken;
    if bounded.limit() == 0 && !search.packed.is_over {
        search.packed.is_over = true;
        search.found.unproven.push((path.to_owned(), "too large to be searched whole".to_owned()));
    }
    result
}

fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// The regular files of a tar archive.
fn tar(search: &mut Search, reader: &mut dyn Read, path: &Path) -> io::Result<()> {
    let mut header = [0; 512];
    while fill(reader, &mut header)? == header.len() && is_tar(&header) {
        let Some(size) = number(&header[124..136]) else { break };
        let mut body = reader.take(size);
        if matches!(header[156], b'0' | 0) {
            let name = header[..100].split(|byte| *byte == 0).next().unwrap_or_default();
            search.file(&mut body, &path.join(String::from_utf8_lossy(name).trim_start_matches('/')))?;
        }
        io::copy(&mut body, &mut io::sink())?;
        if size % 512 > 0 {
            io::copy(&mut reader.take(512 - size % 512), &mut io::sink())?;
        }
    }
    Ok(())
}

/// An octal number of a header, or one in base 256.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] == 0x80 {
        return field[4..].iter().try_fold(0_u64, |sum, byte| sum.checked_mul(256)?.checked_add((*byte).into()));
    }
    let digits = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    u64::from_str_radix(digits, 8).ok()
}

/// The files of a zip archive, by the headers before them.
fn zip(search: &mut Search, reader: impl Read, path: &Path) -> io::Result<()> {
    let mut bytes = Vec::new();
    reader.take(BYTES.saturating_sub(search.packed.bytes)).read_to_end(&mut bytes)?;
    for at in memchr::memmem::find_iter(&bytes, ZIP) {
        let Some(header) = bytes[at..].get(..30) else { break };
        let short = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let size = u32::from_le_bytes([header[18], header[19], header[20], header[21]]) as usize;
        let start = at + 30 + short(26) + short(28);
        let name = bytes.get(at + 30..at + 30 + short(26)).unwrap_or_default();
        let path = path.join(String::from_utf8_lossy(name).trim_start_matches('/'));
        let body = bytes.get(start..).unwrap_or_default();
        // A damaged member is no reason to leave out the others.
        let _ = match short(8) {
            0 => content(search, &mut body.get(..size).unwrap_or_default(), &path),
            8 => content(search, &mut flate2::read::DeflateDecoder::new(body), &path),
            _ => Ok(()),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::{Request, mentions};

    #[test]
    fn what_is_in_archives_counts() {
        let scene = tempfile::tempdir().unwrap();
        let (tree, top) = (scene.path().join("tree"), scene.path());
        let run = |script: &str| {
            let status = Command::new("bash").args(["-ec", script]).current_dir(top).status().unwrap();
            assert!(status.success(), "{script}");
        };
        run("mkdir tree in; echo 'echo $FOO' >in/run.sh; head -c 100000 /dev/zero >in/data; echo harmless >in/z");
        let request = Request { build_dir: tree, names: ["FOO".to_owned()].into(), ..Request::default() };
        for (name, script) in [
            ("a.tar", "tar -cf tree/a.tar in"),
            ("a.tgz", "tar -czf tree/a.tgz in"),
            ("a.tar.xz", "tar -cJf tree/a.tar.xz in"),
            ("a.tar.bz2", "tar -cjf tree/a.tar.bz2 in"),
            ("a.tar.zst", "tar -c --zstd -f tree/a.tar.zst in"),
            ("a.zip", "python3 -c 'import shutil; shutil.make_archive(\"tree/a\", \"zip\", \".\", \"in\")'"),
            ("a.sh.gz", "gzip -c in/run.sh >tree/a.sh.gz"),
            ("b.tar", "tar -cf in/a.tar in/run.sh; gzip -c in/a.tar >in/a.tgz; tar -cf tree/b.tar in/a.tgz; rm in/a.*"),
        ] {
            assert_eq!(mentions(&request).unwrap().names, [].into(), "{name}");
            run(script);
            let found = mentions(&request).unwrap();
            assert!(
                found.names.get("FOO").is_some_and(|path| path.starts_with(name) || name == "a.sh.gz"),
                "{name}: {found:?}"
            );
            run(
                "tree=$(ls tree); head -c 300 tree/$tree >cut; rm tree/*; cp cut tree/cut; echo '$FOOD' | gzip >tree/other.gz",
            );
            // A damaged one is no error.
            mentions(&request).unwrap();
            run("rm tree/*");
        }
    }
}
