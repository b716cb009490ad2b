//! nix-lib/text.nix against the parser: whatever `phase::script` says of a script, the rules of the Nix side say too. They
//! decide without a parser who gets a held-back attribute; a rule that they lack is a build that is refused.

#[path = "support/mod.rs"]
mod support;

#[path = "support/scripts.rs"]
mod scripts;

use std::collections::BTreeSet;
use std::fs;

use phasesplit::phase::script::{Analysis, LONGEST, analyse};
use scripts::{Random, corpus, rounds};
use serde_json::json;
use support::{command, root, succeed};

/// What reads any variable, or none but those it names, as a single command.
const COMMANDS: &[&str] = &[
    "env",
    "env -0",
    "env FOO=1",
    "env FOO=1 | sort",
    "env FOO=1 make",
    "env -u FOO BAR=2 make all",
    "env FOO=\"$x $y\" BAR='a b'",
    "env \"FOO=$x\" make",
    "env FOO=$(pwd) make",
    "env FOO=$(pwd)",
    "env $flags make",
    "env -S \"$x\"",
    "printenv",
    "printenv -0",
    "set",
    "set -e",
    "set +x -o pipefail",
    "set -- a b",
    "set \"$@\"",
    "export",
    "export -p",
    "export FOO",
    "export FOO=\"$x $y\"",
    "export \"FOO=$x $y\"",
    "export LDFLAGS=\"$LDFLAGS -L$x/lib\"",
    "export \"$x\"",
    "export $x=1",
    "declare -p",
    "declare -x",
    "declare -p FOO",
    "declare -A x",
    "declare -n x=FOO",
    "declare \"$x=1\"",
    "declare -g ${x}Flags=1",
    "typeset",
    "typeset -r x=1",
    "readonly",
    "readonly x",
    "local -n x=$1",
    "source ./x",
    "source \"$x\"",
    ". ./x",
    ". x >log",
    "source $stdenv/setup",
    "eval foo",
    "eval \"$x\"",
    "compgen -v",
    "envsubst <x >y",
    "substituteAll a b",
    "substituteAllInPlace a",
    "substituteAllStream a b",
    "substituteInPlace a --replace-fail x y",
    "substituteInPlace a --subst-var out",
    "substituteInPlace a --subst-var \"$x\"",
    "substituteInPlace a --subst-var-by x \"$y\"",
    "echo ${x@P}",
    "echo ${x@Q}",
    "echo ${!x}",
    "echo ${!x@}",
    "echo ${!outputDev}",
    "echo ${!outputDev:-x}",
    "outputDev=foo; echo ${!outputDev}",
    "read -r outputDev; echo ${!outputDev}",
    "for output in $outputs; do echo ${!output}; done",
    "echo ${!x[@]}",
    "echo ${!x[0]}",
    "echo ${!1}",
    "[ -v x ]",
    "[ -v \"$x\" ]",
    "[[ -v ${x}Flags ]]",
    "[[ ! -v $x && -n $y ]]",
    "test -v \"$x\"",
    "command -v \"$x\"",
    "grep -v \"$x\" a",
    "read -r x <<< \"$y\"",
    "read -r \"$x\"",
    "mapfile -t x < <(ls)",
    "mapfile -t \"$x\" <y",
    "mapfile -C foo x <y",
    "readarray -t \"$x\" <y",
    "getopts ab \"$x\"",
    "printf -v x %s \"$y\"",
    "printf -v \"$x\" %s y",
    "printf -v \"a[$x]\" %s y",
    "unset x",
    "unset \"$x\"",
    "unset -f \"$x\"",
    "let x=1",
    "let \"$x\"",
    "trap 'rm $x' EXIT",
    "trap \"rm $x\" EXIT",
    "trap env EXIT",
    "trap - EXIT",
    "sh -c 'echo $x'",
    "sh -c \"echo $x\"",
    "sh -c 'env | sort'",
    "bash -c set",
    "bash -ec '. ./x'",
    "x=env; $x",
    "x=(a env); \"${x[@]}\"",
    "$CC -o a a.c",
    "\"$CC\" -o a a.c; export FOO=1; set -e",
    "$x/bin/run --version",
    "find . -exec env \\;",
    "xargs env",
    "runIn x set",
    "echo env",
    "echo \"the whole set\"",
    "echo \"export FOO=$x\"",
    "mkdir source",
    "cp a env",
    "make env",
    "cd source",
    "make # build the whole set",
    "shopt -s expand_aliases",
    "shopt -s nullglob",
    "PS4='+ '",
    "PS4=\"$x\"",
    "PROMPT_COMMAND=$x",
    "\"env\"",
    "\\env",
    "env \\\n  -0",
    "env 2>x",
    ">x env",
    "/usr/bin/env",
    "cat $NIX_ATTRS_JSON_FILE",
    "jq . .attrs.json",
    "cat <<EOF\n$(env)\nEOF",
    "cat <<EOF >x\nexport FOO\nEOF",
    "configure --prefix=$out",
    "patchShebangs .",
    "sed -i 's/set/reset/' a",
    "substituteInPlace a --replace-fail /usr/bin/env x --replace-fail \"set -e\" \"source x\"",
    "install -Dm755 a $out/bin/a",
];

