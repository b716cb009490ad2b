//! The path where relocation has to look twice: wide strings, base64, archives behind scripts, digests, checksums of a format.

use crate::support::{Project, command, salt, succeed, text};
use std::fs;
use std::path::{Path, PathBuf};

/// Builds the package with these lines, and returns its output and the log.
fn built(lines: &str, files: &[(&str, &str)]) -> (Project, PathBuf, String) {
    let project = Project::new(&format!(
        "{{ stdenv }}: stdenv.mkDerivation {{ name = \"relocation-1\"; salt = \"{}\"; dontUnpack = true; {lines} }}\n",
        salt()
    ));
    for (name, content) in files {
        fs::write(project.path().join(name), content).expect("a file of the package");
    }
    project.generate(&[]);
    let (_, log) = project.build("phases.finish");
    let out = project.outputs("phases.finish").remove(0).1;
    (project, out, log)
}

fn shown(path: &Path) -> String {
    path.to_str().expect("a store path").to_owned()
}

/// What a command prints, run in the output.
fn prints(out: &Path, script: &str) -> String {
    text(&succeed(command("bash", out).args(["-ec", script])).stdout)
}

#[test]
fn a_program_with_wide_strings_prints_its_path() {
    let lines = r#"
      buildPhase = ''
        cat >wide.c <<'END'
        #include <stdio.h>
        #include <uchar.h>
        #include <wchar.h>
        static const wchar_t wide[] = L"" DATADIR;
        static const char16_t narrow[] = u"" DATADIR;
        int main(void) {
          for (const wchar_t *p = wide; *p; p++) putchar((int)*p);
          putchar('\n');
          for (const char16_t *p = narrow; *p; p++) putchar((int)*p);
          putchar('\n');
          return 0;
        }
        END
        gcc -O2 -DDATADIR="\"$out/share/wide\"" -o wide wide.c
      '';
      installPhase = ''
        mkdir -p $out/bin $out/share/wide
        cp wide $out/bin/
        printf 'dir=%s/share/wide\n' "$out" | iconv -t UTF-16LE >$out/share/wide/settings
      '';
    "#;
    let (_project, out, _) = built(lines, &[]);
    let data = format!("{}/share/wide", shown(&out));
    assert_eq!(prints(&out, "bin/wide"), format!("{data}\n{data}\n"));
    assert_eq!(prints(&out, "iconv -f UTF-16LE share/wide/settings"), format!("dir={data}\n"));
}

#[test]
fn a_file_within_a_file_as_base64_names_the_path() {
    let lines = r#"
      installPhase = ''
        mkdir -p $out/share
        printf '{"root":"%s/share","n":1}' "$out" >conf.json
        printf 'url=data:application/json;base64,%s\n' "$(base64 -w0 conf.json)" >$out/share/page
      '';
    "#;
    let (_project, out, _) = built(lines, &[]);
    let decoded = prints(&out, "sed 's/.*base64,//' share/page | base64 -d");
    assert_eq!(decoded, format!("{{\"root\":\"{}/share\",\"n\":1}}", shown(&out)));
}

#[test]
fn an_archive_behind_a_script_unpacks_to_the_path() {
    let lines = r#"
      installPhase = ''
        mkdir -p payload $out/bin
        printf 'first %s\nsecond %s\n' "$out/share" "$out/share" >payload/conf
        for i in $(seq 400); do echo "line $((i * 7919 % 1009)) of $i, and more of the same words"; done >>payload/conf
        # Packed fast, so that there is room for another path. Without room, the file is refused.
        tar -C payload --mtime=@1 -cf - conf | gzip -1n >payload.tgz
        { printf '#!/bin/bash\ntail -n +4 "$0" | tar -xzOf - conf\nexit 0\n'; cat payload.tgz; } >show
        install -m 755 show $out/bin/
      '';
    "#;
    let (_project, out, _) = built(lines, &[]);
    let share = format!("{}/share", shown(&out));
    assert_eq!(prints(&out, "bin/show | sed -n 1,2p"), format!("first {share}\nsecond {share}\n"));
}

#[test]
fn digests_under_other_names_fit_their_files() {
    let lines = r#"
      dontStrip = true;
      buildPhase = "gcc -shared -fPIC -o module.so -x c - <<<\"const char *dir(void) { return \\\"$out/etc\\\"; }\"";
      installPhase = ''
        mkdir -p $out/lib $out/etc $out/www
        cp module.so $out/lib/
        printf '[module]\nmac = %s\n' "$(openssl dgst -sha256 -mac HMAC -macopt hexkey:00 $out/lib/module.so | sed 's/.*= //')" >$out/etc/module.ini
        echo "var base = '$out/www';" >$out/www/app.js
        printf '<script src="app.js" integrity="sha384-%s"></script>\n' "$(openssl dgst -sha384 -binary $out/www/app.js | base64 -w0)" >$out/www/page.html
        printf '{"app.js":"%s"}\n' "$(sha256sum <$out/www/app.js | cut -d' ' -f1)" >$out/www/manifest.json
        printf '[other]\nmac = %s\n' "$(openssl dgst -sha256 -hmac secret $out/lib/module.so | sed 's/.*= //')" >$out/lib/module.mac
      '';
    "#;
    let (_project, out, log) = built(lines, &[]);
    let digests = [
        (
            "openssl dgst -sha256 -mac HMAC -macopt hexkey:00 lib/module.so | sed 's/.*= //'",
            "sed -n 's/mac = //p' etc/module.ini",
        ),
        ("openssl dgst -sha384 -binary www/app.js | base64 -w0; echo", "sed 's/.*sha384-//; s/\".*//' www/page.html"),
        ("sha256sum <www/app.js | cut -d' ' -f1", "sed 's/.*:\"//; s/\".*//' www/manifest.json"),
    ];
    for (made, written) in digests {
        assert_eq!(prints(&out, made), prints(&out, written), "{written}");
    }
    // One with a key that nobody knows cannot be made again: it is said.
    let said = log.lines().find(|line| line.contains("warning: ")).unwrap_or_default();
    assert!(said.contains("lib/module.mac may hold a digest of") && said.contains("lib/module.so"), "{log}");
}

#[test]
fn an_image_is_sound_and_what_cannot_be_searched_is_said() {
    const IMAGE: &str = r#"
import struct, sys, zlib
def piece(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
with open(sys.argv[2], "wb") as image:
    image.write(b"\x89PNG\r\n\x1a\n" + piece(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)))
    image.write(piece(b"tEXt", b"Source\0" + sys.argv[1].encode()))
    image.write(piece(b"IDAT", zlib.compress(b"\0\0")) + piece(b"IEND", b""))
"#;
    let lines = r#"
      installPhase = ''
        mkdir -p $out
        python3 ${./image.py} "$out/share" $out/image.png
        printf '7z\xbc\xaf\x27\x1c' >$out/fonts.7z
      '';
    "#;
    let (project, out, log) = built(lines, &[("image.py", IMAGE)]);
    let want = project.path().join("want.png");
    let script = project.path().join("image.py");
    succeed(command("python3", project.path()).arg(script).arg(format!("{}/share", shown(&out))).arg(&want));
    assert_eq!(fs::read(out.join("image.png")).expect("the image"), fs::read(want).expect("the other"));
    let said = log.lines().find(|line| line.contains("warning: ")).unwrap_or_default();
    assert!(said.contains("1 file could not be searched for the staged path: ") && said.ends_with("fonts.7z"), "{log}");
}
