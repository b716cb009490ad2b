//! The fuzz targets without a fuzzer: over their corpus, and over changes of it that are the same in every run. `make fuzz`
//! looks further (CONTRIBUTING.md).

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

mod seeds {
    //! The corpus, as our own writer makes it.

    use std::fs::{self, File};
    use std::io::{Read, Write};
    use std::os::unix::fs::{FileExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use phasesplit_state::entry::Mtime;
    use phasesplit_state::tree::timestamps;
    use phasesplit_state::{format, save};
    use rustix::fs::{AtFlags, CWD, FileType, Mode, mknodat, utimensat};

    use super::targets::relocate::PATHS;
    use super::targets::restore::SEPARATOR;

    type Seed = (String, Vec<u8>);

    /// For `restore` and `manifest`.
    pub fn states() -> (Vec<Seed>, Vec<Seed>) {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let (mut states, mut manifests) = (Vec::new(), Vec::new());
        let mut seed = |name: &str, chain: &[&str]| {
            let last = at(chain.last().unwrap());
            let manifest = unpacked(&last.join(format::MANIFEST));
            manifests.push((name.to_owned(), manifest.clone()));
            let layers = chain.iter().map(|state| unpacked(&at(state).join(format::LAYER)));
            let parts: Vec<Vec<u8>> = [Vec::new(), blanked(&manifest)].into_iter().chain(layers).collect();
            states.push((name.to_owned(), parts.join(SEPARATOR)));
        };

        fs::create_dir_all(at("build/src")).unwrap();
        fs::create_dir_all(at("store/out")).unwrap();
        fs::create_dir_all(at("tmp")).unwrap();
        fs::write(at("shell"), "x=1\n").unwrap();
        fs::write(at("build/a"), "content").unwrap();
        save(root.path(), "plain", None);
        seed("plain", &["plain"]);

        fs::hard_link(at("build/a"), at("build/src/b")).unwrap();
        symlink("../a", at("build/src/l")).unwrap();
        symlink("b", at("store/out/l")).unwrap();
        fs::write(at("build/src/b"), "other content").unwrap();
        fs::create_dir(at("tmp/d")).unwrap();
        fs::write(at("tmp/d/f"), "cached").unwrap();
        fs::write(at("build/copy"), "content").unwrap();
        save(root.path(), "second", Some("plain"));
        seed("layers", &["plain", "second"]);

        fs::remove_dir_all(at("build/src")).unwrap();
        mknodat(CWD, at("build/p"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        drop(UnixListener::bind(at("build/s")).unwrap());
        let sparse = File::create(at("build/z")).unwrap();
        sparse.write_all_at(b"data", 8192).unwrap();
        sparse.set_len(1 << 20).unwrap();
        fs::create_dir(at("build").join("d".repeat(120))).unwrap();
        symlink("t".repeat(120), at("build/long")).unwrap();
        save(root.path(), "kinds", None);
        seed("kinds", &["kinds"]);
        (states, manifests)
    }

    fn save(root: &Path, name: &str, parent: Option<&str>) {
        let at = |name: &str| root.join(name);
        for (index, path) in ["build", "store", "tmp"].iter().flat_map(|name| paths(&at(name))).enumerate() {
            let mtime = Mtime { secs: 5, nanos: u32::try_from(index % 2).unwrap() };
            utimensat(CWD, &path, &timestamps(mtime), AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
        save::save(&save::Request {
            to: at(name),
            build_dir: at("build"),
            shell: at("shell"),
            outputs: vec![("out".into(), at("store/out"))],
            parent: parent.map(at),
            listing: None,
            pinned: None,
            package: "p".into(),
            stage: "build".into(),
            warnings: Vec::new(),
            phases: Vec::new(),
            exclude: Vec::new(),
            outside: vec![("tmp".into(), at("tmp"))],
            ..save::Request::default()
        })
        .unwrap();
    }

    /// All there is below a directory and itself, deepest first.
    fn paths(directory: &Path) -> Vec<std::path::PathBuf> {
        let mut all = Vec::new();
        let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        for path in names {
            if path.symlink_metadata().unwrap().is_dir() { all.extend(paths(&path)) } else { all.push(path) }
        }
        all.push(directory.into());
        all
    }

    fn unpacked(path: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        zstd::Decoder::new(File::open(path).unwrap()).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// A manifest with `@` for what the target fills in.
    fn blanked(manifest: &[u8]) -> Vec<u8> {
        let fields = manifest.split(|byte| *byte == 0).enumerate().map(|(index, field)| {
            let mut words: Vec<&[u8]> = field.split(|byte| *byte == b' ').collect();
            if index % 4 == 0 {
                match (words[0], words.len()) {
                    (b"layer", 3) => words[1..].fill(b"@"),
                    (b"end", 2) => words[1] = b"@",
                    (_, 6) if words[4] != b"-" => words[4] = b"@",
                    _ => {}
                }
            }
            words.join(&b' ')
        });
        fields.collect::<Vec<_>>().join(&0)
    }

    /// For `relocate`.
    pub fn files() -> Vec<Seed> {
        let text = format!("prefix={}/lib\nseed\n{}/include\n", PATHS[0].0, PATHS[1].0).into_bytes();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        let clean = b"nothing here".to_vec();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(&clean).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&clean).unwrap();
        let path = PATHS[0].0.as_bytes();
        // Five constants of eight bytes and what is between them, as x86-64 moves them.
        let pieces = path.chunks(8).flat_map(|piece| [b"\x48\xb8", piece, b"\x48\x89\x07"].concat()).collect();
        let mut seeds: Vec<(&str, Vec<u8>)> = vec![
            ("text", text.clone()),
            ("pieces", pieces),
            ("ar", [&b"!<arch>\n"[..], &member("a.txt/", &text), &member("b.txt/", &clean)].concat()),
            ("tar", tar(&text)),
            ("zip", zip("a.txt", &text)),
            ("bzip2", bzip2.finish().unwrap()),
            ("xz", xz.finish().unwrap()),
            ("zstd", zstd::encode_all(&clean[..], 1).unwrap()),
            ("elf", object()),
        ];
        seeds.push(("gzip", gzip));
        seeds.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
    }

    fn member(name: &str, content: &[u8]) -> Vec<u8> {
        let head = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, content.len());
        let padding = if content.len().is_multiple_of(2) { "" } else { "\n" };
        [head.as_bytes(), content, padding.as_bytes()].concat()
    }

    fn tar(content: &[u8]) -> Vec<u8> {
        use phasesplit_state::entry::{Entry, Kind};
        let mut archive = phasesplit_state::pax::Writer::new(Vec::new());
        let size = content.len() as u64;
        let (path, mtime) = (b"a.txt".to_vec(), Mtime::default());
        let entry = Entry { path, kind: Kind::File, mode: 0o644, size, mtime, link: Vec::new(), hash: None };
        archive.member(&entry, size).unwrap();
        archive.write_all(content).unwrap();
        archive.finish().unwrap()
    }

    /// A zip of one stored file.
    fn zip(name: &str, content: &[u8]) -> Vec<u8> {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
        let common =
            [&[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0][..], &crc.sum().to_le_bytes(), &length, &length, &name_length]
                .concat();
        let local = [b"PK\x03\x04", &common[..], &[0; 2], name.as_bytes(), content].concat();
        let central = [b"PK\x01\x02\x14\x00", &common[..], &[0; 16], name.as_bytes()].concat();
        let sizes = [
            &u32::try_from(central.len()).unwrap().to_le_bytes()[..],
            &u32::try_from(local.len()).unwrap().to_le_bytes(),
        ]
        .concat();
        let end = [b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &sizes[..], &[0; 2]].concat();
        [local, central, end].concat()
    }

    /// An object file whose code holds the path in pieces, and its data the whole path. Needs gcc.
    fn object() -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("a.c");
        let code = format!(
            "#include <string.h>\nconst char whole[] = \"{}/share\";\nvoid into(char *to) {{ memcpy(to, \"{}\", 55); }}\n",
            PATHS[1].0, PATHS[0].0
        );
        fs::write(&source, code).unwrap();
        let object = directory.path().join("a.o");
        let gcc = ["-O2", "-c", "-o"];
        let status = std::process::Command::new("gcc").args(gcc).arg(&object).arg(&source).status().unwrap();
        assert!(status.success());
        fs::read(object).unwrap()
    }
}

type Target = (&'static str, fn(&[u8]) -> bool);

const TARGETS: [Target; 3] =
    [("restore", targets::restore::run), ("manifest", targets::manifest::run), ("relocate", targets::relocate::run)];

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Makes the corpus anew, after a change of the format: `cargo test --test state_fuzz -- --ignored the_corpus_is_made`.
#[test]
#[ignore = "writes into fuzz/corpus"]
fn the_corpus_is_made() {
    let (states, manifests) = seeds::states();
    for (target, seeds) in [("restore", states), ("manifest", manifests), ("relocate", seeds::files())] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        fs::create_dir_all(&directory).unwrap();
        for (name, bytes) in seeds {
            fs::write(directory.join(name), bytes).unwrap();
        }
    }
}

#[test]
fn sound_inputs_are_taken_and_found_ones_do_no_harm() {
    for (target, run) in TARGETS {
        let mut taken = 0;
        for (path, bytes) in corpus(target) {
            let is_found = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"found-"));
            let is_clean = ["bzip2", "xz", "zstd"].iter().any(|name| path.ends_with(name));
            let done = run(&bytes);
            assert!(done || is_found || is_clean, "{}: refused", path.display());
            taken += usize::from(done);
        }
        assert!(taken >= 3, "{target}: {taken}");
    }
}

/// Numbers that look random and are the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit.max(1)
    }
}