/// What a command can stand in.
const AROUND: &[&str] = &[
    "C",
    "x=1; C",
    "C && true",
    "true || C",
    "if C; then echo yes; fi",
    "if true; then\n  C\nfi",
    "while C; do break; done",
    "for i in a b; do C\ndone",
    "case $x in a) C ;; esac",
    "f() {\n  C\n}\nf",
    "( C )",
    "{ C; }",
    "x=$(C)",
    "x=\"$(C)\"",
    "x=`C`",
    "! C",
    "time C",
    "FOO=1 C",
    "FOO=\"a b\" C",
    "command C",
    "nice -n 5 C",
    "C | sort",
    "C > log 2>&1",
    "runHook preBuild\nC\nrunHook postBuild",
    "C # and a word",
    "# a word\nC",
    "diff <(C) x",
];

/// What the parser says, and what text.nix says.
struct Case {
    script: String,
    analysis: Analysis,
    names: Vec<String>,
    reads_all: bool,
    unmentioned: Vec<String>,
}

/// Asks text.nix about all scripts at once.
fn ask(scripts: BTreeSet<String>) -> Vec<Case> {
    let mut cases: Vec<Case> = scripts
        .into_iter()
        // Nix's strings, like bash's, hold no NUL.
        .filter(|script| !script.contains('\0'))
        .map(|script| {
            let analysis = analyse(&script);
            let names: BTreeSet<String> =
                analysis.reads.iter().chain(&analysis.may_read).map(|one| one.name.clone()).collect();
            Case { script, analysis, names: names.into_iter().collect(), reads_all: false, unmentioned: Vec::new() }
        })
        .collect();
    let directory = tempfile::tempdir().expect("a directory");
    let questions: Vec<_> = cases.iter().map(|case| json!({ "text": case.script, "names": case.names })).collect();
    fs::write(directory.path().join("questions.json"), json!(questions).to_string()).expect("the questions");
    let expression = format!(
        "let text = import {}/nix-lib/text.nix; in map (one: let joined = text.joined one.text; in {{ \
         all = text.readsAll one.text; unmentioned = builtins.filter (name: !(text.mentions joined name)) one.names; }}) \
         (builtins.fromJSON (builtins.readFile ./questions.json))",
        root().display()
    );
    fs::write(directory.path().join("ask.nix"), expression).expect("the expression");
    let output =
        succeed(command("nix-instantiate", directory.path()).args(["--eval", "--strict", "--json", "ask.nix"]));
    let answers: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("a list of answers");
    assert_eq!(answers.len(), cases.len());
    for (case, answer) in cases.iter_mut().zip(answers) {
        case.reads_all = answer["all"].as_bool().expect("a truth value");
        case.unmentioned = serde_json::from_value(answer["unmentioned"].clone()).expect("names");
    }
    cases
}

