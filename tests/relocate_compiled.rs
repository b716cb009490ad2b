//! Relocation of what a real compiler makes of a path: the program prints (or knows) its real path afterwards, or is refused.
//! Skipped, with a message, where there is no gcc.

use phasesplit::state::relocate::{Error, Mapping, relocate, scan};
use std::path::{Path, PathBuf};
use std::process::Command;

const STAGED: &str = "1shm2c9fr4laqnfcm3ywqg0zd7xv58bq";
const REAL: &str = "v0ql8xk3pjz6ng5dmfr1ys9hwa2c7b4i";

/// Bodies of `main`; each prints the path, or whether it knows the path it is given.
const PRINTS: &[(&str, &str)] = &[
    ("strcpy", r#"char b[400]; strcpy(b, P "/lib"); puts(b);"#),
    ("strcpy_bare", r"char b[400]; strcpy(b, P); puts(b);"),
    ("slash", r#"char b[400]; strcpy(b, P "/"); puts(b);"#),
    ("memcpy", r#"char b[400]; memcpy(b, P "/share/locale", sizeof P "/share/locale"); puts(b);"#),
    ("array", r#"char b[] = P "/x"; hide(b); puts(b);"#),
    ("prefixed", r#"char b[400]; strcpy(b, "PATH=" P "/bin:/bin"); puts(b);"#),
    ("prefixed8", r#"char b[400]; strcpy(b, "-Wl,-rpa" P); puts(b);"#),
    ("two", r#"char b[400], d[400]; strcpy(b, P "/lib"); strcpy(d, "x=" P "/share"); hide(d); puts(b); puts(d);"#),
    ("strcat", r#"char b[400] = ""; hide(b); strcat(b, "a:"); strcat(b, P "/lib"); puts(b);"#),
    ("string", r#"printf("%s\n", P "/etc/conf");"#),
];

const KNOWS: &[(&str, &str)] = &[
    ("memcmp", r#"puts(memcmp(v[1], P, sizeof P - 1) == 0 ? "yes" : "no");"#),
    ("strncmp", r#"puts(strncmp(v[1], P, sizeof P - 1) == 0 ? "yes" : "no");"#),
    ("strcmp", r#"puts(strcmp(v[1], P) == 0 ? "yes" : "no");"#),
    ("order", r#"puts(memcmp(v[1], P, sizeof P - 1) > 0 ? "no" : memcmp(v[1], P, sizeof P - 1) < 0 ? "no" : "yes");"#),
];

const FLAGS: &[&[&str]] = &[
    &["-O0"],
    &["-O1"],
    &["-O2"],
    &["-O3"],
    &["-Os"],
    &["-O2", "-mno-sse"],
    &["-O0", "-mno-sse"],
    &["-O2", "-minline-all-stringops"],
    &["-O2", "-mavx2"],
    &["-O2", "-fPIC", "-shared-libgcc", "-s"],
    &["-O3", "-mavx2", "-g"],
];

fn compile(dir: &Path, body: &str, path: &str, flags: &[&str]) -> PathBuf {
    let source = dir.join("p.c");
    let text = format!(
        "#include <stdio.h>\n#include <string.h>\n#define P \"{path}\"\n\
         __attribute__((noinline)) void hide(char *s) {{ __asm__ volatile(\"\" : : \"r\"(s) : \"memory\"); }}\n\
         int main(int c, char **v) {{ (void)c; (void)v; {body} return 0; }}\n"
    );
    std::fs::write(&source, text).unwrap();
    let program = dir.join("p");
    let status = Command::new("gcc").args(flags).args(["-w", "-o"]).arg(&program).arg(&source).status().unwrap();
    assert!(status.success());
    program
}

fn output(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn has_gcc() -> bool {
    let there = Command::new("gcc").arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: no gcc");
    }
    there
}

#[test]
fn a_program_knows_its_real_path_or_is_refused() {
    if !has_gcc() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut refused = Vec::new();
    let mut relocated = 0;
    for name in ["a", "jq-1.7", "hello-2.10", "some-long-package-name-12.4.1-unstable"] {
        let staged = format!("/nix/store/{STAGED}-{name}");
        let real = format!("/nix/store/{REAL}-{name}");
        let mappings = [Mapping::new(staged.as_bytes(), real.as_bytes()).unwrap()];
        for flags in FLAGS {
            for (what, body) in PRINTS.iter().chain(KNOWS) {
                let program = compile(dir.path(), body, &staged, flags);
                let want = output(&program, &staged).replace(STAGED, REAL);
                let before = std::fs::read(&program).unwrap();
                let trees = [program.clone()];
                match relocate(&mappings, &trees, &[]) {
                    Ok(_) => {
                        relocated += 1;
                        let got = output(&program, &real);
                        assert_eq!(got, want, "{what} {name} {flags:?}");
                        scan(&mappings, &trees).unwrap();
                    }
                    Err(Error::Refused(refusal)) => {
                        assert_eq!(std::fs::read(&program).unwrap(), before);
                        let text = format!("{what} {name} {flags:?}\n{refusal}");
                        refused.push((name.len() < 6, text));
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
    // Only a name of fewer than six characters leaves pieces that are too small to be told from chance.
    let wrong: Vec<&String> = refused.iter().filter(|(short, _)| !short).map(|(_, t)| t).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(relocated > refused.len() * 5, "{relocated}, {refused:#?}");
}

/// What readelf makes of a program's debug information; panics if it complains.
fn debug_information(program: &Path, section: &str) -> String {
    let output = Command::new("readelf").args(["-W", "-z", "-p", section]).arg(program).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn compressed_debug_information_is_rewritten_or_named_and_never_refused() {
    if !has_gcc() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (staged, real) = (format!("/nix/store/{STAGED}-hello-2.10"), format!("/nix/store/{REAL}-hello-2.10"));
    let mappings = [Mapping::new(staged.as_bytes(), real.as_bytes()).unwrap()];
    let seed = format!("-frandom-seed={}", &STAGED[..10]);
    let (mut rewritten, mut named) = (0, 0);
    for (form, section) in [("zlib", ".debug_str"), ("zlib-gnu", ".zdebug_str"), ("zstd", ".debug_str")] {
        let packed = format!("-Wa,--compress-debug-sections={form}");
        let linked = format!("-Wl,--compress-debug-sections={form}");
        for debug in ["-g", "-g3"] {
            let source = dir.path().join("p.c");
            // With -g3 the macro's text, and so the full path, is in the debug information too.
            std::fs::write(
                &source,
                format!("#include <stdio.h>\n#define P \"{staged}\"\nint main(void) {{ puts(P); }}\n"),
            )
            .unwrap();
            let program = dir.path().join("p");
            let flags = ["-O1", debug, &seed, &packed, &linked, "-o"];
            let status =
                Command::new("gcc").args(flags).arg(&program).arg(&source).stderr(std::process::Stdio::null()).status();
            if !status.unwrap().success() {
                eprintln!("skipped: {form} is not known here");
                continue;
            }
            let before = debug_information(&program, section);
            assert!(before.contains(&STAGED[..10]), "{before}");
            assert_eq!(before.contains(&staged), debug == "-g3");
            let stays = relocate(&mappings, &[program.clone()], &[]).unwrap();
            let after = debug_information(&program, section);
            assert_eq!(output(&program, ""), format!("{real}\n"));
            if stays.files.is_empty() {
                rewritten += 1;
                assert_eq!(after, before.replace(STAGED, REAL).replace(&STAGED[..10], &REAL[..10]), "{form} {debug}");
            } else {
                named += 1;
                assert_eq!(after, before, "{form} {debug}");
                let text = stays.to_string();
                assert!(text.contains("/p: offset 0x") && text.contains("debug_str: "), "{text}");
            }
            let left = scan(&mappings, &[program]).unwrap();
            assert_eq!(left.files.is_empty(), stays.files.is_empty());
        }
    }
    eprintln!("compressed debug information: {rewritten} rewritten, {named} named");
    assert!(rewritten + named >= 4);
}

#[test]
fn a_path_hidden_in_lto_data_is_refused_and_a_seed_there_is_not() {
    if !has_gcc() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let staged = format!("/nix/store/{STAGED}-hello-2.10");
    let mappings = [Mapping::new(staged.as_bytes(), staged.replace(STAGED, REAL).as_bytes()).unwrap()];
    let (source, object) = (dir.path().join("p.c"), dir.path().join("p.o"));
    for (text, hidden) in
        [(format!("const char *f(void) {{ return \"{staged}/x\"; }}\n"), true), ("int f;\n".into(), false)]
    {
        std::fs::write(&source, text).unwrap();
        let seed = format!("-frandom-seed={}", &STAGED[..10]);
        let mut gcc = Command::new("gcc");
        gcc.args(["-c", "-g", "-O2", "-flto", &seed, "-o"]).arg(&object).arg(&source);
        assert!(gcc.status().unwrap().success());
        match relocate(&mappings, &[object.clone()], &[]) {
            Err(Error::Refused(refusal)) if hidden => {
                let text = refusal.to_string();
                assert!(text.contains(".gnu.lto_") && text.contains("help: build that file without -flto"), "{text}");
            }
            Ok(_) if !hidden => {
                scan(&mappings, &[object.clone()]).unwrap();
            }
            other => panic!("{hidden}: {other:?}"),
        }
    }
}
