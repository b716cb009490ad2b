//! Each rule of the comparison excuses what it should, and a planted difference right beside it is found.

use flate2::{Compression, GzBuilder};
use phasesplit::compare::{Excuse, Report, compare_packages, compare_split};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const SPLIT: [&str; 2] = ["1shm2c9fr4laqnfcm3ywqg0zd7xv58bq-hello", "7zxv2fwql0jd9bkc5yr3nsm8ipgh41va-hello-debug"];
const UNSPLIT: [&str; 2] = ["v0ql8xk3pjz6ng5dmfr1ys9hwa2c7b4i-hello", "gk5w0h2q9mzyc7dxs1nfrv3lb8jp4i6a-hello-debug"];

type Side = Vec<(String, PathBuf)>;

/// Two results, both empty.
struct Pair {
    directory: tempfile::TempDir,
    sides: [Side; 2],
}

impl Pair {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let side = |hashes: [&str; 2]| -> Side {
            ["out", "debug"]
                .into_iter()
                .zip(hashes)
                .map(|(name, path)| (name.to_owned(), directory.path().join(path)))
                .collect()
        };
        let sides = [side(SPLIT), side(UNSPLIT)];
        for (_, path) in sides.iter().flatten() {
            fs::create_dir_all(path).expect("an output");
        }
        Self { directory, sides }
    }

    fn out(&self, side: usize) -> &Path {
        &self.sides[side][0].1
    }

    fn report(&self) -> Report {
        compare_packages(&self.sides[0], &self.sides[1]).expect("both can be read")
    }

    /// Writes a file to both sides and compares.
    fn of(name: &str, first: &[u8], second: &[u8]) -> Report {
        let pair = Self::new();
        fs::write(pair.out(0).join(name), first).expect("written");
        fs::write(pair.out(1).join(name), second).expect("written");
        pair.report()
    }
}

/// That the two are equal by these rules, and by no others.
#[track_caller]
fn excused(report: &Report, rules: &[Excuse]) {
    assert!(report.is_equal(), "{report}");
    let mut used: Vec<Excuse> = report.excused.iter().map(|excused| excused.rule).collect();
    used.sort();
    used.dedup();
    assert_eq!(used, rules, "{report}");
}

/// That a difference is found, in a place that has this word in it.
#[track_caller]
fn found(report: &Report, place: &str) {
    assert!(!report.is_equal(), "nothing was found");
    assert!(report.differences.iter().any(|difference| difference.place().contains(place)), "{report}");
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The header of an ar member.
fn ar_member(name: &str, time: &str, owner: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("{name:<16}{time:<12}{owner:<6}{:<6}{:<8}{:<10}`\n", 0, 100_644, content.len()).into_bytes();
    bytes.extend(content);
    if content.len() % 2 == 1 {
        bytes.push(b'\n');
    }
    bytes
}

fn ar(members: &[Vec<u8>]) -> Vec<u8> {
    [b"!<arch>\n".to_vec(), members.concat()].concat()
}

fn mention(side: usize) -> Vec<u8> {
    format!("see /nix/store/{}/lib", [SPLIT, UNSPLIT][side][0]).into_bytes()
}

#[test]
fn times_of_ar_members() {
    let archive = |side: usize, time: &str, owner: &str| {
        ar(&[ar_member("a.o/", "0", "0", b"odd"), ar_member("b.o/", time, owner, &mention(side))])
    };
    excused(&Pair::of("x.a", &archive(0, "1700000000", "0"), &archive(1, "1699999999", "0")), &[Excuse::ArTime]);
    excused(&Pair::of("x.a", &archive(0, "0", "0"), &archive(1, "0", "0")), &[]);
    found(&Pair::of("x.a", &archive(0, "1700000000", "0"), &archive(1, "1699999999", "1000")), "header of b.o");
    // What is no number is no time.
    found(&Pair::of("x.a", &archive(0, "17000x0000", "0"), &archive(1, "17000y0000", "0")), "header of b.o");
    let mut planted = archive(1, "1699999999", "0");
    let last = planted.len() - 2;
    planted[last] ^= 1;
    found(&Pair::of("x.a", &archive(0, "1700000000", "0"), &planted), "member b.o");
    // The byte of padding behind the odd member.
    let mut planted = archive(1, "1699999999", "0");
    planted[8 + 60 + 3] = b' ';
    found(&Pair::of("x.a", &archive(0, "1700000000", "0"), &planted), "between the members");
    let fewer = ar(&[ar_member("a.o/", "0", "0", b"odd")]);
    found(&Pair::of("x.a", &archive(0, "0", "0"), &fewer), "x.a");
}

#[test]
fn an_ar_member_of_another_size_is_one_difference() {
    let archive = |content: &[u8]| ar(&[ar_member("a.o/", "0", "0", content), ar_member("b.o/", "0", "0", b"same")]);
    let report = Pair::of("x.a", &archive(b"text"), &archive(b"longer text"));
    assert_eq!(report.differences.len(), 1, "{report}");
    assert_eq!(report.differences[0].members, ["member a.o"]);
}

fn tar(time: &str, mode: &str, content: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, "dir/file");
    put(100, mode);
    put(108, "0000000\x000000000\x00");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, time);
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend(content);
    header.resize(header.len().next_multiple_of(512) + 1024, 0);
    header
}