/// Why text.nix may say less than the parser.
fn excuse(case: &Case) -> Option<&'static str> {
    let reason = case.analysis.reads_all.as_ref().map_or("", |finding| finding.reason.as_str());
    if !case.analysis.parsed {
        return Some(
            "bash does not run what cannot be parsed; what only our parser cannot, the check at build time sees",
        );
    }
    if case.script.len() > LONGEST {
        return Some("longer than the parser reads");
    }
    if reason.starts_with("it runs the text of a file (`source `)") {
        return Some("`source` without a file is the name of a directory (`unzip -d source`), or an error of bash");
    }
    if let Some(word) =
        reason.strip_prefix("a command's name is computed, and may be `").and_then(|it| it.strip_suffix('`'))
        && begins_commands(word, &case.script)
    {
        return Some(
            "the word begins a command of several, in a text that a computed name runs as words, not as commands",
        );
    }
    None
}

/// Whether a word stands nowhere but where a command begins.
fn begins_commands(word: &str, script: &str) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    script.match_indices(word).all(|(at, _)| {
        let (before, after) = (&script[..at], &script[at + word.len()..]);
        before.as_bytes().last().is_some_and(is_part)
            || after.as_bytes().first().is_some_and(is_part)
            || before.trim_end_matches([' ', '\t']).is_empty()
            || before.trim_end_matches([' ', '\t']).ends_with(['\n', ';', '&', '|', '(', '`'])
    })
}

#[test]
fn what_the_parser_finds_the_rules_find() {
    let mut scripts: BTreeSet<String> = corpus().into_iter().collect();
    for around in AROUND {
        scripts.extend(COMMANDS.iter().map(|command| around.replace('C', command)));
    }
    // Several in one script.
    for round in 0..rounds(400) {
        let mut random = Random::new(round as u64 + 1);
        let lines = 2 + random.below(4);
        let one = |random: &mut Random| random.pick(AROUND).replace('C', random.pick(COMMANDS));
        scripts.insert((0..lines).map(|_| one(&mut random)).collect::<Vec<_>>().join("\n"));
    }
    let cases = ask(scripts);
    let missed: Vec<_> = cases
        .iter()
        .filter(|case| case.analysis.reads_all.is_some() && !case.reads_all && excuse(case).is_none())
        .map(|case| format!("{:?}\n  {}", case.script, case.analysis.reads_all.as_ref().map_or("", |one| &one.reason)))
        .collect();
    assert!(missed.is_empty(), "text.nix does not see that {} of these read all:\n{}", missed.len(), missed.join("\n"));
    let unmentioned: Vec<_> = cases
        .iter()
        // `~` and `cd` read HOME, which is no attribute.
        .filter(|case| case.unmentioned.iter().any(|name| name != "HOME"))
        .map(|case| format!("{:?}: {:?}", case.script, case.unmentioned))
        .collect();
    assert!(unmentioned.is_empty(), "text.nix does not see the names in:\n{}", unmentioned.join("\n"));
    // A rule that finds everything would pass as well.
    let (all, wide) = (cases.iter().filter(|case| case.analysis.reads_all.is_none()), |case: &&Case| case.reads_all);
    let (count, wider) = (all.clone().count(), all.filter(wide).count());
    let found = cases.iter().filter(|case| case.analysis.reads_all.is_some()).count();
    eprintln!("{} scripts; {found} read all, and of the {count} others {wider} do for text.nix", cases.len());
    assert!(found > 500 && count > 500, "the scripts test nothing: {found} read all, {count} do not");
    assert!(
        wider * 10 < count * 3,
        "text.nix says of {wider} of {count} scripts that they read all, the parser of none"
    );
}
