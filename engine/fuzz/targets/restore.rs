//! A state of any bytes is restored to what its manifest says, or refused; and nothing beside the tree is touched.
//!
//! So that changed bytes get further than the next checksum, an input is a state before it is packed: its parts
//! ([`SEPARATOR`] between them) are `info.json` (empty: a sound one), the manifest, and the layers, from the one without a
//! parent on. A layer that is no zstd yet is compressed, and its headers' checksums are put right. In the manifest `@`
//! stands for what fits the layers: a hash, the members or bytes of a layer, the number of entries.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use phasesplit_state::entry::{Entry, Kind, Mtime};
use phasesplit_state::{format, manifest, pax, restore, save};

/// Between the parts of an input.
pub const SEPARATOR: &[u8] = b"\n=part=\n";

/// Stands for the build directory in `info.json`.
pub const BUILD_DIR: &str = "@BUILD@";

const CANARY: &str = "nobody writes here";

/// `input` is a state, as the module says. Returns whether it was restored.
pub fn run(input: &[u8]) -> bool {
    let parts = split(input);
    let [info, manifest, layers @ ..] = &parts[..] else { return false };
    if layers.is_empty() || layers.len() > 4 {
        return false;
    }
    // In memory where there is such a file system.
    let shm = Path::new("/dev/shm");
    let near = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
    let root = tempfile::tempdir_in(near).expect("a directory for the test");
    let at = |name: &str| root.path().join(name);
    for name in ["build", "store", "tmp"] {
        fs::create_dir(at(name)).expect("it is new");
    }
    fs::write(at("canary"), CANARY).expect("it is new");
    let canary = at("canary").metadata().expect("it was just made");
    let state = pack(root.path(), info, manifest, layers);

    let outputs: Vec<_> = ["dev", "out"].map(|name| (name.to_owned(), at("store").join(name))).into();
    let mut notices = 0;
    let request = restore::Request {
        from: state.clone(),
        build_dir: at("build"),
        shell: at("shell"),
        outputs: outputs.clone(),
        staged: Vec::new(),
        outside: outside(at),
        listing: Some(at("listing")),
        ..restore::Request::default()
    };
    let restored = restore::restore(&request, &mut |_| notices += 1);

    let after = at("canary").metadata().expect("nobody removes it");
    assert_eq!(fs::read(at("canary")).expect("nobody closes it"), CANARY.as_bytes());
    assert_eq!((canary.mode(), canary.mtime_nsec()), (after.mode(), after.mtime_nsec()));
    assert_eq!(names(&state).len(), if layers.len() > 1 { 4 } else { 3 }, "the state has other files");
    assert!(names(&at("store")).iter().all(|name| name == "dev" || name == "out"));
    let states = (0..layers.len()).map(|index| format!("state{index}"));
    let known: Vec<String> =
        ["build", "canary", "listing", "shell", "store", "tmp"].map(str::to_owned).into_iter().chain(states).collect();
    assert!(names(root.path()).iter().all(|name| known.contains(name)), "{:?}", names(root.path()));
    let Ok(()) = restored else {
        assert!(!at("shell").exists(), "what was refused passes for whole");
        return false;
    };
    let meant = manifest::read("list", &state).expect("it was restored").records;
    save::save(&save::Request {
        to: at("again"),
        build_dir: at("build"),
        shell: at("shell"),
        outputs,
        parent: None,
        listing: None,
        pinned: None,
        package: "p".into(),
        stage: "build".into(),
        warnings: Vec::new(),
        phases: Vec::new(),
        exclude: Vec::new(),
        outside: outside(at),
        ..save::Request::default()
    })
    .expect("what was restored can be saved");
    let found = manifest::read("list", &at("again")).expect("it was saved").records;
    assert_eq!(meant.len(), found.len(), "there are other entries");
    for (meant, found) in meant.iter().zip(&found) {
        let (meant, found) = (&meant.entry, &found.entry);
        assert_eq!(comparable(meant, found, notices > 0), comparable(found, meant, notices > 0));
    }
    true
}

/// What a file system keeps of an entry, whatever it is.
fn comparable(entry: &Entry, other: &Entry, without_modes: bool) -> Entry {
    let mut entry = entry.clone();
    // Which parts of a file are holes, and so what is hashed, is the file system's decision.
    if entry.kind == Kind::Sparse || other.kind == Kind::Sparse {
        entry.hash = None;
    }
    if entry.kind == Kind::Sparse {
        entry.kind = Kind::File;
    }
    // The kernel gives all symlinks one mode.
    if without_modes || matches!(entry.kind, Kind::Symlink | Kind::HardLink) {
        entry.mode = 0;
    }
    // Not all file systems know other centuries.
    if !(-(1 << 31)..1 << 33).contains(&entry.mtime.secs) {
        entry.mtime = Mtime::default();
    }
    // A save gives the shell state always the same.
    if entry.path == format::SHELL {
        (entry.mode, entry.mtime) = (0, Mtime::default());
    }
    entry
}

