//! Digests of what relocation changes: each fits its file afterwards, wherever it is written, or the file that has it is refused.

use phasesplit_state::relocate::digest::{self, hex};
use phasesplit_state::relocate::{Error, Mapping, relocate, scan};
use std::fs;
use std::io::Write as _;
use std::path::Path;

const STAGED: &str = "1shm2c9fr4laqnfcm3ywqg0zd7xv58bq";
const REAL: &str = "v0ql8xk3pjz6ng5dmfr1ys9hwa2c7b4i";

fn path(hash: &str) -> String {
    format!("/nix/store/{hash}-hello-2.10")
}

fn mappings() -> [Mapping; 1] {
    [Mapping::new(path(STAGED).as_bytes(), path(REAL).as_bytes()).unwrap()]
}

fn write(dir: &Path, files: &[(&str, Vec<u8>)]) {
    for (name, bytes) in files {
        let file = dir.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
}

/// Relocates a tree that is `make(STAGED)`: it must be `make(REAL)` afterwards.
fn becomes_real(make: impl Fn(&str) -> Vec<(&'static str, Vec<u8>)>) {
    let [dir, want] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    write(dir.path(), &make(STAGED));
    write(want.path(), &make(REAL));
    relocate(&mappings(), &[dir.path().to_owned()], &[]).unwrap();
    for (name, bytes) in make(REAL) {
        let got = fs::read(dir.path().join(name)).unwrap();
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&bytes), "{name}");
    }
    scan(&mappings(), &[dir.path().to_owned()]).unwrap();
}

fn refused(files: &[(&'static str, Vec<u8>)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), files);
    match relocate(&mappings(), &[dir.path().to_owned()], &[]) {
        Err(Error::Refused(refusal)) => {
            for (name, bytes) in files {
                assert_eq!(fs::read(dir.path().join(name)).unwrap(), *bytes, "{name}");
            }
            refusal.to_string()
        }
        other => panic!("{other:?}"),
    }
}

fn app(hash: &str) -> Vec<u8> {
    format!("var base = '{}/www';\n", path(hash)).into_bytes()
}

fn module(hash: &str) -> Vec<u8> {
    format!("\0binary\0{}/lib\0", path(hash)).into_bytes()
}

#[test]
fn every_digest_in_every_form_is_brought_up_to_date() {
    for algorithm in 0..digest::NAMES.len() {
        for form in 0..6 {
            for shift in 0..9 {
                becomes_real(|hash| {
                    let text = digest::forms(&digest::all(&app(hash))[algorithm])[form].clone();
                    // What tells one alphabet of base64 from the other.
                    let (before, after): (&[u8], &[u8]) = match form {
                        2 => (b"sha256-", b"="),
                        3 => (b"sha256=", b","),
                        _ => (b"", b"\""),
                    };
                    let page = [&b"integrity"[..shift], before, &text, after, b" and so on"].concat();
                    vec![("www/app.js", app(hash)), ("www/page.html", page)]
                });
            }
        }
    }
}

#[test]
fn a_digest_of_a_digest_follows() {
    becomes_real(|hash| {
        let one = format!("{}  app.js\n", hex(&digest::all(&app(hash))[2]));
        let two = format!("{{\"sums\":\"{}\"}}", hex(&digest::all(one.as_bytes())[4]));
        let three = format!("MD5 (two.json) = {}\n", hex(&digest::all(two.as_bytes())[0]));
        vec![("app.js", app(hash)), ("SHA256SUMS", one.into()), ("two.json", two.into()), ("three", three.into())]
    });
}

#[test]
fn a_digest_of_something_else_stays() {
    let other = hex(&digest::all(b"something else")[2]);
    becomes_real(|hash| vec![("app.js", app(hash)), ("SUMS", format!("{other}  other.js\n").into())]);
}

#[test]
fn digests_of_the_path_itself_are_brought_up_to_date() {
    for (end, form) in [("", 0), ("\n", 0), ("", 1), ("", 2), ("\n", 2), ("", 4), ("", 5)] {
        becomes_real(|hash| {
            let digest = digest::all(format!("{}{end}", path(hash)).as_bytes()).map(|digest| digest::forms(&digest));
            digest
                .iter()
                .enumerate()
                .map(|(i, forms)| (["a", "b", "c", "d", "e", "f"][i], [&forms[form][..], b"="].concat()))
                .collect()
        });
    }
}

#[test]
fn a_name_that_is_a_digest_is_renamed_with_what_refers_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let name = |hash| format!("{}.js", hex(&digest::all(&app(hash))[1]));
    write(dir.path(), &[("index.html", format!("<script src={}>", name(STAGED)).into())]);
    fs::write(dir.path().join(name(STAGED)), app(STAGED)).unwrap();
    std::os::unix::fs::symlink(name(STAGED), dir.path().join("latest")).unwrap();
    relocate(&mappings(), &[dir.path().to_owned()], &[]).unwrap();
    assert_eq!(fs::read(dir.path().join(name(REAL))).unwrap(), app(REAL));
    assert_eq!(fs::read_link(dir.path().join("latest")).unwrap().to_str(), Some(&*name(REAL)));
    assert!(fs::read_to_string(dir.path().join("index.html")).unwrap().contains(&name(REAL)));
}

#[test]
fn a_name_that_begins_like_a_digest_of_its_file_is_refused() {
    let short = &hex(&digest::all(&app(STAGED))[2])[..10].to_owned();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("app.js"), app(STAGED)).unwrap();
    fs::write(dir.path().join(format!("app.{short}.js")), app(STAGED)).unwrap();
    let said = relocate(&mappings(), &[dir.path().to_owned()], &[]).unwrap_err().to_string();
    assert!(said.contains(&format!("app.{short}.js: file name")), "{said}");
    // The same digits in the name of another file are chance.
    fs::remove_file(dir.path().join(format!("app.{short}.js"))).unwrap();
    fs::write(dir.path().join(format!("other.{short}.js")), "no path").unwrap();
    relocate(&mappings(), &[dir.path().to_owned()], &[]).unwrap();
}

