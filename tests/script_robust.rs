//! Broken scripts: the analysis must end, soon, and what it says must lie inside the text. Whole scripts: bash itself
//! must accept every piece that the analysis takes for a command, and every part that a cut could make.

#[path = "support/scripts.rs"]
mod scripts;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use phasesplit::phase::script::{Analysis, CutAt, Place, analyse, cut_points};
use proptest::prelude::*;
use scripts::{Random, corpus, rounds};

/// What bash's parser says to a script: whether it accepts it, without a word.
fn bash_accepts(script: &str) -> bool {
    let mut bash = Command::new("bash")
        .args(["--norc", "--noprofile", "-n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash");
    let mut input = bash.stdin.take().expect("a pipe");
    // It may stop reading at a mistake.
    let _ = input.write_all(script.as_bytes());
    drop(input);
    let output = bash.wait_with_output().expect("bash ends");
    output.status.success() && output.stderr.is_empty()
}

/// Fails where the analysis says something that cannot be.
fn check(text: &str, analysis: &Analysis) {
    let inside = |place: Place| {
        assert!(place.start <= place.end && place.end <= text.len(), "{place:?} in {} bytes", text.len());
        assert!(text.is_char_boundary(place.start) && text.is_char_boundary(place.end), "{place:?}");
    };
    let lists =
        [&analysis.reads, &analysis.may_read, &analysis.writes, &analysis.unsets, &analysis.calls, &analysis.functions];
    for list in lists {
        for one in list {
            inside(one.span);
        }
        assert!(list.is_sorted());
    }
    // What is read is named, so the Nix side's search in the text finds it too: but for `~` and `cd`, and names that
    // quotes and backslashes cut in two.
    let plain = text.replace(['"', '\'', '\\', '\n'], "");
    for one in analysis.reads.iter().chain(&analysis.may_read) {
        let named = text.contains(&one.name) || plain.contains(&one.name) || one.name == "HOME";
        assert!(named, "{} is not in the text {text:?}", one.name);
    }
    if let Some(finding) = &analysis.reads_all {
        inside(finding.span);
        assert_ne!(finding.reason, "the bash parser failed on it", "a panic, for {text:?}");
    }
    assert!(analysis.parsed || analysis.reads_all.is_some() && analysis.note.is_some() && analysis.commands.is_empty());
    let mut reached = 0;
    for command in &analysis.commands {
        inside(command.span);
        assert!(command.span.start < command.span.end, "an empty command {command:?}");
        assert!(reached <= command.span.start, "commands overlap: {command:?} begins before {reached}");
        assert!(command.span.end <= command.end && text.is_char_boundary(command.end));
        reached = command.end;
    }
    // No cut may panic, whatever is asked.
    for at in [CutAt::Command(0), CutAt::Command(1), CutAt::Command(2), CutAt::Markers] {
        if let Ok(points) = cut_points(text, analysis, &[at, CutAt::Markers], "script") {
            assert!(points.is_sorted() && points.iter().all(|point| text.is_char_boundary(*point)));
        }
    }
}

fn mutate(text: &str, random: &mut Random) -> String {
    const PIECES: &[&str] = &[
        "'",
        "\"",
        "`",
        "$(",
        ")",
        "((",
        "))",
        "${",
        "}",
        "{",
        "$",
        "\\",
        "\n",
        ";",
        "&",
        "|",
        "<<EOF",
        "<<-'E'\n",
        "EOF\n",
        "if ",
        "fi",
        "do ",
        "done",
        "case ",
        "esac",
        ";;",
        "[[ ",
        " ]]",
        "=(",
        "#",
        "# phasesplit: cut\n",
        "é",
        "\t",
        "$((",
        "${!",
        "eval '",
        "trap \"",
        "function f ",
        "f() ",
        "<(",
        "!",
        "~",
        "[",
        "]",
        "=",
        "\r",
        "declare -n ",
        "\u{a0}",
        "漢",
    ];
    let mut bytes: Vec<char> = text.chars().collect();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let (from, length) = (random.below(bytes.len()), 1 + random.below(40));
        let to = (from + length).min(bytes.len());
        match random.below(6) {
            0 => drop(bytes.drain(from..to)),
            1 => bytes.truncate(to),
            2 => {
                let copy: Vec<char> = bytes[from..to].to_vec();
                let at = random.below(bytes.len());
                bytes.splice(at..at, copy);
            }
            3 => drop(bytes.drain(..from)),
            _ => {
                let piece = random.pick(PIECES).chars();
                let end = if random.below(2) == 0 { from } else { (from + 1).min(bytes.len()) };
                bytes.splice(from..end, piece);
            }
        }
    }
    bytes.into_iter().collect()
}