#[test]
fn times_of_tar_members() {
    let one = tar("14520115300\0", "0000644\0", &mention(0));
    excused(&Pair::of("x.tar", &one, &tar("14520115277\0", "0000644\0", &mention(1))), &[Excuse::TarTime]);
    found(&Pair::of("x.tar", &one, &tar("14520115277\0", "0000755\0", &mention(1))), "header of dir/file");
    found(&Pair::of("x.tar", &one, &tar("1452011527x\0", "0000644\0", &mention(1))), "header of dir/file");
    let mut other = mention(1);
    other[0] ^= 1;
    found(&Pair::of("x.tar", &one, &tar("14520115277\0", "0000644\0", &other)), "member dir/file");
    let mut filled = tar("14520115277\0", "0000644\0", &mention(1));
    filled[512 + 200] = b'x';
    found(&Pair::of("x.tar", &one, &filled), "between the members");
}

fn gz(time: u32, name: &str, content: &[u8]) -> Vec<u8> {
    let builder = GzBuilder::new().mtime(time).filename(name).operating_system(3);
    let mut encoder = builder.write(Vec::new(), Compression::new(9));
    encoder.write_all(content).expect("written");
    encoder.finish().expect("finished")
}

#[test]
fn the_time_in_a_gzip_header() {
    excused(&Pair::of("x.gz", &gz(1, "x", &mention(0)), &gz(2, "x", &mention(1))), &[Excuse::GzipTime]);
    found(&Pair::of("x.gz", &gz(1, "x", &mention(0)), &gz(2, "y", &mention(1))), "gzip header");
    let mut other = mention(1);
    other[0] ^= 1;
    found(&Pair::of("x.gz", &gz(1, "x", &mention(0)), &gz(2, "x", &other)), "unpacked");
    let behind = [gz(2, "x", &mention(1)), b"more".to_vec()].concat();
    assert!(!Pair::of("x.gz", &gz(1, "x", &mention(0)), &behind).is_equal());
}

#[test]
fn packed_files_are_compared_unpacked() {
    let scratch = tempfile::tempdir().expect("a directory");
    let pack = |program: &str, level: &str, content: &[u8]| {
        let file = scratch.path().join("x");
        fs::write(&file, content).expect("written");
        let output = Command::new(program).arg(level).arg("-c").arg(&file).output();
        output.ok().filter(|output| output.status.success()).map(|output| output.stdout)
    };
    let text = |side: usize, end: &[u8]| [mention(side), vec![b'.'; 9000], end.to_vec()].concat();
    let mut tried = 0;
    for program in ["xz", "zstd", "bzip2"] {
        let Some(one) = pack(program, "-1", &text(0, b"end")) else {
            eprintln!("skipped: no {program}");
            continue;
        };
        tried += 1;
        let other = pack(program, "-1", &text(1, b"end")).expect("as before");
        excused(&Pair::of("x.packed", &one, &other), &[]);
        let planted = pack(program, "-1", &text(1, b"eNd")).expect("as before");
        found(&Pair::of("x.packed", &one, &planted), "unpacked");
        let stronger = pack(program, "-9", &text(0, b"end")).expect("as before");
        if stronger != one {
            excused(&Pair::of("x.packed", &one, &stronger), &[Excuse::Packing]);
        }
    }
    assert!(tried > 0, "there is nothing to pack with");
}