/// The words of a dictionary that libFuzzer reads.
fn dictionary(target: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(format!("{target}.dict"));
    let text = fs::read_to_string(path).unwrap();
    let word = |line: &str| -> Option<Vec<u8>> {
        let quoted = line.strip_prefix('"')?.strip_suffix('"')?;
        let mut bytes = quoted.bytes();
        let mut word = Vec::new();
        while let Some(byte) = bytes.next() {
            if byte != b'\\' {
                word.push(byte);
                continue;
            }
            assert_eq!(bytes.next(), Some(b'x'), "{line}");
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            word.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        }
        Some(word)
    };
    text.lines().filter_map(word).collect()
}

fn changed(bytes: &[u8], words: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(bytes.len());
        let end = (at + 1 + numbers.below(64)).min(bytes.len());
        match numbers.below(7) {
            0 => bytes[at] ^= 1 << numbers.below(8),
            1 => bytes[at] = u8::try_from(numbers.below(256)).unwrap(),
            2 => _ = bytes.drain(at..end),
            3 => {
                let copy = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len());
                _ = bytes.splice(to..to, copy);
            }
            4 => bytes.truncate(at),
            5 => _ = bytes.splice(at..at, words[numbers.below(words.len())].clone()),
            _ => {
                let word = &words[numbers.below(words.len())];
                let end = (at + word.len()).min(bytes.len());
                _ = bytes.splice(at..end, word.clone());
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// `PHASESPLIT_FUZZ_CHANGES`: how many for each target.
#[test]
fn changed_inputs_do_no_harm() {
    let changes = std::env::var("PHASESPLIT_FUZZ_CHANGES").ok().and_then(|changes| changes.parse().ok()).unwrap_or(600);
    for (target, run) in TARGETS {
        let (seeds, words) = (corpus(target), dictionary(target));
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let mut taken = 0;
        for _ in 0..changes {
            let (path, bytes) = &seeds[numbers.below(seeds.len())];
            let input = changed(bytes, &words, &mut numbers);
            let kept = tempfile::Builder::new().prefix("phasesplit-fuzz-").tempfile().unwrap();
            fs::write(kept.path(), &input).unwrap();
            if let Ok(done) = std::panic::catch_unwind(|| run(&input)) {
                taken += usize::from(done);
            } else {
                panic!("{target}: {} changed to {}", path.display(), kept.keep().unwrap().1.display());
            }
        }
        println!("{target}: {taken} of {changes} taken");
        assert!(taken > 0, "{target}: nothing is ever taken: what is tested?");
    }
}