#[test]
fn mutants_of_real_scripts_are_survived() {
    let corpus = corpus();
    let mut slowest = Duration::ZERO;
    let count = rounds(1_000);
    for round in 0..count {
        let mut random = Random::new(round as u64 + 1);
        let text = mutate(&corpus[random.below(corpus.len())], &mut random);
        let begin = Instant::now();
        let analysis = analyse(&text);
        slowest = slowest.max(begin.elapsed());
        check(&text, &analysis);
    }
    eprintln!("{count} mutants, the slowest took {slowest:?}");
}

#[test]
fn the_scripts_of_this_repository_are_understood_and_bash_agrees_on_their_pieces() {
    let mut pieces = 0;
    for text in corpus() {
        let analysis = analyse(&text);
        check(&text, &analysis);
        if !bash_accepts(&text) {
            continue; // A text of Nix with its own escapes.
        }
        assert!(analysis.parsed, "{:?} in\n{text}", analysis.note);
        for command in &analysis.commands {
            let piece = &text[command.span.start..command.span.end];
            assert!(bash_accepts(piece), "no script by itself:\n{piece}\n--- of\n{text}");
        }
        if let Some(command) = analysis.commands.get(analysis.commands.len() / 2) {
            assert!(bash_accepts(&text[..command.end]), "no script by itself:\n{}", &text[..command.end]);
            assert!(bash_accepts(&text[command.end..]), "no script by itself:\n{}", &text[command.end..]);
        }
        pieces += analysis.commands.len();
    }
    assert!(pieces > 300, "only {pieces} pieces");
}

#[test]
fn bash_agrees_on_the_pieces_of_mutants() {
    let corpus = corpus();
    let count = rounds(120);
    let (mut whole, mut seen) = (0, 0);
    for round in 0..count {
        let mut random = Random::new(round as u64 + 7_000_000);
        // A short stretch: a mutant of a long script is rarely a script.
        let text = &corpus[random.below(corpus.len())];
        let lines: Vec<&str> = text.lines().collect();
        let from = random.below(lines.len());
        let text = lines[from..(from + 1 + random.below(8)).min(lines.len())].join("\n");
        let text = mutate(&text, &mut random);
        let analysis = analyse(&text);
        check(&text, &analysis);
        if !analysis.parsed || analysis.commands.is_empty() || text.contains('\r') {
            continue;
        }
        seen += 1;
        if !bash_accepts(&text) {
            continue;
        }
        whole += 1;
        let command = &analysis.commands[random.below(analysis.commands.len())];
        let piece = &text[command.span.start..command.span.end];
        assert!(bash_accepts(piece), "round {round}: no script by itself:\n{piece}\n--- of\n{text}");
        assert!(
            bash_accepts(&text[..command.end]),
            "round {round}: no part:\n{}\n--- of\n{text}",
            &text[..command.end]
        );
        assert!(
            bash_accepts(&text[command.end..]),
            "round {round}: no rest:\n{}\n--- of\n{text}",
            &text[command.end..]
        );
    }
    eprintln!("{count} mutants: the analysis understood {seen}, bash accepts {whole} of them");
    assert!(whole * 10 > count, "only {whole} of {count} were whole scripts");
}

#[test]
fn depth_and_size_have_bounds() {
    let deep =
        [("$(", ")"), ("(", ")"), ("{ ", ";}"), ("${a:-", "}"), ("$((", "))"), ("if ", ";then :;fi"), ("\"$(", ")\"")];
    for (open, close) in deep {
        for depth in [20, 500] {
            let text = format!("{}x{}", open.repeat(depth), close.repeat(depth));
            let analysis = analyse(&text);
            check(&text, &analysis);
            assert!(depth == 20 || !analysis.parsed || analysis.reads_all.is_some(), "{open} {depth}");
            let analysis = analyse(&open.repeat(depth));
            assert!(analysis.reads_all.is_some(), "{open} {depth}");
        }
    }
    let evals = (0..12).fold("echo $x".to_owned(), |text, _| format!("eval {}", quoted(&text)));
    assert!(analyse(&evals).reads_all.is_some());
    // Each of these takes the parser long, or would take it hours, without a bound.
    let units = ["x;", "a && ", "$a", "<<E ", "# c\n", "${a[", "${a:", "${a[}", "{a,", "((a ? ", "x # c\n", "\"$a"];
    for unit in units {
        let text = unit.repeat(12_000 / unit.len());
        check(&text, &analyse(&text));
    }
    assert!(analyse(&"x\n".repeat(140_000)).reads_all.is_some());
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn any_text_is_survived(text in "(\\PC|[\\t\\r\\n\\x00]|\\$|\\{|\\}|\\(|\\)|<<|['\"`\\\\;&|#=!\\[\\]]|EOF|if|fi|漢){0,80}") {
        check(&text, &analyse(&text));
    }
}
