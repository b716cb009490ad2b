//! Relocation of trees: what is rewritten, what is refused, and what must not change.

#[path = "support/zip.rs"]
mod zip;

use flate2::{Compression, GzBuilder};
use phasesplit_state::relocate::{Error, Mapping, relocate, relocate_command, scan, scan_command};
use pretty_assertions::assert_eq;
use proptest::prelude::*;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const STAGED: &str = "1shm2c9fr4laqnfcm3ywqg0zd7xv58bq";
const REAL: &str = "v0ql8xk3pjz6ng5dmfr1ys9hwa2c7b4i";
const STAGED_DEV: &str = "7zxv2fwql0jd9bkc5yr3nsm8ipgh41va";
const REAL_DEV: &str = "gk5w0h2q9mzyc7dxs1nfrv3lb8jp4i6a";

fn mappings() -> Vec<Mapping> {
    [(STAGED, REAL, "hello-2.10"), (STAGED_DEV, REAL_DEV, "hello-2.10-dev")]
        .map(|(staged, real, name)| {
            let path = |hash| format!("/nix/store/{hash}-{name}").into_bytes();
            Mapping::new(&path(staged), &path(real)).unwrap()
        })
        .to_vec()
}

fn staged() -> String {
    format!("/nix/store/{STAGED}-hello-2.10")
}

fn real_of(text: &str) -> String {
    text.replace(STAGED, REAL).replace(STAGED_DEV, REAL_DEV)
}

fn run(tree: &Path) -> Result<(), Error> {
    let trees = [tree.to_owned()];
    relocate(&mappings(), &trees, &[])?;
    scan(&mappings(), &trees).map(drop)
}

fn refusal(tree: &Path) -> String {
    match relocate(&mappings(), &[tree.to_owned()], &[]) {
        Err(error @ Error::Refused(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Old enough, and odd enough, that nothing sets it by chance.
fn age(path: &Path) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let time = Timespec { tv_sec: 1_234_567_890, tv_nsec: 123_456_789 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn times(path: &Path) -> (i64, i64) {
    let meta = path.symlink_metadata().unwrap();
    (meta.mtime(), meta.mtime_nsec())
}

const AGED: (i64, i64) = (1_234_567_890, 123_456_789);

fn gz(content: &[u8]) -> Vec<u8> {
    let builder = GzBuilder::new().filename("hello.1").mtime(77).comment("c");
    let mut encoder = builder.write(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut decoder = flate2::bufread::MultiGzDecoder::new(bytes);
    decoder.read_to_end(&mut content).unwrap();
    content
}

#[test]
fn contents_names_and_links_are_rewritten_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("out");
    let sub = tree.join(format!("share-{STAGED}")).join(format!("x{STAGED_DEV}y"));
    fs::create_dir_all(&sub).unwrap();
    let text = format!("a={}\0b=/nix/store/{STAGED_DEV}-hello-2.10-dev/lib", staged());
    let file = sub.join("file");
    fs::write(&file, &text).unwrap();
    fs::write(sub.join("other"), "nothing here").unwrap();
    let link = sub.join(format!("link-{STAGED}"));
    symlink(staged() + "/bin", &link).unwrap();
    fs::hard_link(&link, sub.join("same-link")).unwrap();
    fs::hard_link(&file, tree.join("same-file")).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o4555)).unwrap();
    let parent = sub.parent().unwrap();
    for path in [&file, &sub.join("other"), &link, &sub, &parent.to_path_buf(), &tree] {
        age(path);
    }
    for directory in [&sub, &parent.to_path_buf(), &tree] {
        fs::set_permissions(directory, Permissions::from_mode(0o555)).unwrap();
    }

    run(&tree).unwrap();

    let parent = tree.join(format!("share-{REAL}"));
    let sub = parent.join(format!("x{REAL_DEV}y"));
    let file = sub.join("file");
    let link = sub.join(format!("link-{REAL}"));
    assert_eq!(fs::read_to_string(&file).unwrap(), real_of(&text));
    assert_eq!(fs::read_link(&link).unwrap(), PathBuf::from(real_of(&(staged() + "/bin"))));
    let meta = |path: &Path| path.symlink_metadata().unwrap();
    assert_eq!(meta(&link).ino(), meta(&sub.join("same-link")).ino());
    assert_eq!(meta(&file).ino(), meta(&tree.join("same-file")).ino());
    assert_eq!(meta(&file).mode() & 0o7777, 0o4555);
    assert_eq!(fs::read_dir(&sub).unwrap().count(), 4);
    for path in [&file, &sub.join("other"), &link, &sub, &parent, &tree] {
        assert_eq!(times(path), AGED, "{}", path.display());
    }
    for directory in [&sub, &parent, &tree] {
        assert_eq!(meta(directory).mode() & 0o7777, 0o555);
    }
    for directory in [&tree, &parent, &sub] {
        fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_tree_may_be_a_file_or_a_link_and_a_second_time_nothing_happens() {
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("f"), dir.path().join("l"));
    fs::write(&file, staged()).unwrap();
    symlink(staged(), &link).unwrap();
    let trees = [file.clone(), link.clone()];
    relocate(&mappings(), &trees, &[]).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), real_of(&staged()));
    assert_eq!(fs::read_link(&link).unwrap(), PathBuf::from(real_of(&staged())));
    let inode = link.symlink_metadata().unwrap().ino();
    let changed = file.metadata().unwrap().ctime_nsec();
    relocate(&mappings(), &trees, &[]).unwrap();
    assert_eq!(link.symlink_metadata().unwrap().ino(), inode);
    assert_eq!(file.metadata().unwrap().ctime_nsec(), changed);
}

#[test]
fn holes_stay_holes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sparse");
    let file = fs::File::create(&path).unwrap();
    file.set_len(64 << 20).unwrap();
    file.write_all_at(staged().as_bytes(), 20 << 20).unwrap();
    file.sync_all().unwrap();
    let blocks = path.metadata().unwrap().blocks();
    run(dir.path()).unwrap();
    let meta = path.metadata().unwrap();
    assert_eq!((meta.len(), meta.blocks()), (64 << 20, blocks));
    let mut found = vec![0; staged().len()];
    fs::File::open(&path).unwrap().read_exact_at(&mut found, 20 << 20).unwrap();
    assert_eq!(found, real_of(&staged()).into_bytes());
}

#[test]
fn only_gzip_members_with_the_hash_are_packed_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("page");
    let (plain, text) = (gz(b"nothing"), format!("see {}/share", staged()));
    let holding = gz(text.as_bytes());
    fs::write(&path, [&plain[..], &holding, &plain].concat()).unwrap();
    age(&path);
    run(dir.path()).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.starts_with(&plain) && bytes.ends_with(&plain));
    assert_eq!(bytes[plain.len()..][..20], holding[..20]);
    assert_eq!(gunzip(&bytes), format!("nothing{}nothing", real_of(&text)).into_bytes());
    assert_eq!(times(&path), AGED);

    let twin = dir.path().join("twin");
    fs::write(&twin, [&plain[..], &holding, &plain].concat()).unwrap();
    run(dir.path()).unwrap();
    assert_eq!(fs::read(&twin).unwrap(), bytes, "the same bytes each time");
}