/// A zip file made by Python's library, which sets each field.
fn zip(directory: &Path, options: &str, content: &[u8]) -> Vec<u8> {
    fs::write(directory.join("content"), content).expect("written");
    let script = format!(
        r#"
import zipfile
f = dict(date=(2020, 1, 2, 3, 4, 6), mode=0o100644, comment=b"", extra=b"", end=b"", method=zipfile.ZIP_DEFLATED)
f.update({options})
with zipfile.ZipFile("x.zip", "w") as z:
    i = zipfile.ZipInfo("pkg/member.txt", f["date"])
    i.external_attr, i.comment, i.extra, i.compress_type = f["mode"] << 16, f["comment"], f["extra"], f["method"]
    z.writestr(i, open("content", "rb").read())
    z.writestr(zipfile.ZipInfo("pkg/other", (1980, 1, 1, 0, 0, 0)), b"other")
    z.comment = f["end"]
"#
    );
    run(Command::new("python3").arg("-c").arg(script).current_dir(directory));
    fs::read(directory.join("x.zip")).expect("the file")
}

#[test]
fn times_of_zip_members() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: no python3");
        return;
    }
    let scratch = tempfile::tempdir().expect("a directory");
    let make = |options: &str, content: &[u8]| zip(scratch.path(), options, content);
    let one = make("", &mention(0));
    let report = Pair::of("x.jar", &one, &make("date=(2021, 1, 2, 3, 4, 6)", &mention(1)));
    excused(&report, &[Excuse::ZipTime]);
    excused(&Pair::of("x.jar", &one, &make("", &mention(1))), &[]);
    let stamp = |time: u8| format!("extra=b'UT\\x05\\x00\\x01{}'", format!("\\x{time:02x}").repeat(4));
    excused(&Pair::of("x.jar", &make(&stamp(1), &mention(0)), &make(&stamp(2), &mention(1))), &[Excuse::ZipTime]);
    let stored = "method=zipfile.ZIP_STORED";
    found(&Pair::of("x.jar", &one, &make(stored, &mention(1))), "header of pkg/member.txt");

    let dated = |more: &str| make(&format!("date=(2021, 1, 2, 3, 4, 6){more}"), &mention(1));
    for (planted, place) in [
        (dated(", mode=0o100755"), "header of pkg/member.txt"),
        (dated(", comment=b'c'"), "header of pkg/member.txt"),
        (dated(", extra=b'UX\\x04\\x00abcd'"), "header of pkg/member.txt"),
        (dated(", end=b'c'"), "end of the archive"),
        (make("", b"see elsewhere"), "member pkg/member.txt"),
        ([b"#!/bin/sh\n".to_vec(), dated("")].concat(), "between the members"),
    ] {
        found(&Pair::of("x.jar", &one, &planted), place);
    }
    // A checksum that is wrong is not one that follows from the content.
    let mut broken = dated("");
    broken[14] ^= 1;
    assert!(!Pair::of("x.jar", &one, &broken).is_equal());
}

fn pyc(flags: u8, eight: [u8; 8], code: &[u8]) -> Vec<u8> {
    [&b"\xa7\r\r\n"[..], &[flags, 0, 0, 0], &eight, code].concat()
}

#[test]
fn the_sources_time_in_python_bytecode() {
    let one = pyc(0, *b"\x01\0\0\0size", &mention(0));
    excused(&Pair::of("m.pyc", &one, &pyc(0, *b"\x02\0\0\0size", &mention(1))), &[Excuse::PycTime]);
    assert!(!Pair::of("m.pyc", &one, &pyc(0, *b"\x02\0\0\0siZe", &mention(1))).is_equal());
    assert!(!Pair::of("m.bin", &one, &pyc(0, *b"\x02\0\0\0size", &mention(1))).is_equal());
    let mut code = mention(1);
    code[0] ^= 1;
    assert!(!Pair::of("m.pyc", &one, &pyc(0, *b"\x02\0\0\0size", &code)).is_equal());
    assert!(!Pair::of("m.pyc", &one, &pyc(1, *b"\x02\0\0\0size", &mention(1))).is_equal());
}

