//! What the analysis says of small scripts, one construct each.

use super::{Analysis, CutAt, Use, analyse, cut_points};
use crate::diagnostic::{Sources, render};
use pretty_assertions::assert_eq;

fn names(uses: &[Use]) -> String {
    let mut names: Vec<&str> = uses.iter().map(|one| one.name.as_str()).collect();
    names.dedup();
    names.join(" ")
}

fn understood(script: &str) -> Analysis {
    let analysis = analyse(script);
    assert!(analysis.parsed, "{script}: {:?}", analysis.note);
    analysis
}

#[test]
fn what_is_read_set_and_unset() {
    // script, reads, may read, writes, unsets
    let cases = [
        ("echo $a ${b:-$c} \"${d%x}\" '$e' ${#f}", "a b c d e f", "", "", ""),
        ("mkdir -p foo/bar; echo 'foo bar' # foo $bar", "", "", "", ""),
        ("foo=1; foo+=2; bar[i]=3", "", "bar foo i", "bar foo", ""),
        ("P=v make x", "", "v", "P", ""),
        ("for x in a b; do :; done; select y in c; do :; done", "", "a b c", "x y", ""),
        (
            "read -r a b; read -p text; read -a c <<< word; mapfile -t d; read -d '' e",
            "",
            "word",
            "REPLY a b c d e",
            "",
        ),
        ("printf -v a %s b; getopts ab: o; wait -n -p p", "", "ab n o p", "a o", ""),
        ("unset a 'b[1]'; unset -f f; unset -v v", "", "b f v", "", "a b v"),
        ("[ -v a ] || test -v b; [[ -v c && -n d && e == f ]]", "", "a b c", "", ""),
        ("((a = b + 1, c++)); let d=e+1 'f = g'; echo $((h)) $[i]", "", "a b c d e f g h i", "a c d e f g", ""),
        ("[[ a -eq b ]]; echo ${x:y:z} ${v[w]}", "v x", "a b w y z", "", ""),
        ("local a; local b=c; declare d; export e f=g; readonly h", "", "c d e g h", "a b d f", ""),
        ("declare -a l=(x y); declare -i n=m; declare -A t=([k]=v)", "", "k m v x y", "l n t", ""),
        ("declare -p a; declare -f g; typeset -gx b=1", "", "a", "b", ""),
        ("echo ${a:=b} ${c:+d}", "a c", "b d", "a", ""),
        ("runHook preBuild; concatTo flags makeFlags", "", "flags makeFlags preBuild", "", ""),
        ("substituteInPlace f --subst-var v", "", "f subst v var", "", ""),
        ("cat <<E\n$a b\nE\ncat <<'E'\n$c\nE\n", "a c", "b", "", ""),
        ("cd; ls ~/x", "HOME", "", "", ""),
        ("case $a in b) echo c ;; d*) ;; esac", "a", "", "", ""),
        ("x=$(echo foo); echo bar | sh", "", "bar foo", "x", ""),
        ("eval 'echo $a; b=1'; trap 'echo $c' EXIT; bash -c 'd=$e'", "a c e", "", "b d", ""),
        ("exec {fd}>file; coproc N { :; }", "", "", "N fd", ""),
        ("f() { local x=$1; echo $x; }; f y", "x", "y", "x", ""),
        ("echo ${!outputDev} ${!array[@]} $(make)", "array outputDev", "make", "", ""),
        ("make -f $(foo) 'X=$(BAR) ${BAZ}'", "BAZ", "BAR foo", "", ""),
        ("env A=1 B=2 make; printenv C; env -u D \"E=$e\" ls", "e", "A B C D E", "", ""),
    ];
    for (script, reads, may_read, writes, unsets) in cases {
        let analysis = understood(script);
        assert_eq!(analysis.reads_all, None, "{script}");
        let found = [&analysis.reads, &analysis.may_read, &analysis.writes, &analysis.unsets].map(|list| names(list));
        for word in may_read.split_whitespace() {
            assert!(analysis.may_read(word), "{script}: {word} is not read");
        }
        assert_eq!(found[0], reads, "{script}: reads");
        assert_eq!(found[2], writes, "{script}: writes");
        assert_eq!(found[3], unsets, "{script}: unsets");
        assert!(
            analysis.may_read.iter().all(|one| may_read.split(' ').any(|name| name == one.name) || {
                // Names of commands and files that the construct under test is given.
                !analysis.reads.is_empty() || script.contains(&one.name)
            }),
            "{script}: {:?}",
            analysis.may_read
        );
    }
}

