//! One case for each kind of cause, on made derivations.

use pretty_assertions::assert_eq;

use super::testing::{Store, drv, path};
use super::{Cause, Change, Explainer, Member, compare};
use crate::source::drv::Drv;
use crate::source::stage_arguments::ATTRIBUTE;

/// The causes of a derivation that became another, as text.
fn causes(store: &mut Store, old: Drv, new: Drv) -> Vec<String> {
    let (before, now) = (path('a', "p-1-phase-build"), path('b', "p-1-phase-build"));
    let old = [Member { stage: "build".to_owned(), drv: store.add(&before, old), path: before }];
    let new = [Member { stage: "build".to_owned(), drv: store.add(&now, new), path: now }];
    let changes = compare(&old, &new, &Explainer::new(store));
    match &changes[0].change {
        Change::Changed { causes, after: None } => causes.iter().map(Cause::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

/// A stage with these options besides the usual.
fn stage(options: &[&str], attributes: &[(&str, &str)], inputs: &[&str]) -> Drv {
    let options: Vec<String> =
        options.chunks(2).map(|words| words.join(" ").trim_start_matches('-').to_owned()).collect();
    let mut stage = drv(attributes, inputs);
    stage.env.insert(ATTRIBUTE.to_owned(), format!("package p-1\n{}", options.join("\n")));
    Drv { args: ["-e", &path('r', "phasesplit-runtime.sh"), "/builder.sh"].map(str::to_owned).into(), ..stage }
}

#[test]
fn attributes() {
    let store = &mut Store::default();
    let old = drv(&[("same", "x"), ("gone", "x"), ("flags", "a b"), ("out", "/ignored")], &[]);
    let new = drv(&[("same", "x"), ("flags", "a c"), ("come", ""), ("out", "/other")], &[]);
    let found = causes(store, old, new);
    // `out` is what Nix adds by itself, but only where it is an output's name, as it is here.
    assert_eq!(found, ["come was added", "flags changed: \"a b\" → \"a c\"", "gone was removed"]);
}

#[test]
fn long_texts_are_a_diff() {
    let script = |line: &str| format!("echo 1\necho 2\necho 3\necho 4\n{line}\necho 5\n");
    let cause =
        Cause::Attribute { name: "buildPhase".to_owned(), old: Some(script("make")), new: Some(script("ninja")) };
    assert_eq!(cause.to_string(), "buildPhase changed");
    let diff = "--- buildPhase, before\n+++ buildPhase, now\n@@ -2,5 +2,5 @@\n echo 2\n echo 3\n echo 4\n-make\n+ninja\n echo 5\n";
    assert_eq!(cause.diff().as_deref(), Some(diff));
}

#[test]
fn structured_attributes_key_by_key() {
    let structured = |json| Drv { structured: Some(json), ..drv(&[], &[]) };
    let old = structured(serde_json::json!({"env": {"A": "1", "B": "2"}, "list": ["a", "b"], "same": [1, {"x": 2}]}));
    let new = structured(serde_json::json!({"env": {"A": "1", "B": "3"}, "list": ["a"], "same": [1, {"x": 2}]}));
    let found = causes(&mut Store::default(), old.clone(), new);
    assert_eq!(found, ["env.B changed: \"2\" → \"3\"", "list changed: \"a b\" → \"a\""]);
    // The same values as an environment: the attribute that says how they are passed is the change.
    let new = drv(&[("env.A", "1"), ("env.B", "2"), ("list", "a b"), ("same", "[1,{\"x\":2}]")], &[]);
    assert_eq!(causes(&mut Store::default(), old, new), ["__structuredAttrs was removed"]);
}

#[test]
fn builder_platform_and_script() {
    let old = drv(&[], &[]);
    let new = Drv {
        builder: "/bin/sh".to_owned(),
        system: "i686-linux".to_owned(),
        args: vec!["/other.sh".to_owned()],
        ..drv(&[], &[])
    };
    let expected = [
        "the builder's script or arguments changed",
        "its builder changed: /bin/bash → /bin/sh",
        "its platform changed: x86_64-linux → i686-linux",
    ];
    assert_eq!(causes(&mut Store::default(), old, new), expected);
}

#[test]
fn a_source_and_a_download() {
    let store = &mut Store::default();
    let (a, b) = (path('1', "source"), path('2', "source"));
    let found = causes(store, drv(&[("src", &a)], &[&a]), drv(&[("src", &b)], &[&b]));
    assert_eq!(found, ["src changed: another source (11111111 → 22222222)"]);

    let (a, b) = (path('3', "p.tar.gz"), path('4', "p.tar.gz"));
    let old = store.add_fixed(&a, drv(&[("outputHash", "sha256-a")], &[]));
    let new = store.add_fixed(&b, drv(&[("outputHash", "sha256-b")], &[]));
    let found = causes(store, drv(&[("src", &a)], &[&old]), drv(&[("src", &b)], &[&new]));
    assert_eq!(found, ["src changed: another p.tar.gz (sha256-a → sha256-b)"]);

    let other = path('5', "p-2.tar.gz");
    let new = store.add_fixed(&other, drv(&[("outputHash", "sha256-c")], &[]));
    let first = path('6', "p-1.tar.gz");
    let old = store.add_fixed(&first, drv(&[("outputHash", "sha256-d")], &[]));
    let found = causes(store, drv(&[("src", &first)], &[&old]), drv(&[("src", &other)], &[&new]));
    assert_eq!(found, ["src changed: p-1.tar.gz → p-2.tar.gz"]);
}

#[test]
fn an_input_is_followed_to_what_changed_by_itself() {
    let store = &mut Store::default();
    let mut packages = Vec::new();
    for (hash, flags) in [('1', "-O1"), ('2', "-O2")] {
        let compiler = path(hash, "cc-12");
        let compiler_drv = store.add(&compiler, drv(&[("flags", flags)], &[]));
        let library = path((hash as u8 + 4) as char, "zlib-1.3");
        let library_drv = store.add(&library, drv(&[("stdenv", &compiler)], &[&compiler_drv]));
        let top = path((hash as u8 + 6) as char, "png-3");
        let top_drv = store.add(&top, drv(&[("buildInputs", &library)], &[&library_drv]));
        let attributes = [("buildInputs", format!("{library} {top}")), ("more", top.clone())];
        let attributes: Vec<(&str, &str)> = attributes.iter().map(|(name, value)| (*name, value.as_str())).collect();
        packages.push(drv(&attributes, &[&library_drv, &top_drv]));
    }
    let new = packages.pop().expect("two");
    let old = packages.pop().expect("two");
    let expected = [
        "buildInputs: zlib-1.3 → its stdenv: cc-12 → its flags changed: \"-O1\" → \"-O2\" (so did buildInputs: png-3)",
    ];
    assert_eq!(causes(store, old, new), expected);
}

#[test]
fn an_input_that_cannot_be_read() {
    let store = &mut Store::default();
    let (a, b) = (path('1', "zlib-1"), path('2', "zlib-1"));
    let new = store.add(&b, drv(&[], &[]));
    let old = drv(&[("buildInputs", &a)], &[&format!("{a}.drv")]);
    let found = causes(store, old, drv(&[("buildInputs", &b)], &[&new]));
    assert_eq!(found, [format!("buildInputs: zlib-1 changed, and it cannot be told why: {a}.drv is not in the store")]);
}

#[test]
fn a_package_in_anothers_place_is_the_attributes_change() {
    let (a, b) = (path('1', "zlib-1.2"), path('2', "bzip2-1"));
    let found = causes(&mut Store::default(), drv(&[("buildInputs", &a)], &[&a]), drv(&[("buildInputs", &b)], &[&b]));
    assert_eq!(found, ["buildInputs changed: \"zlib-1.2\" → \"bzip2-1\""]);
    let both = format!("{a} {b}");
    let found =
        causes(&mut Store::default(), drv(&[("buildInputs", &a)], &[&a]), drv(&[("buildInputs", &both)], &[&a, &b]));
    assert_eq!(found, ["buildInputs changed: \"zlib-1.2\" → \"zlib-1.2 bzip2-1\""]);
}

#[test]
fn inputs_that_no_attribute_names() {
    let (a, b, c) = (path('1', "tool-1"), path('2', "tool-1"), path('3', "other"));
    let found = causes(&mut Store::default(), drv(&[], &[&a]), drv(&[], &[&b, &c]));
    assert_eq!(found, ["its inputs changed: another tool-1 (11111111 → 22222222)", "its inputs changed: added other"]);
}

#[test]
fn what_phasesplit_passes_is_told_as_what_it_means() {
    let cases: [(&[&str], &[&str], &str); 8] = [
        (&["--outputs", "out=/a"], &["--outputs", "out=/a dev=/b"], "the package's outputs changed: out → dev out"),
        (
            &["--entries", "unpackPhase,buildPhase"],
            &["--entries", "unpackPhase buildPhase"],
            "the chain is divided otherwise: unpackPhase, buildPhase → unpackPhase buildPhase",
        ),
        (&["--later", "a b"], &["--later", "b c"], "what earlier stages may not mention changed: added c; removed a"),
        (
            &["--given", "a"],
            &["--given", ""],
            "a is first given to another stage than before: other scripts mention it, or its scope changed",
        ),
        (&["--engine", "/a"], &["--engine", "/b"], "another version of phasesplit's state engine"),
        (&[], &["--pinned", "/s"], "it is pinned: it continues from /s, whatever changed before"),
        (&["--pinned", "/s"], &[], "it was pinned, and is not any more"),
        (&["--odd", "1"], &["--odd", "2"], "phasesplit's option --odd changed: 1 → 2"),
    ];
    for (old, new, expected) in cases {
        assert_eq!(causes(&mut Store::default(), stage(old, &[], &[]), stage(new, &[], &[])), [expected]);
    }
    let mut new = stage(&[], &[], &[]);
    new.args[1] = path('s', "phasesplit-runtime.sh");
    let found = causes(&mut Store::default(), stage(&[], &[], &[]), new);
    assert_eq!(found, ["another version of phasesplit's runtime"]);
    // What follows from an attribute is not told beside it.
    let old = stage(&["--later", "flag", "--given", ""], &[], &[]);
    let new = stage(&["--later", "", "--given", "flag"], &[("flag", "1")], &[]);
    assert_eq!(causes(&mut Store::default(), old, new), ["flag was added"]);
}

#[test]
fn a_cause_is_told_once_and_the_stages_behind_follow() {
    let mut store = Store::default();
    let mut chain = |hash: char, edit: &str| -> Vec<Member> {
        let first = path(hash, "p-1-phase-build");
        let build = stage(&["--range", "0 0"], &[("buildPhase", edit)], &[]);
        let build = Member { stage: "build".to_owned(), drv: store.add(&first, build), path: first.clone() };
        let last = path((hash as u8 + 1) as char, "p-1");
        let options = ["--range", "1 1", "--parent", &first];
        let finish = stage(&options, &[("buildPhase", edit)], &[&build.drv]);
        let finish = Member { stage: "finish".to_owned(), drv: store.add(&last, finish), path: last };
        vec![build, finish]
    };
    let (old, new) = (chain('1', "make"), chain('3', "ninja"));
    let changes = compare(&old, &new, &Explainer::new(&store));
    let Change::Changed { causes, after: None } = &changes[0].change else { panic!("{:?}", changes[0]) };
    assert_eq!(causes[0].to_string(), "buildPhase changed: \"make\" → \"ninja\"");
    assert_eq!(changes[1].change, Change::Changed { causes: Vec::new(), after: Some("build".to_owned()) });
    assert_eq!(compare(&old, &old, &Explainer::new(&store))[1].change, Change::Same);
    assert_eq!(compare(&old[..1], &new, &Explainer::new(&store))[1].change, Change::New);
}