#[test]
fn the_sources_digest_in_python_bytecode() {
    let with = |sources: [&[u8]; 2], codes: [&[u8]; 2]| {
        let pair = Pair::new();
        for side in 0..2 {
            fs::create_dir(pair.out(side).join("__pycache__")).expect("made");
            fs::write(pair.out(side).join("m.py"), sources[side]).expect("written");
            let digest = [*b"firstone", *b"otherone"][side];
            fs::write(pair.out(side).join("__pycache__/m.cpython-311.pyc"), pyc(1, digest, codes[side]))
                .expect("written");
        }
        pair.report()
    };
    let own = [&mention(0)[..], &mention(1)[..]];
    excused(&with(own, [b"code", b"code"]), &[Excuse::PycSource]);
    found(&with([b"plain", b"plain"], [b"code", b"code"]), "m.cpython-311.pyc");
    found(&with(own, [b"code", b"cOde"]), "m.cpython-311.pyc");
}

/// Whether there is a compiler; the tests that need one pass without.
fn gcc() -> bool {
    let there = Command::new("gcc").arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: no gcc");
    }
    there
}

const SEEDS: [&str; 2] = ["1shm2c9fr4", "v0ql8xk3pj"];

/// Compiles to an object file with debug information, the way nixpkgs' setup hooks have it.
fn object(pair: &Pair, side: usize, seed: &str, source: &str, name: &str, more: &[&str]) {
    let build = pair.directory.path().join("build");
    fs::create_dir_all(&build).expect("made");
    fs::write(build.join("x.c"), source).expect("written");
    let mut gcc = Command::new("gcc");
    gcc.current_dir(&build).args(["-g", "-O2", "-c", "x.c", "-o"]).arg(pair.out(side).join(name));
    run(gcc.arg(format!("-frandom-seed={seed}")).args(more));
}

const SOURCE: &str = "struct first { int a; long b; }; struct second { struct first *c; char d; };\n\
    int use(struct second *s) { return s->d + s->c->a; }\nint more(long value) { return value * 3; }\n";

#[test]
fn seeds_and_the_order_of_debug_strings() {
    if !gcc() {
        return;
    }
    let with = |seeds: [&str; 2], sources: [&str; 2]| {
        let pair = Pair::new();
        object(&pair, 0, seeds[0], sources[0], "x.o", &[]);
        object(&pair, 1, seeds[1], sources[1], "x.o", &[]);
        pair
    };
    // The seed lies among the strings of the debug information, in the order of a hash table.
    let report = with(SEEDS, [SOURCE, SOURCE]).report();
    assert!(report.is_equal(), "{report}");
    assert!(report.excused.iter().all(|excused| excused.rule == Excuse::StringOrder), "{report}");
    // Of a split build the seed may be the staged prefix's.
    let staged = with(["0123456789", SEEDS[1]], [SOURCE, SOURCE]);
    assert!(!staged.report().is_equal(), "a seed nobody knows");
    let prefix = [("out".to_owned(), PathBuf::from("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-hello"))];
    let report = compare_split(&staged.sides[0], &staged.sides[1], &prefix).expect("both can be read");
    assert!(report.is_equal(), "{report}");
    assert!(
        report.excused.iter().any(|excused| matches!(excused.rule, Excuse::RandomSeed | Excuse::StringOrder)),
        "{report}"
    );

    for (old, new) in [
        ("value * 3", "value * 5"),
        ("long b", "long q"),
        ("more(long value) { return value", "more(long valve) { return valve"),
    ] {
        let report = with(SEEDS, [SOURCE, &SOURCE.replace(old, new)]).report();
        found(&report, "x.o");
    }
}

