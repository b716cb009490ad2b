//! Relocation of what a compiler writes beside the program: compressed debug information, LTO data, bitcode. Skipped, with a message,
//! where there is no gcc or no clang. What it makes of constants in programs is tested in `relocate_matrix.rs`.

use phasesplit_state::relocate::{Error, Mapping, relocate, scan};
use std::path::Path;
use std::process::Command;

const STAGED: &str = "1shm2c9fr4laqnfcm3ywqg0zd7xv58bq";
const REAL: &str = "v0ql8xk3pjz6ng5dmfr1ys9hwa2c7b4i";

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
            let stays = relocate(&mappings, std::slice::from_ref(&program), &[]).unwrap();
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
        match relocate(&mappings, std::slice::from_ref(&object), &[]) {
            Err(Error::Refused(refusal)) if hidden => {
                let text = refusal.to_string();
                assert!(text.contains(".gnu.lto_") && text.contains("help: build that file without -flto"), "{text}");
            }
            Ok(_) if !hidden => {
                scan(&mappings, std::slice::from_ref(&object)).unwrap();
            }
            other => panic!("{hidden}: {other:?}"),
        }
    }
}

/// An object file with text for the linker to compile, raw or in a section.
#[test]
fn a_path_hidden_in_bitcode_is_refused() {
    if Command::new("clang").arg("--version").output().is_err() {
        eprintln!("skipped: no clang");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let staged = format!("/nix/store/{STAGED}-hello-2.10");
    let mappings = [Mapping::new(staged.as_bytes(), staged.replace(STAGED, REAL).as_bytes()).unwrap()];
    let (source, object, archive) = (dir.path().join("p.c"), dir.path().join("p.o"), dir.path().join("p.a"));
    for flags in [&["-flto"][..], &["-flto=thin"], &["-fembed-bitcode"], &["-emit-llvm", "-g"]] {
        for hidden in [true, false] {
            let text = if hidden { staged.clone() } else { "/usr/local/lib".to_owned() };
            let copy = "void g(char *); void f(void) { char b[99]; __builtin_strcpy(b, P); g(b); }";
            std::fs::write(&source, format!("#define P \"{text}/x\"\nconst char *p = P;\n{copy}\n")).unwrap();
            let mut clang = Command::new("clang");
            clang.args(["-c", "-O2"]).args(flags).arg("-o").arg(&object).arg(&source);
            assert!(clang.status().unwrap().success());
            let bytes = std::fs::read(&object).unwrap();
            let header = format!("!<arch>\n{:<48}{:<10}`\n", "p.o/", bytes.len());
            std::fs::write(&archive, [header.as_bytes(), &bytes].concat()).unwrap();
            for file in [&object, &archive] {
                match relocate(&mappings, std::slice::from_ref(file), &[]) {
                    Err(Error::Refused(refusal)) if hidden => {
                        let text = refusal.to_string();
                        assert!(text.contains("LLVM bitcode") && text.contains("help: build that file"), "{text}");
                    }
                    Ok(_) if !hidden => {
                        scan(&mappings, std::slice::from_ref(file)).unwrap();
                    }
                    other => panic!("{flags:?} {hidden}: {other:?}"),
                }
            }
        }
    }
}
