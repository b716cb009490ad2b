//! `source` and `diagnostic` on hostile input: no panic, no overflowed stack. (`SHOW_TIMES=1` prints what takes long.)
//!
//! Everything runs on threads with 2 MiB of stack, the size that async runtimes give theirs.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use phasesplit::diagnostic::{Sources, render};
use phasesplit::source::{Package, read_bytes, select};
use proptest::prelude::*;

/// Size of large texts, in bytes.
const LARGE: usize = if cfg!(debug_assertions) { 1 << 20 } else { 7 << 20 };

type Outcome = Result<Package, Vec<phasesplit::diagnostic::Problem>>;

/// Reads on a small stack, and renders what comes out.
fn survive(what: &str, bytes: Vec<u8>) -> Outcome {
    let begun = Instant::now();
    let outcome = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            let outcome = read_bytes(&bytes, "f.nix");
            let text = String::from_utf8_lossy(&bytes);
            match &outcome {
                Ok(package) => {
                    let _ = select(package, &[]);
                    let _ = select(package, &["a".to_owned(), "b".to_owned()]);
                    for call in &package.calls {
                        assert!(text.get(call.span.clone()).is_some());
                        for attribute in &call.attributes {
                            assert!(text.get(attribute.key.clone()).is_some());
                            assert!(text.get(attribute.span.clone()).is_some());
                        }
                    }
                }
                Err(problems) => {
                    assert!(!problems.is_empty());
                    for problem in problems {
                        assert_ne!(problem.code, "source/internal");
                        if let Some(place) = &problem.place {
                            assert!(text.get(place.span.clone()).is_some(), "{problem:?}");
                        }
                    }
                    let sources = [("f.nix", text.as_ref())];
                    let _ = render(problems, Sources::new(&sources), true);
                }
            }
            outcome
        })
        .expect("thread")
        .join()
        .unwrap_or_else(|_| panic!("{what} made it panic"));
    let taken = begun.elapsed();
    if std::env::var_os("SHOW_TIMES").is_some() && taken > Duration::from_millis(200) {
        eprintln!("{what}: {taken:?}");
    }
    outcome
}

fn code(outcome: &Outcome) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(problems) => problems.first().map_or("none", |problem| problem.code),
    }
}

fn around(open: &str, inner: &str, close: &str, count: usize) -> String {
    format!("{}{inner}{}", open.repeat(count), close.repeat(count))
}

#[test]
fn deep_nesting_is_a_problem_with_a_place() {
    const N: usize = 20_000;
    let cases = [
        ("parentheses", around("(", "1", ")", N)),
        ("lists", around("[", "1", "]", N)),
        ("sets", around("{ a = ", "1", "; }", N)),
        ("recursive sets", around("rec { a = ", "1", "; }", N)),
        ("strings", around("\"${", "1", "}\"", N)),
        ("paths", around("./a${", "1", "}", N)),
        ("unary minus", around("-", "1", "", N)),
        ("unary minus, spaced", around("- ", "1", "", N)),
        ("unary not", around("!", "true", "", N)),
        ("sum", around("1 + ", "1", "", N)),
        ("dense sum", around("1+", "1", "", N)),
        ("concatenation", around("a ++ ", "a", "", N)),
        ("update", around("a // ", "a", "", N)),
        ("implication", around("a -> ", "a", "", N)),
        ("pipes", around("a <| ", "a", "", N)),
        ("more pipes", around("a |> ", "a", "", N)),
        ("application", around("f ", "x", "", N)),
        ("application of brackets", around("[]", "x", "", N)),
        ("has attribute", format!("a{}", " ? b".repeat(N))),
        ("selection with default", around("a.b or ", "c", "", N)),
        ("functions", around("a: ", "1", "", N)),
        ("functions of sets", around("{ a, ... }: ", "1", "", N)),
        ("defaults", around("{ a ? ", "1", " }: 1", N)),
        ("let", around("let a = 1; in ", "1", "", N)),
        ("let in let", around("let a = ", "1", "; in 1", N)),
        ("with", around("with a; ", "1", "", N)),
        ("assert", around("assert a; ", "1", "", N)),
        ("if", around("if a then 1 else ", "1", "", N)),
        ("dynamic names", around("{ ${", "\"a\"", "} = 1; }", N)),
        ("inherit from", around("{ inherit (", "a", ") b; }", N)),
    ];
    for (what, text) in cases {
        let outcome = survive(what, text.into_bytes());
        // A long run of signs is refused even earlier, by its length.
        let code = code(&outcome);
        assert!(matches!(code, "syntax/too-deep" | "syntax/too-long"), "{what}: {code}");
    }
}