#[test]
fn an_offset_to_another_string_is_found_beside_reordered_ones() {
    if !gcc() {
        return;
    }
    let pair = Pair::new();
    object(&pair, 0, SEEDS[0], SOURCE, "x.o", &[]);
    object(&pair, 1, SEEDS[1], SOURCE, "x.o", &[]);
    assert!(pair.report().is_equal());
    // Two references to strings trade places: each string is still there.
    let path = pair.out(1).join("x.o");
    let mut bytes = fs::read(&path).expect("the object");
    let list = Command::new("readelf").arg("-SW").arg(&path).output().expect("readelf runs").stdout;
    let list = String::from_utf8(list).expect("text");
    let line = list.lines().find(|line| line.contains(".rela.debug_info")).expect("the section");
    let offset = line.split_whitespace().skip_while(|word| *word != "RELA").nth(2).expect("its offset");
    let offset = usize::from_str_radix(offset, 16).expect("a number");
    let addend = |bytes: &[u8], entry: usize| bytes[offset + entry * 24 + 16..offset + entry * 24 + 24].to_vec();
    let info = |bytes: &[u8], entry: usize| bytes[offset + entry * 24 + 8..offset + entry * 24 + 16].to_vec();
    let (one, other) = (5..12)
        .flat_map(|one| (one + 1..12).map(move |other| (one, other)))
        .find(|&(one, other)| info(&bytes, one) == info(&bytes, other) && addend(&bytes, one) != addend(&bytes, other))
        .expect("two references");
    let (a, b) = (addend(&bytes, one), addend(&bytes, other));
    bytes[offset + one * 24 + 16..offset + one * 24 + 24].copy_from_slice(&b);
    bytes[offset + other * 24 + 16..offset + other * 24 + 24].copy_from_slice(&a);
    fs::write(&path, bytes).expect("planted");
    found(&pair.report(), "x.o");
}

#[test]
fn the_checksum_of_a_seed_in_a_name() {
    // What GCC makes of the seeds is read from the names it gives to LTO sections; only where they stand is planted.
    if !gcc() {
        return;
    }
    let pair = Pair::new();
    for (side, seed) in SEEDS.into_iter().enumerate() {
        object(&pair, side, seed, SOURCE, "x.o", &["-g0", "-flto"]);
    }
    let names = |side: usize| {
        let list =
            Command::new("readelf").arg("-SW").arg(pair.out(side).join("x.o")).output().expect("readelf runs").stdout;
        let list = String::from_utf8(list).expect("text");
        let word = list.split_whitespace().find(|word| word.starts_with(".gnu.lto_.inline.")).expect("the section");
        word.rsplit('.').next().expect("digits").to_owned()
    };
    let (one, other) = (names(0), names(1));
    for side in 0..2 {
        fs::remove_file(pair.out(side).join("x.o")).expect("removed");
    }
    let write = |side: usize, digits: &str| {
        fs::write(pair.out(side).join("names"), format!("_GLOBAL__F_x_0x{digits} .lto.{digits}")).expect("written");
    };
    write(0, &one);
    write(1, &other);
    if one.len() == other.len() {
        excused(&pair.report(), &[Excuse::RandomSeed]);
    } else {
        assert!(!pair.report().is_equal());
    }
    let wrong = if other.ends_with('0') { "1" } else { "0" };
    write(1, &format!("{}{wrong}", &other[..other.len() - 1]));
    found(&pair.report(), "names");
}

/// A program with its debug file, as nixpkgs' `separateDebugInfo` has it.
fn separate(pair: &Pair, side: usize, id: &str, text: &str) {
    separate_with(pair, side, id, text, &[]);
}

fn separate_with(pair: &Pair, side: usize, id: &str, text: &str, flags: &[&str]) {
    let (out, debug) = (&pair.sides[side][0].1, &pair.sides[side][1].1);
    let source = pair.directory.path().join("program.c");
    let code = format!(
        "typedef int kind;\nkind value;\nconst char *text = \"{text}\";\nint main(void) {{ return text[0]; }}\n"
    );
    fs::write(&source, code).expect("written");
    fs::create_dir_all(out.join("bin")).expect("made");
    let program = out.join("bin/p");
    run(Command::new("gcc")
        .arg("-g")
        .args(flags)
        .arg(format!("-Wl,--build-id=0x{id}"))
        .arg("-o")
        .arg(&program)
        .arg(&source));
    let directory = debug.join("lib/debug/.build-id").join(&id[..2]);
    fs::create_dir_all(&directory).expect("made");
    let file = directory.join(format!("{}.debug", &id[2..]));
    run(Command::new("objcopy").arg("--only-keep-debug").arg(&program).arg(&file));
    run(Command::new("objcopy")
        .arg("--strip-debug")
        .arg(format!("--add-gnu-debuglink={}", file.display()))
        .arg(&program));
    std::os::unix::fs::symlink(format!(".build-id/{}/{}.debug", &id[..2], &id[2..]), debug.join("lib/debug/p.debug"))
        .expect("linked");
}

