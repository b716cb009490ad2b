//! What a phase of finish moves from the build directory into an output is relocated too: nixpkgs' `pythonOutputDistHook` does
//! so with the wheels of every Python package, before fixup.

use crate::support::{Project, salt};
use std::process::Command;

/// A wheel with a module that names its package, a library with an rpath, and a RECORD; made in build, moved in finish.
fn project(more: &str) -> Project {
    let project = Project::new(&format!(
        r#"{{ stdenv }}:
stdenv.mkDerivation {{
  name = "moved";
  salt = "{}";
  dontUnpack = true;
  outputs = [ "out" "dist" ];
  buildPhase = ''
    mkdir -p dist seven seven-1.dist-info
    echo "PREFIX = '$out/share'" >seven/__init__.py
    echo 'const char *prefix(void) {{ return PREFIX; }}' >native.c
    cc -shared -fPIC -O2 -DPREFIX="\"$out/lib\"" -Wl,-rpath,$out/lib -Wl,--build-id=none -o seven/native.so native.c
    printf 'Metadata-Version: 2.1\nName: seven\nVersion: 1\n' >seven-1.dist-info/METADATA
    cat >pack.py <<'EOF'
    import base64, hashlib, sys, zipfile
    names = ['seven/__init__.py', 'seven/native.so', 'seven-1.dist-info/METADATA']
    rows = []
    with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as wheel:
        def add(name, data):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(info, data)
        for name in names:
            data = open(name, 'rb').read()
            add(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')
            rows.append(f'{{name}},sha256={{digest}},{{len(data)}}')
        add('seven-1.dist-info/RECORD', '\n'.join(rows + ['seven-1.dist-info/RECORD,,']) + '\n')
    EOF
    /usr/bin/python3 pack.py dist/seven-1-py3-none-any.whl
  '';
  installPhase = ''
    mkdir -p $out/lib
    cp -r seven seven-1.dist-info $out/lib
  '';
  preFixup = ''
    {more}
    mv dist $dist
  '';
}}
"#,
        salt()
    ));
    project.generate(&[]);
    project
}

#[test]
fn a_wheel_moved_in_finish_names_its_package_and_its_record_is_right() {
    let project = project("");
    let (_, log) = project.build("phases.finish");
    assert!(log.contains("it is relocated as well"), "{log}");
    project.assert_equal();
    let outputs = project.outputs("phases.finish");
    let path = |name: &str| &outputs.iter().find(|(output, _)| output == name).expect("an output").1;
    let check = "
import base64, hashlib, sys, zipfile
out = sys.argv[2].encode()
with zipfile.ZipFile(sys.argv[1]) as wheel:
    assert wheel.testzip() is None
    assert out + b'/share' in wheel.read('seven/__init__.py')
    assert wheel.read('seven/native.so').count(out + b'/lib') == 2
    rows = [line.rsplit(',', 2) for line in wheel.read('seven-1.dist-info/RECORD').decode().splitlines()]
    assert len(rows) == 4
    for name, digest, size in rows[:3]:
        data = wheel.read(name)
        want = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')
        assert (digest, int(size)) == ('sha256=' + want, len(data)), name
";
    let wheel = path("dist").join("seven-1-py3-none-any.whl");
    let checked =
        Command::new("python3").args(["-c", check]).arg(wheel).arg(path("out")).output().expect("python3 runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn what_cannot_be_relocated_is_refused_when_it_is_moved_in_finish() {
    let log = project("tar -cJf dist/source.tar.xz seven").build_fails("phases.finish");
    for part in ["put a staged prefix into an output", "source.tar.xz: xz data: member seven/__init__.py"] {
        assert!(log.contains(part), "the log does not say {part:?}:\n{log}");
    }
}