#[test]
fn gzip_in_gzip_and_a_tar_in_gzip_are_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    let nested = dir.path().join("nested");
    fs::write(&nested, gz(&gz(staged().as_bytes()))).unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    let inner = dir.path().join("in").join(format!("f-{STAGED}"));
    fs::write(&inner, staged()).unwrap();
    let packed = dir.path().join("t.tgz");
    let tar = |args: &[&str]| {
        let mut command = std::process::Command::new("tar");
        assert!(command.current_dir(dir.path()).args(args).status().unwrap().success());
    };
    tar(&["--format=posix", "-czf", "t.tgz", "in"]);
    fs::remove_dir_all(dir.path().join("in")).unwrap();
    run(dir.path()).unwrap();
    let twice = gunzip(&gunzip(&fs::read(&nested).unwrap()));
    assert_eq!(twice, real_of(&staged()).into_bytes());
    assert!(packed.exists());
    tar(&["-xzf", "t.tgz"]);
    let inner = dir.path().join("in").join(format!("f-{REAL}"));
    assert_eq!(fs::read_to_string(inner).unwrap(), real_of(&staged()));
}

/// Makes a file of some format.
type Pack<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

#[test]
fn other_packed_formats_are_refused_by_name_and_nothing_is_changed() {
    let xz = |content: &[u8]| {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    };
    let bz = |content: &[u8]| {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    };
    let zst = |content: &[u8]| zstd::encode_all(content, 1).unwrap();
    let ar = |content: &[u8]| {
        let header = format!("{:<48}{:<10}`\n", "a.gz/", content.len());
        [b"!<arch>\n", header.as_bytes(), content].concat()
    };
    let formats: [(&str, Pack); 4] = [("xz", &xz), ("bzip2", &bz), ("zstd", &zst), ("archive", &|c| ar(&gz(c)))];
    for (name, pack) in formats {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("packed");
        fs::write(&path, pack(b"nothing of interest")).unwrap();
        let plain = dir.path().join("plain");
        fs::write(&plain, staged()).unwrap();
        run(dir.path()).unwrap();

        let bytes = pack(format!("see {} there", staged()).as_bytes());
        fs::write(&path, &bytes).unwrap();
        fs::write(&plain, staged()).unwrap();
        let message = refusal(dir.path());
        assert!(message.contains(name) && message.contains("packed:"), "{message}");
        assert!(message.contains("help: "), "{message}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(fs::read_to_string(&plain).unwrap(), staged());

        // A damaged file is bytes like any other.
        fs::write(&path, &bytes[..bytes.len() - 12]).unwrap();
        let _ = relocate(&mappings(), &[dir.path().to_owned()], &[]);
    }
}

#[test]
fn a_member_of_a_zip_is_packed_again() {
    let deflated: Pack = &|content| zip::zip_of("a.b", content);
    let stored: Pack = &|content| zip::zip_of_packed("a.b", content, content, 0);
    for pack in [deflated, stored] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("packed");
        fs::write(&path, pack(staged().as_bytes())).unwrap();
        run(dir.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), pack(real_of(&staged()).as_bytes()));
    }
}