const IDS: [&str; 2] = ["0123456789abcdef0123456789abcdef01234567", "fedcba9876543210fedcba9876543210fedcba98"];

#[test]
fn debug_files_are_named_after_build_ids() {
    if !gcc() {
        return;
    }
    let both = || {
        let pair = Pair::new();
        separate(&pair, 0, IDS[0], "same");
        separate(&pair, 1, IDS[1], "same");
        pair
    };
    excused(&both().report(), &[Excuse::BuildId, Excuse::DebugName, Excuse::DebugLink]);

    // A debug file whose program nobody has keeps its name.
    let lone = both();
    let stray = lone.sides[1][1].1.join("lib/debug/.build-id/fe/0000.debug");
    fs::write(&stray, "stray").expect("planted");
    found(&lone.report(), ".build-id/fe/0000.debug");

    // A difference in the debug file is one there, and makes the checksum one of the program.
    let planted = both();
    let file = planted.sides[1][1].1.join("lib/debug/.build-id/fe").join(format!("{}.debug", &IDS[1][2..]));
    let mut bytes = fs::read(&file).expect("the debug file");
    let at = bytes.windows(4).position(|window| window == b"main").expect("a name");
    bytes[at] = b'n';
    fs::write(&file, &bytes).expect("planted");
    let report = planted.report();
    found(&report, ".build-id");
    found(&report, "out/bin/p");

    // A checksum that is not that of the debug file.
    let wrong = both();
    let program = wrong.out(1).join("bin/p");
    let mut bytes = fs::read(&program).expect("the program");
    let name = format!("{}.debug\0", &IDS[1][2..]);
    let at = bytes.windows(name.len()).position(|window| window == name.as_bytes()).expect("the link");
    bytes[(at + name.len()).next_multiple_of(4)] ^= 1;
    fs::write(&program, bytes).expect("planted");
    found(&wrong.report(), "out/bin/p");

    // A link that leads elsewhere.
    let moved = both();
    let link = moved.sides[1][1].1.join("lib/debug/p.debug");
    fs::remove_file(&link).expect("removed");
    std::os::unix::fs::symlink(".build-id/fe/0000.debug", &link).expect("linked");
    found(&moved.report(), "p.debug");

    // A directory's mode, though the directory has another name.
    let mode = both();
    let directory = mode.sides[1][1].1.join("lib/debug/.build-id/fe");
    fs::set_permissions(&directory, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("changed");
    found(&mode.report(), ".build-id");
}

#[test]
fn compressed_debug_files_are_compared_unpacked() {
    if !gcc() {
        return;
    }
    let pair = |second: &[&str]| {
        let pair = Pair::new();
        for side in 0..2 {
            // The directory that debug information names is the package's own.
            let from = pair.directory.path().display().to_string();
            let map = format!("-ffile-prefix-map={from}=/nix/store/{}/src", [SPLIT, UNSPLIT][side][0]);
            let more = if side == 1 { second } else { &[] };
            separate_with(&pair, side, IDS[side], "same", &[&["-gz=zlib", &map], more].concat());
        }
        pair
    };
    let debug_file = |pair: &Pair, side: usize| {
        let directory = pair.sides[side][1].1.join("lib/debug/.build-id").join(&IDS[side][..2]);
        directory.join(format!("{}.debug", &IDS[side][2..]))
    };
    let report = pair(&[]).report();
    assert!(report.is_equal(), "{report}");
    // Whether the strings have another order, too, is the linker's affair.
    for rule in [Excuse::BuildId, Excuse::DebugName, Excuse::DebugLink, Excuse::Packing] {
        assert!(report.excused.iter().any(|excused| excused.rule == rule), "{report}");
    }

    // A name that is in the debug information alone.
    let report = pair(&["-Dkind=sort"]).report();
    found(&report, ".debug, debug sections unpacked");
    found(&report, "out/bin/p");

    // The same sections, packed less well; the program does not know of that file.
    let packed = pair(&[]);
    let plain = packed.directory.path().join("plain");
    run(Command::new("objcopy").arg("--decompress-debug-sections").arg(debug_file(&packed, 0)).arg(&plain));
    assert!(
        fs::metadata(&plain).expect("unpacked").len() > fs::metadata(debug_file(&packed, 0)).expect("packed").len()
    );
    fs::copy(&plain, debug_file(&packed, 0)).expect("copied");
    found(&packed.report(), ".debug");

    // Whatever byte of a debug file is changed: where it is not only packing, it is found.
    let changed = pair(&[]);
    let file = debug_file(&changed, 1);
    let bytes = fs::read(&file).expect("the debug file");
    let step = bytes.len() / 40;
    for at in (0..bytes.len()).step_by(step) {
        let mut other = bytes.clone();
        other[at] ^= 1 << (at % 8);
        fs::write(&file, &other).expect("written");
        found(&changed.report(), "out/bin/p");
    }
}

#[test]
fn differences_are_shown_and_bounded() {
    let lines = |changed: usize| {
        let lines: Vec<String> =
            (0..4000).map(|n| format!("line {}", if n % 4 == 0 { n * changed } else { n })).collect();
        lines.join("\n")
    };
    let report = Pair::of("text", lines(1).as_bytes(), lines(2).as_bytes());
    let shown = &report.differences[0].shown;
    assert!(shown.len() <= 31 && shown.last().is_some_and(|line| line.ends_with("more lines")), "{shown:?}");
    let text = |side: usize, word: &str| [&mention(side)[..], b"\n", word.as_bytes(), b"\n"].concat();
    let report = Pair::of("text", &text(0, "one"), &text(1, "two"));
    let shown = &report.differences[0].shown;
    assert_eq!(shown, &["@@ -1,2 +1,2 @@", " see /nix/store/<out>-hello/lib", "-one", "+two"]);
    let report = Pair::of("binary", b"\0\x01\x02abc", b"\0\x01\x02aBc");
    let shown = &report.differences[0].shown;
    assert_eq!(shown[0], format!("-00000000  {:<48} |...abc|", "00 01 02 61 62 63 "));
    assert_eq!(shown[1], format!("+00000000  {:<48} |...aBc|", "00 01 02 61 42 63 "));
}

#[test]
fn no_changed_byte_goes_unnamed() {
    let scratch = tempfile::tempdir().expect("a directory");
    let text = b"the same text, and again the same text";
    let packed = |program: &str| {
        fs::write(scratch.path().join("x"), text).expect("written");
        let output = Command::new(program).arg("-c").arg(scratch.path().join("x")).output();
        output.map(|output| output.stdout).unwrap_or_default()
    };
    let samples: Vec<(&str, Vec<u8>, &[Excuse])> = vec![
        ("x.a", ar(&[ar_member("a.o/", "17", "0", b"odd"), ar_member("b.o/", "18", "0", text)]), &[Excuse::ArTime]),
        ("x.tar", tar("14520115300\0", "0000644\0", text), &[Excuse::TarTime]),
        ("x.gz", gz(7, "x", text), &[Excuse::GzipTime, Excuse::Packing]),
        ("x.xz", packed("xz"), &[Excuse::Packing]),
        ("x.zst", packed("zstd"), &[Excuse::Packing]),
        ("x.bz2", packed("bzip2"), &[Excuse::Packing]),
        ("x.jar", zip(scratch.path(), "extra=b'UT\\x05\\x00\\x01abcd'", text), &[Excuse::ZipTime, Excuse::Packing]),
        ("x.pyc", pyc(0, *b"timesize", text), &[Excuse::PycTime]),
    ];
    let pair = Pair::new();
    for (name, sample, rules) in samples {
        let files = [pair.out(0).join(name), pair.out(1).join(name)];
        fs::write(&files[0], &sample).expect("written");
        for at in 0..sample.len() {
            let mut changed = sample.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(&files[1], &changed).expect("written");
            let report = pair.report();
            assert!(!report.is_equal() || !report.excused.is_empty(), "{name}: byte {at:#x} went unnoticed");
            assert!(report.excused.iter().all(|excused| rules.contains(&excused.rule)), "{name}, {at:#x}: {report}");
        }
        for file in &files {
            fs::remove_file(file).expect("removed");
        }
    }
}

#[test]
fn every_rule_has_a_name_of_its_own() {
    let mut names: Vec<&str> = Excuse::ALL.iter().map(|rule| rule.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Excuse::ALL.len());
    assert!(Excuse::ALL.iter().all(|rule| !rule.reason().is_empty()));
}
