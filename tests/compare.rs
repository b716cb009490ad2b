//! Comparison of two results: equal ones are equal, and every kind of planted difference is found.

use flate2::{Compression, GzBuilder};
use phasesplit::compare::{Excuse, Report, What, compare_packages};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const SPLIT: [&str; 2] = ["1shm2c9fr4laqnfcm3ywqg0zd7xv58bq-hello", "7zxv2fwql0jd9bkc5yr3nsm8ipgh41va-hello-dev"];
const UNSPLIT: [&str; 2] = ["v0ql8xk3pjz6ng5dmfr1ys9hwa2c7b4i-hello", "gk5w0h2q9mzyc7dxs1nfrv3lb8jp4i6a-hello-dev"];

struct Pair {
    _dir: tempfile::TempDir,
    a: Vec<(String, PathBuf)>,
    b: Vec<(String, PathBuf)>,
}

fn gz(content: &str, level: u32) -> Vec<u8> {
    let builder = GzBuilder::new().operating_system(3);
    let mut encoder = builder.write(Vec::new(), Compression::new(level));
    encoder.write_all(content.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn fill(outputs: &[(String, PathBuf)]) {
    let (out, dev) = (&outputs[0].1, &outputs[1].1);
    let path = out.display();
    fs::create_dir_all(out.join("bin")).unwrap();
    fs::create_dir_all(out.join("share")).unwrap();
    fs::create_dir_all(dev).unwrap();
    fs::write(
        out.join("bin/hello"),
        format!(
            "dir={path}/lib\nwrapped={}\n{}\n",
            &path.to_string()[..path.to_string().len() - 12],
            &path.to_string()[path.to_string().len() - 12..]
        ),
    )
    .unwrap();
    fs::hard_link(out.join("bin/hello"), out.join("bin/hallo")).unwrap();
    let own = out.file_name().unwrap().to_str().unwrap();
    fs::write(out.join("share").join(format!("{own}.txt")), "text").unwrap();
    fs::write(out.join("share/page.gz"), gz(&format!("see {path}"), 9)).unwrap();
    symlink(out.join("bin/hello"), dev.join("link")).unwrap();
    fs::write(dev.join("other"), dev.to_str().unwrap()).unwrap();
}

fn pair() -> Pair {
    let dir = tempfile::tempdir().unwrap();
    let side = |hashes: [&str; 2]| -> Vec<(String, PathBuf)> {
        let names = ["out", "dev"].into_iter();
        names.zip(hashes).map(|(n, p)| (n.to_owned(), dir.path().join(p))).collect()
    };
    let (a, b) = (side(SPLIT), side(UNSPLIT));
    fill(&a);
    fill(&b);
    Pair { _dir: dir, a, b }
}

impl Pair {
    fn out(&self) -> &Path {
        &self.b[0].1
    }

    fn report(&self) -> Report {
        compare_packages(&self.a, &self.b).unwrap()
    }

    /// The only difference.
    fn only(&self) -> (String, What) {
        let report = self.report();
        assert_eq!(report.differences.len(), 1, "{report}");
        let difference = report.differences[0].clone();
        (difference.file, difference.what)
    }
}

#[test]
fn a_result_equals_itself_at_another_path() {
    let pair = pair();
    let report = pair.report();
    assert!(report.is_equal(), "{report}");
    assert_eq!((report.compared, report.excused.len()), (10, 0));
    assert_eq!(report.to_string(), "equal: 10 files, directories and links");
}

#[test]
fn one_byte_is_found() {
    let pair = pair();
    let path = pair.out().join("bin/hello");
    let mut bytes = fs::read(&path).unwrap();
    bytes[2] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (file, what) = pair.only();
    assert_eq!(file, "out/bin/hallo");
    assert!(matches!(what, What::Content { at: 2, bytes: 1, .. }), "{what}");
}

#[test]
fn one_character_of_the_hash_is_found() {
    let pair = pair();
    let path = pair.a[1].1.join("other");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("7zxv2fwql0jd9bkc5yr3nsm8ipgh41va", "7zxv2fwql0jd9bkcXyr3nsm8ipgh41va")).unwrap();
    let (file, what) = pair.only();
    assert_eq!(file, "dev/other");
    assert!(matches!(what, What::Content { bytes: 1, .. }), "{what}");
}

#[test]
fn the_other_outputs_hash_is_not_this_ones() {
    let pair = pair();
    let file =
        |outputs: &[(String, PathBuf)], i: usize| outputs[i].1.file_name().unwrap().to_str().unwrap()[..32].to_owned();
    fs::write(pair.a[0].1.join("x"), file(&pair.a, 0)).unwrap();
    fs::write(pair.b[0].1.join("x"), file(&pair.b, 1)).unwrap();
    assert!(matches!(pair.only().1, What::Content { .. }));
}

#[test]
fn modes_kinds_targets_and_links_are_found() {
    let with = |change: &dyn Fn(&Path)| {
        let pair = pair();
        change(pair.out());
        pair.only()
    };
    let (file, what) = with(&|out| {
        fs::set_permissions(out.join("share/page.gz"), Permissions::from_mode(0o755)).unwrap();
    });
    assert_eq!((file.as_str(), what), ("out/share/page.gz", What::Mode(0o644, 0o755)));
    let (_, what) = with(&|out| {
        fs::remove_file(out.join("share/page.gz")).unwrap();
        fs::create_dir(out.join("share/page.gz")).unwrap();
    });
    assert_eq!(what, What::Kind("file", "directory"));
    let (file, what) = with(&|out| {
        fs::remove_file(out.join("bin/hello")).unwrap();
        fs::copy(out.join("bin/hallo"), out.join("bin/hello")).unwrap();
    });
    assert_eq!(file, "out/bin/hello");
    assert_eq!(what, What::HardLink("out/bin/hallo".to_owned(), "out/bin/hello".to_owned()));

    let pair = pair();
    let link = pair.b[1].1.join("link");
    fs::remove_file(&link).unwrap();
    symlink(pair.out().join("bin/hallo"), &link).unwrap();
    let (file, what) = pair.only();
    assert_eq!(file, "dev/link");
    assert!(matches!(what, What::Target(..)));
}

#[test]
fn missing_and_extra_files_are_found() {
    let gone = pair();
    fs::remove_file(gone.out().join("share/page.gz")).unwrap();
    assert_eq!(gone.only(), ("out/share/page.gz".to_owned(), What::OnlyInFirst));
    let extra = pair();
    fs::write(extra.out().join("share/new"), "").unwrap();
    assert_eq!(extra.only(), ("out/share/new".to_owned(), What::OnlyInSecond));
}

#[test]
fn sizes_are_found() {
    let pair = pair();
    fs::write(pair.b[1].1.join("other"), "short").unwrap();
    assert!(matches!(pair.only().1, What::Size(_, 5)));
}

#[test]
fn gzip_is_compared_unpacked() {
    let pair = pair();
    let path = pair.out().join("share/page.gz");
    fs::write(&path, gz(&format!("see {}!", pair.out().display()), 9)).unwrap();
    assert!(matches!(pair.only().1, What::Size(..)));
    fs::write(&path, gz(&format!("sEe {}", pair.out().display()), 9)).unwrap();
    let what = pair.only().1;
    assert!(matches!(what, What::Content { at: 1, .. }), "{what}");
    assert_eq!(pair.report().differences[0].members, ["unpacked"]);
}

#[test]
fn only_the_build_id_is_excused() {
    if Command::new("gcc").arg("--version").output().is_err() {
        eprintln!("skipped: no gcc");
        return;
    }
    let pair = pair();
    let source = pair.out().parent().unwrap().join("p.c");
    fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let build = |side: &[(String, PathBuf)], id: &str, flag: &str| {
        let mut gcc = Command::new("gcc");
        gcc.arg(format!("-Wl,--build-id=0x{id}")).arg(flag).arg("-o").arg(side[0].1.join("bin/p"));
        assert!(gcc.arg(&source).status().unwrap().success());
    };
    build(&pair.a, "0123456789abcdef", "-O1");
    build(&pair.b, "fedcba9876543210", "-O1");
    let report = pair.report();
    assert!(report.is_equal(), "{report}");
    assert_eq!(report.excused.len(), 1);
    assert_eq!(report.excused[0].file, "out/bin/p");
    assert_eq!(report.excused[0].rule, Excuse::BuildId);

    let path = pair.out().join("bin/p");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(!pair.report().is_equal());
}

#[test]
fn sides_that_cannot_be_one_package_are_refused() {
    let pair = pair();
    assert!(compare_packages(&pair.a, &pair.b[..1]).is_err());
    let renamed = [pair.b[0].clone(), ("doc".to_owned(), pair.b[1].1.clone())];
    assert!(compare_packages(&pair.a, &renamed).is_err());
}

#[test]
fn a_record_may_differ_in_the_digests_of_files_that_name_their_package() {
    let write = |side: &[(String, PathBuf)], digests: [&str; 2]| {
        let site = side[0].1.join("lib/site-packages");
        fs::create_dir_all(site.join("x-1.dist-info")).unwrap();
        fs::write(site.join("own.py"), format!("at {}", side[0].1.display())).unwrap();
        fs::write(site.join("other.py"), "plain").unwrap();
        let rows = format!("own.py,sha256={},9\nother.py,sha256={},5\n", digests[0], digests[1]);
        fs::write(site.join("x-1.dist-info/RECORD"), rows).unwrap();
    };
    let pair = pair();
    write(&pair.a, ["aaaa", "same"]);
    write(&pair.b, ["bbbb", "same"]);
    let report = pair.report();
    assert!(report.is_equal(), "{report}");
    assert_eq!(report.excused.len(), 1);
    assert_eq!(report.excused[0].rule, Excuse::Record);
    // The digest of a file that does not name its package is the same in every result.
    write(&pair.b, ["bbbb", "else"]);
    assert!(!pair.report().is_equal());
}