#[test]
fn short_sums_are_known_by_the_name_beside_them() {
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    };
    becomes_real(|hash| {
        let digits = hex(&digest::all(&app(hash))[2]);
        let list = format!("app.js {:08X}\nlib/app.js\t{}\n", crc(&app(hash)), &digits[..12]);
        // Without the name they are chance, and stay what they are.
        let stays = format!("{:08X}\n", crc(&app(STAGED)));
        vec![("app.js", app(hash)), ("list.sfv", list.into()), ("other", stays.into())]
    });
}

#[test]
fn macs_with_well_known_keys_are_made_again() {
    for key in digest::KEYS {
        becomes_real(|hash| {
            let mac = hex(&digest::hmac(key, &module(hash)));
            vec![
                ("lib/module.so", module(hash)),
                ("lib/.module.so.hmac", format!("{mac}\n").into()),
                ("etc/conf", format!("[module]\nmac = {mac}\n").into()),
            ]
        });
    }
    // One with a key that nobody knows is named.
    let dir = tempfile::tempdir().unwrap();
    let mac = hex(&digest::hmac(b"a secret", &module(STAGED)));
    write(dir.path(), &[("lib/module.so", module(STAGED)), ("etc/module.ini", format!("mac = {mac}\n").into())]);
    let found = relocate(&mappings(), &[dir.path().to_owned()], &[]).unwrap();
    let warnings = found.warnings();
    assert!(
        warnings[0].contains("etc/module.ini may hold a digest of") && warnings[0].contains("lib/module.so"),
        "{warnings:?}"
    );
}

#[test]
fn a_digest_that_cannot_be_written_is_refused() {
    let digest = hex(&digest::all(&app(STAGED))[2]);
    let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 1);
    packed.write_all(format!("{digest}  app.js\n").as_bytes()).unwrap();
    let said = refused(&[("app.js", app(STAGED)), ("sums.xz", packed.finish().unwrap())]);
    assert!(said.contains("sums.xz: xz data") && said.contains("SHA-256 of") && said.contains("app.js"), "{said}");
}

#[test]
fn records_have_the_new_digests_and_sizes() {
    let script = |hash| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&app(hash).repeat(30)).unwrap();
        packed.finish().unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let row = |bytes: &[u8]| {
        let text = String::from_utf8(digest::forms(&digest::all(bytes)[2])[3].clone()).unwrap();
        format!("x/data.gz,sha256={text},{}\nx-1.dist-info/RECORD,,\n", bytes.len())
    };
    write(dir.path(), &[("x/data.gz", script(STAGED)), ("x-1.dist-info/RECORD", row(&script(STAGED)).into())]);
    relocate(&mappings(), &[dir.path().to_owned()], &[]).unwrap();
    let new = fs::read(dir.path().join("x/data.gz")).unwrap();
    assert_ne!(new, script(STAGED));
    assert_eq!(fs::read_to_string(dir.path().join("x-1.dist-info/RECORD")).unwrap(), row(&new));
}