#[test]
fn a_zipapp_may_name_its_interpreter() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app");
    let zip = zip::zip_of("a.b", b"nothing");
    let line = format!("#!{}/bin/python\n", staged());
    fs::write(&path, [line.as_bytes(), &zip].concat()).unwrap();
    run(dir.path()).unwrap();
    let want = [real_of(&line).as_bytes(), &zip].concat();
    assert_eq!(fs::read(&path).unwrap(), want);
}

#[test]
fn members_of_ar_are_rewritten_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lib.a");
    let member = |name: &str, content: &str| {
        let pad = if content.len() % 2 == 1 { "\n" } else { "" };
        format!("{name:<48}{:<10}`\n{content}{pad}", content.len())
    };
    let text = format!("!<arch>\n{}{}", member("a.o/", &format!("x{}", staged())), member("b.o/", &staged()));
    fs::write(&path, &text).unwrap();
    run(dir.path()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), real_of(&text));
}

#[test]
fn a_name_that_is_taken_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(STAGED), "").unwrap();
    fs::write(dir.path().join(REAL), "").unwrap();
    let error = run(dir.path()).unwrap_err().to_string();
    assert!(error.contains("exists already"), "{error}");
}

#[test]
fn the_commands_read_their_arguments() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state.sh");
    let text = format!("prefix={}\ncut={}\n", staged(), &staged()[..30]);
    fs::write(&state, &text).unwrap();
    let map = format!("{}={}", staged(), real_of(&staged()));
    let state_text = state.to_str().unwrap();
    let args = |list: &[&str]| -> Vec<OsString> { list.iter().map(OsString::from).collect() };
    relocate_command(&args(&["--map", &map, "--text", state_text])).unwrap();
    assert_eq!(fs::read_to_string(&state).unwrap(), real_of(&text));

    let left = scan_command(&args(&["--map", &map, state_text])).unwrap_err();
    let left = left.to_string();
    assert!(left.contains("state.sh: offset 0x"), "{left}");
    for wrong in [
        &["--tree", "x"][..],
        &["--map"],
        &["--map", "a=b"],
        &["--map", &map, "--frobnicate"],
        &["--map", &map, "stray"],
    ] {
        let error = relocate_command(&args(wrong)).unwrap_err().to_string();
        assert!(error.contains("usage: relocate --map"), "{error}");
    }
}

/// What random files are made of: noise, base32 noise, full mentions.
fn part() -> impl Strategy<Value = (Vec<u8>, bool)> {
    let alphabet = b"0123456789abcdfghijklmnpqrsvwxyz".to_vec();
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| (bytes, false)),
        prop::collection::vec(prop::sample::select(alphabet), 0..200).prop_map(|b| (b, false)),
        Just((staged().into_bytes(), true)),
        Just((STAGED.as_bytes().to_vec(), true)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn only_planted_mentions_change(parts in prop::collection::vec(part(), 0..12)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let (mut before, mut want) = (Vec::new(), Vec::new());
        for (bytes, planted) in &parts {
            before.extend(bytes);
            if *planted {
                want.extend(real_of(std::str::from_utf8(bytes).unwrap()).bytes());
            } else {
                want.extend(bytes);
            }
        }
        fs::write(&path, &before).unwrap();
        run(dir.path()).unwrap();
        prop_assert_eq!(fs::read(&path).unwrap(), want);
    }
}