#[test]
fn what_is_only_text_is_not_read() {
    for script in [
        "mkdir doCheck; cp -r doCheck installFlags",
        "make doCheck buildFlags",
        "echo doCheck; printf 'installFlags\\n'",
        "# doCheck $doCheck",
        "doCheck=1",
        "doCheck() { :; }; doCheck",
        "[[ $x == doCheck ]]; [ \"$x\" = doCheck ]",
        "case $x in doCheck) ;; esac",
        "local doCheck; unset doCheck; read -r doCheck",
        "cat <<doCheck\ndoCheck\n",
        "ls > doCheck",
    ] {
        let analysis = understood(script);
        assert!(!analysis.may_read("doCheck"), "{script}: {:?} {:?}", analysis.may_read, analysis.reads_all);
    }
}

#[test]
fn text_is_read_where_something_may_look_it_up() {
    for script in [
        "x=doCheck; echo $((x))",
        "x=$(echo doCheck)",
        "echo doCheck | while read x; do echo ${x:1:n}; done",
        "echo doCheck; echo $((y))",
        "prependToVar doCheck foo",
        "echo() { :; }; echo doCheck",
        "exec > log; echo doCheck",
        "{ echo doCheck; } > script",
        "f() { echo doCheck; }",
        "python -c 'os.environ[\"doCheck\"]'",
        "cat > x.py <<E\nos.environ['doCheck']\nE\n",
        "postFixup='runHook doCheck'",
        "declare -p doCheck",
        "export doCheck",
        "doCheck+=1",
        "a[doCheck]=1",
        "[ -v doCheck ]",
        "echo ${x:doCheck}",
        "unset 'a[doCheck]'",
        "[ -v do\"Check\" ]",
        "export do\\Check",
        "echo $do\\\nCheck",
    ] {
        assert!(analyse(script).may_read("doCheck"), "{script}: {:?}", analyse(script));
    }
}

#[test]
fn ways_to_all_variables() {
    for (script, at, reason) in [
        ("echo ${!x}", "${!x", "it reads a variable by a computed name (`${!x`)"),
        ("echo '${!x}'", "${!x", "it reads a variable by a computed name (`${!x`)"),
        ("echo ${!x*}", "${!x", "it reads all variables of a prefix (`${!x`)"),
        ("echo ${!1}", "${!", "it reads a variable by a computed name (`${!`)"),
        (
            "f() { local output=$1; echo ${!output}; }",
            "output",
            "it reads a variable by a computed name (`${!output}`)",
        ),
        ("a; declare -n x=y", "declare -n x=y", "it makes a name stand for another (`declare -n`)"),
        ("local -rn x=y", "local -rn x=y", "it makes a name stand for another (`local -n`)"),
        ("eval \"$x\"", "eval \"$x\"", "it runs a computed text (`eval`)"),
        ("eval 'eval \"$x\"'", "'eval \"$x\"'", "it runs a computed text (`eval`) in the text of `eval`"),
        ("trap \"$x\" EXIT", "trap \"$x\" EXIT", "it runs a computed text (`trap`)"),
        ("bash -c \"$x\"", "bash -c \"$x\"", "it runs a computed text (`bash`)"),
        ("eval 'if'", "'if'", "it runs a text that the bash parser does not understand (`eval`)"),
        ("source ./x", "source ./x", "it runs the text of a file (`source ./x`)"),
        ("env | sort", "env", "it prints the environment (`env`)"),
        ("command env -i", "command env -i", "it prints the environment (`env`)"),
        ("in_dir x env", "in_dir x env", "it prints the environment (`env`)"),
        ("printenv", "printenv", "it prints the environment (`printenv`)"),
        ("set", "set", "it lists all variables (`set`)"),
        ("export", "export", "it lists variables (`export`)"),
        ("export -p", "export -p", "it lists variables (`export`)"),
        ("declare -px > f", "declare -px", "it lists variables (`declare`)"),
        ("builtin declare -p", "builtin declare -p", "it lists variables, or names them by computed names (`declare`)"),
        ("compgen -A variable", "compgen -A variable", "it lists names (`compgen`)"),
        ("envsubst < a", "envsubst", "it replaces all variables in a text (`envsubst`)"),
        ("substituteAll a b", "substituteAll a b", "it replaces all variables in a file (`substituteAll`)"),
        (
            "jq . < $NIX_ATTRS_JSON_FILE",
            "NIX_ATTRS_JSON_FILE",
            "it reads the file that holds all attributes (`NIX_ATTRS_JSON_FILE`)",
        ),
        ("cat .attrs.json", ".attrs.json", "it reads the file that holds all attributes (`.attrs.json`)"),
        ("export \"$k=$v\"", "\"$k=$v\"", "it sets a variable by a computed name (`export \"$k=$v\"`)"),
        ("read \"$x\"", "\"$x\"", "it sets a variable by a computed name (`\"$x\"`)"),
        ("unset $x", "$x", "it unsets a variable by a computed name (`$x`)"),
        ("[ -v \"$x\" ]", "\"$x\"", "it asks whether a variable is set by a computed name (`\"$x\"`)"),
        ("echo ${x@P}", "${x@P}", "it expands a computed text as a prompt (`${…@P}`)"),
        ("c=env; $c", "env", "a command's name is computed, and may be `env`"),
        (
            "shopt -s expand_aliases",
            "shopt -s expand_aliases",
            "it turns aliases on, which change what a text means (`expand_aliases`)",
        ),
        ("PS4=$x", "PS4=$x", "it sets PS4, which bash runs, to a computed text"),
    ] {
        let analysis = understood(script);
        let finding = analysis.reads_all.clone().unwrap_or_else(|| panic!("{script}: {analysis:?}"));
        assert_eq!((&script[finding.span.start..finding.span.end], finding.reason.as_str()), (at, reason), "{script}");
        assert!(analysis.may_read("anything") && analysis.may_write("anything"));
    }
    for script in [
        "$CC -o x x.c; $configureScript \"${flags[@]}\"",
        "for output in $outputs; do echo ${!output}; done",
        "source $stdenv/setup",
        "set -eu; set -o pipefail; compgen -G '*.c'",
        "trap - EXIT; trap; export -f f",
        "command -v env; env A=1 ls; git config set x y",
    ] {
        assert_eq!(understood(script).reads_all, None, "{script}");
    }
}

