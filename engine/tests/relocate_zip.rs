//! Relocation of zip files: members packed again, and everything that describes them brought up to date. Python reads what came
//! out. Skipped, with a message, where there is no python3.

use phasesplit_state::relocate::{Error, Mapping, relocate, scan};
use pretty_assertions::assert_eq;
use std::path::Path;
use std::process::Command;

const STAGED: &str = "1shm2c9fr4laqnfcm3ywqg0zd7xv58bq";
const REAL: &str = "v0ql8xk3pjz6ng5dmfr1ys9hwa2c7b4i";

fn mappings() -> [Mapping; 1] {
    let path = |hash| format!("/nix/store/{hash}-hello-2.10").into_bytes();
    [Mapping::new(&path(STAGED), &path(REAL)).unwrap()]
}

/// Runs a Python program in `dir` and returns what it prints; none where there is no Python.
fn python(dir: &Path, program: &str) -> Option<String> {
    const COMMON: &str = "
import base64, hashlib, io, sys, zipfile, zlib
from zipfile import ZipFile, ZipInfo, ZIP_DEFLATED, ZIP_STORED
class Pipe(io.RawIOBase):
    def __init__(self, file): self.file = file
    def writable(self): return True
    def write(self, data): return self.file.write(data)
def info(name, method=ZIP_DEFLATED):
    info = ZipInfo(name, (2020, 2, 2, 2, 2, 2))
    info.compress_type = method
    info.external_attr = 0o755 << 16
    return info
def digest(data):
    return 'sha256=' + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')
";
    let program = format!("{COMMON}\nP = '/nix/store/{STAGED}-hello-2.10'\n{program}");
    let Ok(output) = Command::new("python3").current_dir(dir).args(["-c", &program]).output() else {
        eprintln!("skipped: no python3");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Prints everything about `w.whl` that a reader can see, and whether its RECORD is right.
const LIST: &str = "
with ZipFile('w.whl') as z:
    bad = z.testzip()
    assert bad is None, bad
    print(z.comment, z.start_dir > 0)
    for i in z.infolist():
        data = z.read(i)
        assert zlib.crc32(data) == i.CRC and len(data) == i.file_size
        print(i.filename, i.date_time, i.compress_type, oct(i.external_attr), i.flag_bits, i.extra, i.comment)
        if not i.filename.endswith('RECORD'): print(data[:2000])
    for line in z.read('x-1.dist-info/RECORD').decode().splitlines():
        name, hash, size = line.rsplit(',', 2)
        if hash:
            data = z.read(name.strip('\"'))
            print(name, 'right' if (hash, int(size)) == (digest(data), len(data)) else 'wrong')
";

fn wheel(opened: &str, before: &str) -> String {
    format!(
        "
f = open('w.whl', 'wb')
f.write({before})
with ZipFile({opened}, 'w') as z:
    rows = []
    def add(name, data, method=ZIP_DEFLATED, right=True):
        i = info(name, method)
        i.comment = b'c ' + P.encode()
        z.writestr(i, data)
        shown = '\"' + name + '\"' if ',' in name else name
        rows.append(f'{{shown}},{{digest(data if right else b\"?\")}},{{len(data)}}')
    add('x/first.py', b'nothing')
    add('x/tracer.so', bytes(range(256)) * 40 + P.encode() + b'/lib' + bytes(999))
    add('x/a,b.txt', P.encode() * 3, ZIP_STORED)
    add('x/wrong.txt', P.encode(), right=False)
    add('x/' + P[11:43] + '.txt', b'a name with the hash, and ' + P.encode())
    add('x/last.py', b'nothing ' * 99)
    i = info('x-1.dist-info/RECORD')
    z.writestr(i, '\\n'.join(rows + ['x-1.dist-info/RECORD,,', '']))
    z.comment = b'of ' + P.encode()
"
    )
}

#[test]
fn a_wheel_is_packed_again_and_its_record_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.whl");
    // To a file; through a pipe, so that sizes and checksums follow the members; behind a script, as zipapps are.
    for (opened, before) in [("f", "b''"), ("Pipe(f)", "b''"), ("f", "f'#!{P}/bin/python\\n'.encode()")] {
        let make = wheel(opened, before);
        let Some(_) = python(dir.path(), &make) else { return };
        let list = python(dir.path(), LIST).unwrap();
        assert!(
            list.contains(STAGED) && list.contains("wrong.txt wrong") && list.contains("tracer.so right"),
            "{list}"
        );
        relocate(&mappings(), std::slice::from_ref(&path), &[]).unwrap();
        scan(&mappings(), std::slice::from_ref(&path)).unwrap();
        assert_eq!(python(dir.path(), LIST).unwrap(), list.replace(STAGED, REAL));
        let bytes = std::fs::read(&path).unwrap();
        python(dir.path(), &make).unwrap();
        relocate(&mappings(), std::slice::from_ref(&path), &[]).unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes, "the same bytes each time");
    }
}