/// The directory that stands for `/tmp`.
fn outside(at: impl Fn(&str) -> std::path::PathBuf) -> Vec<(String, std::path::PathBuf)> {
    vec![("tmp".to_owned(), at("tmp"))]
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is there");
    entries.map(|entry| entry.expect("it is there").file_name().to_string_lossy().into_owned()).collect()
}

fn split(input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
        parts.push(&rest[..at]);
        rest = &rest[at + SEPARATOR.len()..];
    }
    parts.push(rest);
    parts
}

/// Writes the states below `root`; returns the last one.
fn pack(root: &Path, info: &[u8], manifest: &[u8], layers: &[&[u8]]) -> PathBuf {
    let mut states: Vec<PathBuf> = Vec::new();
    let mut contents = Vec::new();
    let build_dir = root.join("build").display().to_string();
    for layer in layers {
        let state = root.join(format!("state{}", states.len()));
        fs::create_dir(&state).expect("it is new");
        let mut layer = layer.to_vec();
        if layer.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            contents.push(Contents::default());
        } else {
            mend_checksums(&mut layer);
            contents.push(Contents::of(&layer));
            layer = zstd::encode_all(&layer[..], 1).expect("there is memory");
        }
        fs::write(state.join(format::LAYER), layer).expect("it is new");
        if let Some(parent) = states.last() {
            fs::write(state.join(format::PARENT), format!("{}\n", parent.display())).expect("it is new");
        }
        fs::write(state.join(format::INFO), sound_info().replace(BUILD_DIR, &build_dir)).expect("it is new");
        states.push(state);
    }
    let state = states.pop().expect("there is a layer");
    if !info.is_empty() {
        let text = String::from_utf8_lossy(info).replace(BUILD_DIR, &build_dir);
        fs::write(state.join(format::INFO), text).expect("it is there");
    }
    let packed = if manifest.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        manifest.to_vec()
    } else {
        zstd::encode_all(&fill(manifest, &contents)[..], 1).expect("there is memory")
    };
    fs::write(state.join(format::MANIFEST), packed).expect("it is new");
    state
}

/// An `info.json` that nothing is wrong with.
pub fn sound_info() -> String {
    format!(
        r#"{{"format": {}, "engine": "0", "package": "p", "stage": "build", "buildDir": "{BUILD_DIR}", "phases": [], "outputs": {{}},
"layers": 1, "entries": {{"files": 0, "directories": 0, "symlinks": 0, "hardLinks": 0, "special": 0}},
"bytes": {{"content": 0, "layer": 0, "manifest": 0}}, "newest": {{"seconds": 0, "nanoseconds": 0}}}}"#,
        format::VERSION
    )
}

/// What the members of a layer are, as far as it can be read.
#[derive(Default)]
struct Contents {
    members: u64,
    data: u64,
    hashes: HashMap<Vec<u8>, String>,
}

impl Contents {
    fn of(layer: &[u8]) -> Self {
        let mut contents = Self::default();
        let mut archive = pax::Reader::new(layer);
        while let Ok(Some((member, data))) = archive.next_member() {
            let mut content = Vec::new();
            if archive.by_ref().take(data).read_to_end(&mut content).is_err() {
                break;
            }
            contents.members += 1;
            contents.data += data;
            contents.hashes.insert(member.path, blake3::hash(&content).to_hex().to_string());
        }
        contents
    }
}

/// Puts what fits the layers in the place of `@`.
fn fill(manifest: &[u8], layers: &[Contents]) -> Vec<u8> {
    let fields: Vec<&[u8]> = manifest.split(|byte| *byte == 0).collect();
    let entries = (fields.len() / 4).saturating_sub(2 + layers.len());
    let mut filled: Vec<Vec<u8>> = Vec::new();
    let mut layer = layers.iter();
    for (index, field) in fields.iter().enumerate() {
        let mut words: Vec<Vec<u8>> = field.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect();
        if index % 4 == 0 && words.iter().any(|word| word == b"@") {
            let path = [3, 1].map(|at| fields.get(index + at).copied().unwrap_or_default());
            let origin = path.into_iter().find(|path| !path.is_empty()).unwrap_or_default();
            let own = words.get(5).and_then(|word| std::str::from_utf8(word).ok()?.parse::<usize>().ok());
            let hash = own.and_then(|own| layers.get(own)?.hashes.get(origin)).cloned().unwrap_or_default();
            let found = if words[0] == b"layer" { layer.next() } else { None };
            for (at, word) in words.iter_mut().enumerate().filter(|(_, word)| *word == b"@") {
                *word = match (at, found) {
                    (1, Some(layer)) => layer.members.to_string(),
                    (2, Some(layer)) => layer.data.to_string(),
                    (1, None) => entries.to_string(),
                    _ => hash.clone(),
                }
                .into_bytes();
            }
        }
        filled.push(words.join(&b' '));
    }
    filled.join(&0)
}

/// Every block that says it is a header gets the checksum that it has.
fn mend_checksums(layer: &mut [u8]) {
    for block in layer.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}
