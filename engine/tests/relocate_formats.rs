//! Relocation inside archives and compressed files: for each format, a planted path is rewritten, and the file is as whole as
//! before, or it is refused with the member named and nothing is changed.

#[path = "support/zip.rs"]
mod zip;

use phasesplit_state::relocate::{Error, Mapping, relocate, scan};
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;
use zip::{zip_of, zip_of_packed};

const STAGED: &str = "1shm2c9fr4laqnfcm3ywqg0zd7xv58bq";
const REAL: &str = "v0ql8xk3pjz6ng5dmfr1ys9hwa2c7b4i";

fn mappings() -> [Mapping; 1] {
    [Mapping::new(text(STAGED).as_bytes(), text(REAL).as_bytes()).unwrap()]
}

fn text(hash: &str) -> String {
    format!("/nix/store/{hash}-hello-2.10")
}

/// A text that does not compress to nothing, with the path in it or without.
fn content(hash: Option<&str>) -> Vec<u8> {
    let lines = (0..200).map(|i| format!("line {} of it\n", i * 7919 % 1009)).collect::<Vec<_>>().concat();
    format!("{lines}prefix={}\n{lines}", hash.map_or_else(|| "/usr/local".to_owned(), text)).into_bytes()
}

fn gz(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut content).unwrap();
    content
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn xz(content: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn lzma(content: &[u8]) -> Vec<u8> {
    let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn bz(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zst(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

fn ar(name: &str, content: &[u8]) -> Vec<u8> {
    let header = format!("{:<48}{:<10}`\n", format!("{name}/"), content.len());
    [b"!<arch>\n", header.as_bytes(), content].concat()
}

/// A cpio archive as the kernel reads it; with the sums of the members' bytes or without.
fn cpio(members: &[(&str, &[u8])], sums: bool) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in members.iter().chain(&[("TRAILER!!!", &b""[..])]) {
        let sum: u32 = content.iter().map(|&byte| u32::from(byte)).sum();
        let magic = if sums { "070702" } else { "070701" };
        let fields = [1, 0o100_644, 0, 0, 1, 0, content.len(), 0, 0, 0, 0, name.len() + 1];
        let fields = fields.map(|field| format!("{field:08x}")).concat();
        archive.extend(format!("{magic}{fields}{:08x}{name}\0", if sums { sum } else { 0 }).bytes());
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(*content);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }
    archive
}

/// A tar archive, by the tar of this machine.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), content).unwrap();
    let mut command = Command::new("tar");
    command.args(["--format=posix", "--mtime=@1", "--pax-option=delete=atime,delete=ctime", "-c", name]);
    command.current_dir(dir.path()).output().unwrap().stdout
}

/// Relocates a file with these bytes; what it is afterwards, or what was said against it.
fn relocated(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("packed");
    fs::write(&file, bytes).unwrap();
    let trees = [file.clone()];
    match relocate(&mappings(), &trees, &[]) {
        Ok(_) => {
            scan(&mappings(), &trees).unwrap();
            Ok(fs::read(&file).unwrap())
        }
        Err(Error::Refused(refusal)) => {
            assert_eq!(fs::read(&file).unwrap(), bytes);
            Err(refusal.to_string())
        }
        Err(error) => panic!("{error}"),
    }
}

/// How a format is made.
type Pack = Box<dyn Fn(&[u8]) -> Vec<u8>>;

fn pack(pack: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Pack {
    Box::new(pack)
}

#[test]
fn what_can_be_written_again_is() {
    let formats: Vec<(&str, Pack)> = vec![
        ("cpio", pack(|c| cpio(&[("init", b"x"), ("etc/conf", c), ("z", b"yy")], false))),
        ("cpio with sums", pack(|c| cpio(&[("init", b"x"), ("etc/conf", c)], true))),
        ("ar", pack(|c| ar("a.o", c))),
        ("tar", pack(|c| tar("conf", c))),
        ("ar in tar", pack(|c| tar("lib.a", &ar("a.o", c)))),
        ("zip", pack(|c| zip_of("conf", c))),
        ("jar in whl", pack(|c| zip_of("x/lib.jar", &zip_of("a/conf", c)))),
        ("jar in jar in whl", pack(|c| zip_of("x/l.jar", &zip_of("m.jar", &zip_of("a/conf", c))))),
        ("gz in zip", pack(|c| zip_of("man/a.1.gz", &gz(c)))),
    ];
    for (name, pack) in formats {
        let got = relocated(&pack(&content(Some(STAGED))));
        // Packed as the engine packs, so that what is right is the same to the byte.
        if name.contains("gz") {
            assert!(got.is_ok(), "{name}: {got:?}");
            continue;
        }
        assert_eq!(got.unwrap(), pack(&content(Some(REAL))), "{name}");
        assert_eq!(relocated(&pack(&content(None))).unwrap(), pack(&content(None)), "{name}");
    }
    let gzipped: Vec<(&str, Pack)> = vec![
        ("cpio.gz", pack(|c| cpio(&[("init", b"x"), ("etc/conf", c)], false))),
        ("cpio.gz with sums", pack(|c| cpio(&[("init", b"x"), ("etc/conf", c)], true))),
        ("tar.gz", pack(|c| tar("conf", c))),
        ("a.gz", pack(|c| ar("a.o", c))),
        ("whl.gz", pack(|c| zip_of("a", c))),
    ];
    for (name, pack) in gzipped {
        let got = relocated(&gz(&pack(&content(Some(STAGED))))).unwrap();
        assert_eq!(gunzip(&got), pack(&content(Some(REAL))), "{name}");
    }
}

#[test]
fn what_cannot_is_refused_by_name() {
    let formats: Vec<(&str, &[&str], Pack)> = vec![
        ("xz", &["xz data"], pack(xz)),
        ("lzma", &["lzma data"], pack(lzma)),
        ("zstd", &["zstd data"], pack(zst)),
        ("bzip2", &["bzip2 data"], pack(bz)),
        ("zlib", &["zlib data"], pack(zlib)),
        ("tar.xz", &["xz data: member conf"], pack(|c| xz(&tar("conf", c)))),
        ("tar.zst", &["zstd data: member conf"], pack(|c| zst(&tar("conf", c)))),
        ("tar.bz2", &["bzip2 data: member conf"], pack(|c| bz(&tar("conf", c)))),
        ("cpio.xz", &["xz data: member etc/conf"], pack(|c| xz(&cpio(&[("i", b"x"), ("etc/conf", c)], false)))),
        (
            "gz in cpio.gz",
            &["gzip member at 0x0: member conf.gz: "],
            pack(|c| gz(&cpio(&[("conf.gz", &gz(c))], false))),
        ),
        ("gz in ar", &["member a.gz: gzip member"], pack(|c| ar("a.gz", &gz(c)))),
        ("xz in ar", &["member a.xz: xz data"], pack(|c| ar("a.xz", &xz(c)))),
        ("gz in tar", &["member a.gz: gzip member"], pack(|c| tar("a.gz", &gz(c)))),
        ("xz in whl", &["zip member d.xz: xz data"], pack(|c| zip_of("d.xz", &xz(c)))),
        (
            "tar.xz in jar in whl",
            &["zip member a.jar: zip member b: xz data: member c"],
            pack(|c| zip_of("a.jar", &zip_of("b", &xz(&tar("c", c))))),
        ),
        (
            "two archives in a ramdisk",
            &["member behind the archive's end: gzip member"],
            pack(|c| [cpio(&[("microcode", b"xyz")], false), vec![0; 512], gz(&cpio(&[("conf", c)], false))].concat()),
        ),
        (
            "zstd by zip",
            &["zip member conf"],
            pack(|c| {
                let stored = zip_of_packed("conf", c, &zst(c), 93);
                assert!(stored.windows(4).any(|four| four == b"\x28\xb5\x2f\xfd"));
                stored
            }),
        ),
    ];
    for (name, wants, pack) in formats {
        let said = relocated(&pack(&content(Some(STAGED)))).expect_err(name);
        assert!(wants.iter().all(|want| said.contains(want)) && said.contains("help: "), "{name}: {said}");
        let plain = pack(&content(None));
        assert_eq!(relocated(&plain).unwrap(), plain, "{name}");
    }
}

#[test]
fn what_lies_behind_a_stream_is_searched_too() {
    let formats: [(&str, Pack); 5] =
        [("xz", pack(xz)), ("lzma", pack(lzma)), ("zstd", pack(zst)), ("bzip2", pack(bz)), ("zlib", pack(zlib))];
    for (name, pack) in formats {
        let said = relocated(&[gz(&content(None)), pack(&content(Some(STAGED)))].concat()).unwrap_err();
        assert!(said.contains("behind the last gzip member"), "{name}: {said}");
        let (clean, mention) = (content(None), content(Some(STAGED)));
        let plain = [pack(&clean), clean.clone()].concat();
        assert_eq!(relocated(&plain).unwrap(), plain, "{name}: nothing in it");
        let raw = [pack(&clean), b" and ".to_vec(), mention.clone()].concat();
        match relocated(&raw) {
            Ok(bytes) => assert_eq!(bytes, [pack(&clean), b" and ".to_vec(), content(Some(REAL))].concat(), "{name}"),
            Err(said) => assert!(said.contains(&format!("what follows {name} data")), "{name}: {said}"),
        }
        for (what, bytes) in [
            ("the last of many streams", [pack(&clean).repeat(9), pack(&mention)].concat()),
            ("a stream of another format", [pack(&clean), gz(&mention)].concat()),
            ("before what is no stream", [pack(&mention), b"garbage".to_vec()].concat()),
            ("cut off", pack(&mention)[..pack(&mention).len() - 1].to_vec()),
        ] {
            // Of a block that is not whole, these two give nothing to anyone.
            if what == "cut off" && ["zstd", "bzip2"].contains(&name) {
                continue;
            }
            let Err(said) = relocated(&bytes) else { panic!("{name}: {what}: not refused") };
            assert!(said.contains(&format!("{name} data")), "{name}: {what}: {said}");
        }
    }
}

/// Formats for which this machine has a program; without it they are skipped, with a message.
#[test]
fn what_other_programs_write_is_refused_or_named() {
    let by = |program: &str, arguments: &[&str], content: &[u8]| -> Option<Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), content).unwrap();
        let output = Command::new(program).args(arguments).arg("f").current_dir(dir.path()).output();
        match output {
            Ok(output) if output.status.success() => Some(output.stdout),
            _ => {
                eprintln!("skipped: no {program}");
                None
            }
        }
    };
    for arguments in [&["-c", "-1"][..], &["-c", "-9"], &["-c", "-l", "-1"]] {
        if let Some(bytes) = by("lz4", arguments, &content(Some(STAGED))) {
            let said = relocated(&bytes).unwrap_err();
            assert!(said.contains("lz4 data"), "{said}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("app.js.br");
    fs::write(&file, by("brotli", &["-c"], &content(Some(STAGED))).unwrap_or_else(|| b"anything".to_vec())).unwrap();
    fs::write(dir.path().join("a.7z"), b"7z\xbc\xaf\x27\x1c\0\x04").unwrap();
    let said = relocate(&mappings(), &[dir.path().to_owned()], &[]).unwrap().to_string();
    assert!(said.contains("app.js.br") && said.contains("a.7z") && said.contains("which cannot be searched"), "{said}");
}

#[test]
fn a_mention_is_seen_across_windows_and_parts_of_a_large_file() {
    const SIZE: usize = 36 << 20;
    let noise: Vec<u8> = (0..SIZE).map(|i| ((i * 2_654_435_761) >> 13).to_le_bytes()[0] | 0x80).collect();
    let path = text(STAGED);
    let edges = [256 << 10, 512 << 10, 16 << 20, 32 << 20, SIZE - path.len()];
    let dir = tempfile::tempdir().unwrap();
    for before in [0, 1, 20, path.len() - 8, path.len()] {
        let planted = |hash: &str| {
            let mut bytes = noise.clone();
            for edge in edges {
                bytes[edge - before..][..path.len()].copy_from_slice(text(hash).as_bytes());
            }
            bytes
        };
        let file = dir.path().join("large");
        fs::write(&file, planted(STAGED)).unwrap();
        relocate(&mappings(), std::slice::from_ref(&file), &[]).unwrap();
        assert!(fs::read(&file).unwrap() == planted(REAL), "{before}");
    }
    // One of them is enough for the file to be read whole.
    for edge in edges {
        let file = dir.path().join(edge.to_string());
        fs::write(&file, [&noise[..edge], path.as_bytes(), &noise[edge..]].concat()).unwrap();
        relocate(&mappings(), std::slice::from_ref(&file), &[]).unwrap();
        assert!(fs::read(&file).unwrap()[edge..].starts_with(text(REAL).as_bytes()), "{edge}");
    }
}

type Packer<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

#[test]
fn a_stream_is_looked_into_wherever_it_begins_in_a_large_file() {
    const SIZE: usize = 1 << 20;
    const EDGE: usize = 256 << 10;
    let noise: Vec<u8> = (0..SIZE).map(|i| ((i * 2_654_435_761) >> 13).to_le_bytes()[0] | 0x80).collect();
    let named = |content: &[u8]| {
        let name = "n".repeat(3000);
        let builder = flate2::GzBuilder::new().filename(name);
        let mut encoder = builder.write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    };
    let zipped = |content: &[u8]| zip_of("a", content);
    let packs: [(&str, Packer); 5] = [("gzip", &gz), ("gzip", &named), ("zlib", &zlib), ("xz", &xz), ("zip", &zipped)];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("large");
    for (format, pack) in packs {
        let [held, free] = [Some(STAGED), None].map(|hash| pack(&content(hash)));
        for before in [0, 1, 2, 3, 9, 10, 40, held.len() / 2, held.len()] {
            let at = EDGE - before;
            fs::write(&file, [&noise[..at], &free, &noise[at..]].concat()).unwrap();
            assert!(scan(&mappings(), std::slice::from_ref(&file)).unwrap().files.is_empty(), "{format} {before}");
            fs::write(&file, [&noise[..at], &held, &noise[at..]].concat()).unwrap();
            let said = scan(&mappings(), std::slice::from_ref(&file)).unwrap_err().to_string();
            assert!(said.contains(&format!("{format} data at {at:#x}")), "{format} {before}: {said}");
        }
    }
}

fn sqlite(file: &Path, statements: &str) -> bool {
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()";
    let done = Command::new("python3").args(["-c", script]).arg(file).arg(statements).status();
    let done = done.is_ok_and(|status| status.success());
    if !done {
        eprintln!("skipped: no python3 with sqlite3");
    }
    done
}

#[test]
fn a_row_of_a_database_is_rewritten_and_an_index_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("db");
    let insert = format!("insert into t values ('{}/bin')", text(STAGED));
    if !sqlite(&file, &format!("create table t (p text); {insert};")) {
        return;
    }
    relocate(&mappings(), std::slice::from_ref(&file), &[]).unwrap();
    let bytes = fs::read(&file).unwrap();
    assert!(memchr::memmem::find(&bytes, REAL.as_bytes()).is_some());
    fs::remove_file(&file).unwrap();
    sqlite(&file, &format!("create table t (p text primary key); {insert};"));
    let error = relocate(&mappings(), &[file], &[]).unwrap_err().to_string();
    assert!(error.contains("SQLite index"), "{error}");
}

/// Runs a program in `dir`.
fn run(dir: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program).current_dir(dir).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_program_knows_its_separate_debug_information_after_relocation() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    fs::write(dir.join("p.c"), "int main(void) { return 0; }\n").unwrap();
    // The compiler's command line is among the debug information.
    run(
        dir,
        "gcc",
        &["-g", "-grecord-gcc-switches", &format!("-DPREFIX=\"{}\"", text(STAGED)), "-g3", "-o", "p", "p.c"],
    );
    fs::create_dir(dir.join("tree")).unwrap();
    fs::create_dir(dir.join("tree/.debug")).unwrap();
    let link = |program: &str| {
        run(dir, "objcopy", &["--add-gnu-debuglink=tree/.debug/p.debug", "stripped", program]);
        fs::read(dir.join(program)).unwrap()
    };
    run(dir, "objcopy", &["--only-keep-debug", "p", "tree/.debug/p.debug"]);
    run(dir, "objcopy", &["--strip-all", "p", "stripped"]);
    let before = link("tree/p");
    // One whose sum is of some other file stays as it is.
    let mut other = before.clone();
    let at = other.windows(8).position(|w| w == b"p.debug\0").unwrap() + 8;
    other[at] ^= 1;
    fs::write(dir.join("tree/other"), &other).unwrap();
    let debug = fs::read(dir.join("tree/.debug/p.debug")).unwrap();

    relocate(&mappings(), &[dir.join("tree")], &[]).unwrap();
    assert_ne!(fs::read(dir.join("tree/.debug/p.debug")).unwrap(), debug, "the debug information was relocated");
    let after = fs::read(dir.join("tree/p")).unwrap();
    assert_ne!(after, before);
    assert_eq!(after, link("anew"), "as objcopy writes it for the relocated file");
    assert_eq!(fs::read(dir.join("tree/other")).unwrap(), other);
}
