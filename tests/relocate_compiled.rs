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

#[test]
fn a_program_knows_its_real_path_or_is_refused() {
    if Command::new("gcc").arg("--version").output().is_err() {
        eprintln!("skipped: no gcc");
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
                    Ok(()) => {
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