#[test]
fn broken_nesting_is_a_problem_too() {
    const N: usize = 20_000;
    let cases = [
        ("open parentheses", "(".repeat(N)),
        ("open lists", "[".repeat(N)),
        ("open sets", "{ a = ".repeat(N)),
        ("braces", "{".repeat(N)),
        ("open strings", "\"${".repeat(N)),
        ("let let", "let ".repeat(N)),
        ("let in", "let in ".repeat(N)),
        ("with with", "with ".repeat(N)),
        ("if if", "if ".repeat(N)),
        ("rec rec", "rec ".repeat(N)),
        ("inherit", "inherit ".repeat(N)),
        ("colons", "a :".repeat(N)),
        ("at", "a@".repeat(N)),
        ("closers", ")".repeat(N)),
        ("empty pairs", "()".repeat(N)),
        ("empty pairs in a list", format!("[{}]", "( ) ".repeat(N))),
        ("swallowed braces", "x + { a b } ; = ".repeat(N)),
        ("swallowed braces in a set", format!("{{ y = {} }}", "x + { a b } ; = ".repeat(N))),
        ("dots", ".".repeat(N)),
        ("quotes", "\"".repeat(N + 1)),
        ("single quotes", "'".repeat(N + 1)),
        ("dollars", "$".repeat(N)),
        ("semicolons", ";".repeat(N)),
        ("slashes", "/".repeat(N)),
        ("open comments", "/*".repeat(N)),
    ];
    for (what, text) in cases {
        let outcome = survive(what, text.into_bytes());
        assert!(outcome.is_err(), "{what}");
    }
}

/// Just under the limit that lets a text pass unchecked, in every construct.
#[test]
fn short_deep_texts_are_read() {
    for (what, text) in [
        ("lists", around("[", "1", "]", 5000)),
        ("minus", around("- ", "1", "", 5000)),
        ("sum", around("1 + ", "1", "", 2500)),
        ("update", around("a // ", "a", "", 2500)),
        ("application", around("f ", "x", "", 5000)),
        ("defaults", around("a.b or ", "c", "", 1000)),
        ("parentheses", around("(", "1", ")", 490)),
        ("attributes", around("f { a = ", "1", "; }", 240)),
    ] {
        let outcome = survive(what, text.into_bytes());
        assert!(outcome.is_ok(), "{what}: {outcome:?}");
    }
}

#[test]
fn large_texts_take_bounded_time() {
    let long = |unit: &str| unit.repeat(LARGE / unit.len());
    for (what, text, expected) in [
        ("minus signs", long("-"), "syntax/too-long"),
        ("less", long("<"), "syntax/too-long"),
        ("one name", long("a"), "ok"),
        ("one string", format!("\"{}\"", long("a.-/")), "ok"),
        ("comments", format!("{}1", long("#\n")), "ok"),
        ("list", format!("[ {} ]", long("a ")), "ok"),
        ("broken", format!("{{ {} }}", long("a = ; ")), "syntax"),
        ("set", format!("{{ {} }}", long("a = { b = [ 1 ]; }; ")), "ok"),
        ("too large", "x".repeat(9 << 20), "source/too-large"),
    ] {
        let outcome = survive(what, text.into_bytes());
        assert_eq!(code(&outcome), expected, "{what}");
    }
}