#[test]
fn a_script_that_is_not_understood_reads_all_and_says_where() {
    for script in ["if", "echo $(", "echo ${x", "cat <<E\nx\n", "echo 'x", "a)", "f() {", "x=(", "a\0b", "((x"] {
        let analysis = analyse(script);
        assert!(!analysis.parsed && analysis.may_read("x") && analysis.commands.is_empty(), "{script}");
        assert!(analysis.note.is_some(), "{script}");
    }
}

#[test]
fn functions_and_calls() {
    let analysis = understood("f() { g; }; function h { i | j; }; f; \"k\" x; \\l; $m; command n -o; return 1");
    assert_eq!(names(&analysis.functions), "f h");
    assert_eq!(names(&analysis.calls), "command f g i j k l n return");
}

fn commands(script: &str) -> Vec<String> {
    understood(script).commands.iter().map(|one| script[one.span.start..one.span.end].to_owned()).collect()
}

#[test]
fn commands_of_the_top_level() {
    assert_eq!(commands("a; b # c\n# d\n\nc &\nd && e |\n f\n"), ["a", "b", "c", "d && e |\n f"]);
    assert_eq!(commands("{ a; b; }; (c; d) >x; ! e; time f"), ["{ a; b; }", "(c; d) >x", "! e", "time f"]);
    assert_eq!(commands("cat <<A\n1\nA\nb"), ["cat <<A\n1\nA", "b"]);
    assert_eq!(commands("cat <<A; b\n1\nA\nc"), ["cat <<A; b\n1\nA", "c"]);
    assert_eq!(commands("{ cat <<-A\n\t1\n\tA\n} | x; c"), ["{ cat <<-A\n\t1\n\tA\n} | x", "c"]);
    assert_eq!(
        commands("f() { a; }\nfor x; do y; done <z\nif a; then b; fi 2>&1"),
        ["f() { a; }", "for x; do y; done <z", "if a; then b; fi 2>&1"]
    );
    assert_eq!(
        commands("case a in b) c;; esac; [[ a ]]; ((1)); x=(1 2); export y=$(z)"),
        ["case a in b) c;; esac", "[[ a ]]", "((1))", "x=(1 2)", "export y=$(z)"]
    );
    assert_eq!(commands("# nothing\n\n"), [""; 0]);
}

fn parts(script: &str, wanted: &[CutAt]) -> Result<Vec<String>, String> {
    match cut_points(script, &analyse(script), wanted, "buildPhase") {
        Ok(points) => {
            let mut starts = vec![0];
            starts.extend(&points);
            let ends = points.iter().copied().chain([script.len()]);
            Ok(starts.iter().zip(ends).map(|(start, end)| script[*start..end].to_owned()).collect())
        }
        Err(problems) => Err(render(&problems, Sources::new(&[("buildPhase", script)]), false)),
    }
}