#[test]
fn a_zip_in_a_zip_and_one_without_a_mention() {
    let dir = tempfile::tempdir().unwrap();
    let make = "
for text in (P, 'nothing'):
    inner = io.BytesIO()
    with ZipFile(inner, 'w') as z: z.writestr(info('in.txt'), text)
    with ZipFile('plain' if text != P else 'outer.jar', 'w') as z: z.writestr(info('lib/inner.jar'), inner.getvalue())
";
    let Some(_) = python(dir.path(), make) else { return };
    let plain = std::fs::read(dir.path().join("plain")).unwrap();
    relocate(&mappings(), &[dir.path().to_owned()], &[]).unwrap();
    let read = "print(ZipFile(io.BytesIO(ZipFile('outer.jar').read('lib/inner.jar'))).read('in.txt').decode())";
    assert_eq!(python(dir.path(), read).unwrap(), format!("/nix/store/{REAL}-hello-2.10\n"));
    assert_eq!(std::fs::read(dir.path().join("plain")).unwrap(), plain);
}

#[test]
fn what_cannot_be_packed_again_with_certainty_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.jar");
    for (make, want) in [
        // A signature over the contents.
        ("z.writestr(info('META-INF/A.SF'), 'x')", "zip member a.txt: offset 0xf: /nix/store/"),
        // Sizes in the fields of zip64.
        (
            "z.open(info('b'), 'w', force_zip64=True).close(); i = info('big'); h = z.open(i, 'w', force_zip64=True); h.write(P.encode()); h.close()",
            "zip member big: offset",
        ),
        // A method that is not unpacked, and names in it: bytes of the file.
        ("z.writestr(info('c', zipfile.ZIP_LZMA), 'x'); z.filelist[0].CRC += 1", "zip member a.txt: offset 0xf"),
    ] {
        let program =
            format!("with ZipFile('w.jar', 'w') as z:\n    z.writestr(info('a.txt'), 'see ' + P)\n    {make}");
        let Some(_) = python(dir.path(), &program) else { return };
        let before = std::fs::read(&path).unwrap();
        match relocate(&mappings(), std::slice::from_ref(&path), &[]) {
            Err(error @ Error::Refused(_)) => {
                let text = error.to_string();
                assert!(text.contains(want) && text.contains("help: make that file in a phase"), "{make}\n{text}");
            }
            other => panic!("{make}: {other:?}"),
        }
        assert!(std::fs::read(&path).unwrap() == before);
    }
}

#[test]
fn a_zip64_directory_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let make = "
zipfile.ZIP_FILECOUNT_LIMIT = 1
with ZipFile('w.zip', 'w') as z:
    z.writestr(info('a'), 'nothing')
    z.writestr(info('b'), 'see ' + P)
";
    let Some(_) = python(dir.path(), make) else { return };
    let bytes = std::fs::read(dir.path().join("w.zip")).unwrap();
    assert!(bytes.windows(4).any(|four| four == b"PK\x06\x06"));
    let error = relocate(&mappings(), &[dir.path().to_owned()], &[]).unwrap_err().to_string();
    assert!(error.contains("w.zip: zip member b: offset 0x"), "{error}");
}