/// Names that multiply each other would take exponential time if every one were followed.
#[test]
fn names_that_multiply_take_bounded_time() {
    let lists = (0..60).map(|i| format!("a{i} = [ a{0} a{0} a{0} ]; ", i + 1)).collect::<Vec<_>>().concat();
    let sets = (0..60).map(|i| format!("a{i} = a{0} // a{0} // a{0}; ", i + 1)).collect::<Vec<_>>().concat();
    let strings = (0..60).map(|i| format!("a{i} = \"${{a{0}}}${{a{0}}}\"; ", i + 1)).collect::<Vec<_>>().concat();
    for (what, bindings, call) in
        [("lists", lists, "{ x = a0; }"), ("sets", sets, "a0"), ("strings", strings, "{ x = a0; }")]
    {
        let text = format!("let {bindings} in s.mkDerivation {call}");
        assert_eq!(code(&survive(what, text.into_bytes())), "ok");
    }
    let big = "y = 1; ".repeat(3000);
    let uses = "(s.mkDerivation big) ".repeat(20_000);
    let text = format!("let big = {{ {big} }}; in [ {uses} ]");
    assert_eq!(code(&survive("one set, many uses", text.into_bytes())), "ok");
    let text = format!("(s.mkDerivation {{ {big} }}){}", ".overrideAttrs (o: { z = 1; })".repeat(400));
    let _ = survive("many overrides", text.into_bytes());
}

#[test]
fn odd_bytes_are_problems() {
    for (bytes, expected) in [
        (&b""[..], "source/empty"),
        (b" \n\t", "source/empty"),
        (b"# c", "source/empty"),
        (b"\xef\xbb\xbf{ }", "syntax/bom"),
        (b"{ a = \"\0\"; }", "syntax/nul"),
        (b"\xff\xfe{\0 \0}\0", "source/encoding"),
        (b"{ a = \"\xe9\"; }", "source/encoding"),
        (b"{ }\r\n", "ok"),
        (b"{\r}\r", "ok"),
    ] {
        let outcome = survive(&format!("{bytes:?}"), bytes.to_vec());
        assert_eq!(code(&outcome), expected, "{bytes:?}");
    }
}

fn fixtures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/source"))
}

fn good_texts() -> Vec<String> {
    let mut texts: Vec<String> = fs::read_dir(fixtures().join("ok"))
        .expect("fixtures")
        .map(|entry| entry.expect("entry").path().join("main.nix"))
        .map(|path| fs::read_to_string(path).expect("UTF-8"))
        .collect();
    texts.sort();
    texts
}

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "stdenv.mkDerivation",
        "overrideAttrs",
        ".overrideAttrs",
        "callPackage",
        "rec",
        "let",
        "in",
        "with",
        "if",
        "then",
        "else",
        "assert",
        "inherit",
        "or",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "${",
        "\"",
        "''",
        "''$",
        "'''",
        "''\\",
        "\\",
        "=",
        ";",
        ":",
        ",",
        ".",
        "...",
        "@",
        "?",
        "!",
        "-",
        "+",
        "++",
        "//",
        "/",
        "*",
        "<",
        ">",
        "==",
        "&&",
        "||",
        "->",
        "|>",
        "<|",
        "<a>",
        "./p",
        "~/p",
        "/p",
        "1",
        "1.5",
        "a:b",
        "# c\n",
        "/*",
        "*/",
        "\n",
        "\r\n",
        "\t",
        "finalAttrs:",
        "name = \"x\";",
        "{ stdenv }:",
        "lib.optionalAttrs c",
        "漢",
        "\u{a0}",
        "\u{feff}",
        "\0",
        "__curPos",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = survive("random bytes", bytes);
    }

    #[test]
    fn random_words(words in proptest::collection::vec((word(), any::<bool>()), 0..60)) {
        let mut text = String::new();
        for (word, space) in words {
            text.push_str(word);
            if space {
                text.push(' ');
            }
        }
        let _ = survive("random words", text.into_bytes());
    }

    #[test]
    fn mutated_packages(
        text in prop::sample::select(good_texts()),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..12, word()), 1..6),
    ) {
        let mut bytes = text.into_bytes();
        for (at, cut, word) in edits {
            let at = at.index(bytes.len() + 1);
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, word.bytes());
        }
        let _ = survive("a mutated package", bytes);
    }
}