#[test]
fn cuts_between_commands() {
    use CutAt::{Command, Markers};
    let script = "a\n b; c # x\n# y\nd";
    assert_eq!(parts(script, &[Command(1)]).expect("a cut"), ["a\n", " b; c # x\n# y\nd"]);
    assert_eq!(parts(script, &[Command(3), Command(2), Command(3)]).expect("cuts"), ["a\n b;", " c # x\n", "# y\nd"]);
    assert_eq!(parts(script, &[]).expect("none"), [script]);
    let marked = "a <<E\nx\nE\n\n# phasesplit: cut\n\nb\n  #phasesplit:cut\nc\n";
    assert_eq!(
        parts(marked, &[Markers]).expect("marks"),
        ["a <<E\nx\nE\n", "\n# phasesplit: cut\n\nb\n", "  #phasesplit:cut\nc\n"]
    );
    // A mark and a number that mean the same place.
    assert_eq!(parts(marked, &[Markers, Command(1)]).expect("marks").len(), 3);
    assert_eq!(parts("a\n# the text\n", &[Markers]).expect("no marks").len(), 1);
}

#[test]
fn cuts_that_are_refused() {
    use CutAt::{Command, Markers};
    for (script, at, place, says) in [
        ("a\nb\n", Command(3), "2:1", "there is no command 3 to cut behind"),
        ("a\nb\n", Command(0), "2:1", "the cut can stand behind 1"),
        ("a\nb\n", Command(2), "2:1", "nothing is left behind a cut after command 2"),
        ("a\n# phasesplit: cut\n", Markers, "2:1", "no command stands behind this cut"),
        ("# phasesplit: cut\na\n", Markers, "1:1", "no command stands before this cut"),
        ("a # phasesplit: cut\nb\n", Markers, "1:3", "a cut must have a line of its own"),
        ("a '#' # phasesplit: cut\nb\n", Markers, "1:7", "a cut must have a line of its own"),
        ("if a; then\n  # phasesplit: cut\n b; fi\nc", Markers, "2:3", "inside the command that begins in line 1"),
        (
            "a\nfor x in y; do\n# phasesplit: cut\nb; done\nc",
            Markers,
            "3:1",
            "inside the command that begins in line 2",
        ),
        ("cat <<E\n# phasesplit: cut\nE\nc", Markers, "2:1", "not inside a loop, a condition, a function, a group"),
        ("f() {\n# phasesplit: cut\na; }\nc", Markers, "2:1", "a cut inside a command"),
        ("(a\n# phasesplit: cut\n)\nc", Markers, "2:1", "a cut inside a command"),
        ("case a in\n# phasesplit: cut\nb) c;; esac\nc", Markers, "2:1", "a cut inside a command"),
        ("echo '\n# phasesplit: cut\n'\nc", Markers, "2:1", "a cut inside a command"),
        ("a\nif", Command(1), "2:1", "the script cannot be cut: the bash parser does not understand it"),
        ("a &\nb", Command(1), "1:1", "a cut behind a command that is left running"),
        ("local a\nb", Command(1), "1:1", "`local` makes a variable of stdenv's own function"),
        ("a\ndeclare b=1", Command(1), "2:1", "`declare` makes a variable of stdenv's own function"),
        ("a\nif b; then return; fi", Command(1), "2:12", "`return` ends the whole phase"),
        ("a\nset -- x", Command(1), "2:1", "`set` changes the arguments"),
        ("exec 3>x\nb", Command(1), "1:1", "changes open files"),
        ("a\nb $?", Command(1), "2:3", "the part behind the cut asks for `$?`"),
        ("a\nb ${PIPESTATUS[0]}", Command(1), "2:5", "the part behind the cut asks for `PIPESTATUS`"),
        ("x &\ny\nb\nwait $!", Command(2), "4:6", "the part behind the cut asks for `$!`"),
    ] {
        let shown = parts(script, &[at]).expect_err(script);
        assert!(shown.contains(&format!("buildPhase:{place}")), "{script}: {place}\n{shown}");
        assert!(shown.contains(says), "{script}: {says}\n{shown}");
    }
    for script in [
        "f() { local x; return; }\nb",
        "declare -gx a=1\nb",
        "(return)\nb; c $?",
        "a\nb & wait $!",
        "a # $?\nb",
        "set -e\nb",
        "a\n# $?\nb",
    ] {
        assert!(parts(script, &[Command(1)]).is_ok(), "{script}: {:?}", parts(script, &[Command(1)]));
    }
}
