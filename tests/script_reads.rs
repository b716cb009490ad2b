//! The analysis against bash itself: a script is run with a variable set and with it unset. Where that makes a
//! difference, the analysis must have said that the script may read it.

#[path = "support/scripts.rs"]
mod scripts;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use phasesplit::phase::script::analyse;
use scripts::{Random, rounds};

const VARIABLES: &[&str] = &["alpha", "beta", "gamma", "delta"];

/// Ways to write a statement. `V` is one of the variables, `L` a helper variable of the script, `W` a word, `S` another
/// statement, `E` an arithmetic expression.
const STATEMENTS: &[&str] = &[
    "echo W $V",
    "echo \"${V:-W}\" '$V'",
    "echo ${V+set} ${#V}",
    "L=$V",
    "L=W; echo $L",
    "V=W",
    "V+=W; echo \"$V\"",
    "L=V",
    "L=$(S)",
    "L=`S`",
    "echo $((E))",
    "((E)) && S",
    "let 'L = E'; echo $L",
    "let L=V+1; echo $L",
    "declare -i L=V; echo $L",
    "declare L=V; echo $L $((L))",
    "[ -v V ] && S",
    "test -n \"$V\" || S",
    "[[ -v V ]] || S",
    "[[ V -gt 2 ]] && S",
    "[[ $L -eq 3 ]] && S",
    "[[ $V == W ]] || S",
    "if S; then S; else S; fi",
    "for L in V W; do S; done",
    "for L in V W; do echo ${!L}; done",
    "for ((L = V, m = 0; m < 4; L++, m++)); do echo $L; done",
    "case $V in W) S ;; *) S ;; esac",
    "case V in $V) S ;; esac",
    "f() { S; }; f V",
    "f() { local L=$1; echo ${!L}; }; f V",
    "f() { local -n r=$1; echo $r; }; f V",
    "f() { echo $(($1)); }; f V",
    "f() { echo ${1:+$V}; }; f W",
    "f() { local V; echo \"$V\"; }; f",
    "( S )",
    "{ S; S; }",
    "S | while read -r L; do echo $((L)); done",
    "S | cat",
    "S && S",
    "! S",
    "eval 'S'",
    "eval \"echo \\$V\"",
    "eval \"echo \\$$L\"",
    "L='echo $V'; eval \"$L\"",
    "unset V; echo ${V-none}",
    "unset L",
    "export V; S",
    "declare -p V",
    "declare -p",
    "declare -x",
    "export -p",
    "set | tail -n 50",
    "env | sort",
    "command env | sort",
    "printenv V",
    "printenv",
    "compgen -v | tail -n 40",
    "L=env; $L | sort",
    "L=(V $V W); echo ${L[1]} ${#L[@]}",
    "L=(1 2 3 4 5 6); echo ${L[V]} ${L[E]}",
    "declare -A m=([V]=$V); echo ${m[V]}",
    "L=abcdefgh; echo ${L:V} ${L:0:E}",
    "L=abc; echo ${L/b/$V} ${L%$V} ${L^^}",
    "L=abc; echo ${L@Q} ${V@Q}",
    "L='$V'; echo ${L@P}",
    "read -r L <<< \"$V\"; echo $L",
    "read -r L <<< V; echo $((L))",
    "cat <<E_\nW $V ${V:-W} $((E)) $(S)\nE_\n",
    "cat <<'E_'\n$V\nE_\n",
    "L=$(cat <<E_\nV\nE_\n); echo $((L))",
    "printf -v L '%s' \"$V\"; echo $L",
    "printf '%s\\n' V \"$V\"",
    "printf 'V\\n' | { read -r L; echo ${!L}; }",
    "trap 'echo $V' EXIT",
    "trap \"S\" EXIT",
    "sh -c 'echo $V'",
    "bash -c 'echo ${V-}; S'",
    "echo ${!V*} ${!al@}",
    "echo ${!L}",
    "echo {W,$V}",
    "echo ~ \"$V\"*",
    ": ${V:=W}; echo $V",
    ": ${L:=$V}; echo $L",
    "V=W sh -c 'echo $V'",
    "while [[ -n $V ]]; do echo W; break; done",
    "until true; do S; done",
    "S > /dev/null",
    "echo W$V > /dev/null",
    "awk 'BEGIN { print ENVIRON[\"V\"] }'",
    "mapfile -t L < <(S); echo \"${L[@]}\"",
    "g() { S; }; L=g; $L",
    "set -- V $V; echo $2 $(( $1 ))",
    "set -- V; echo ${!1}",
    "echo $# ${*:1:V}",
    "echo \"\\$V\" \\$V '${V}'",
    "true # $V",
    "echo W; exit $((V > 2))",
];

const EXPRESSIONS: &[&str] =
    &["1", "V", "V + 1", "$V", "${V:-2}", "L", "L * 2", "V > 2 ? V : 0", "(V)", "-V", "V == 3"];
const WORDS: &[&str] = &["word", "3", "alpha", "beta", "x=gamma", "'a b'", "\"delta\"", "-n"];
const HELPERS: &[&str] = &["one", "two"];

fn statement(random: &mut Random, depth: usize) -> String {
    let mut out = String::new();
    let template = if depth > 3 { "echo W $V" } else { random.pick(STATEMENTS) };
    let mut letters = template.chars().peekable();
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        let alone = !before.is_ascii_alphanumeric()
            && before != '_'
            && !letters.peek().is_some_and(|next| next.is_ascii_alphanumeric() || *next == '_');
        match letter {
            'V' if alone => out.push_str(random.pick(VARIABLES)),
            'L' if alone => out.push_str(random.pick(HELPERS)),
            'W' if alone || template.contains("W$V") => out.push_str(random.pick(WORDS)),
            'E' if alone => {
                let expression = random.pick(EXPRESSIONS);
                out.push_str(&expression.replace('V', random.pick(VARIABLES)).replace('L', random.pick(HELPERS)));
            }
            'S' if alone => {
                // Quotes inside quotes would end them.
                let quoted =
                    out.matches('\'').count() % 2 == 1 || out.matches('"').count() % 2 == 1 || out.contains('`');
                let inner =
                    if quoted { format!("echo $(({}))", random.pick(VARIABLES)) } else { statement(random, depth + 1) };
                // A here-document must end on a line of its own.
                let inner = if inner.contains("<<E_") { "echo \"$alpha\"".to_owned() } else { inner };
                out.push_str(&inner);
            }
            _ => out.push(letter),
        }
        before = letter;
    }
    out
}

/// Runs a script once with all variables, then once without each of them. What it says and how it ends, each time.
fn run(script: &str) -> Vec<Vec<u8>> {
    // Nothing of the harness may show in the script's shell but the variables, and the same each time.
    let harness = r#"
        script=$1; names=$2
        ulimit -t 5
        for without in none $names; do
          printf '\0%s\0' "$without"
          env -i PATH="$PATH" HOME=/h alpha=1 beta=2 gamma=3 delta=4 sh -c 'unset "$1"; exec bash --norc --noprofile -c "$2" script' - "$without" "$script" 2>/dev/null </dev/null
          printf '\0%s' "$?"
        done
    "#;
    let output = Command::new("timeout")
        .args(["20", "bash", "--norc", "--noprofile", "-c", harness, "harness", script, &VARIABLES.join(" ")])
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let mut fields: Vec<Vec<u8>> = output.stdout.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    fields.remove(0);
    assert_eq!(fields.len(), 3 * (VARIABLES.len() + 1), "{script}");
    fields.chunks(3).map(|run| [run[1].as_slice(), b" ended with ", run[2].as_slice()].concat()).collect()
}

#[test]
fn whatever_makes_a_difference_is_read() {
    let count = rounds(60);
    let (mut made_a_difference, mut by_name, mut said_no) = (0, 0, 0);
    let mut used = BTreeSet::new();
    for round in 0..count {
        let mut random = Random::new(round as u64 + 1);
        let lines = 1 + random.below(3);
        let script: Vec<String> = (0..lines).map(|_| statement(&mut random, 0)).collect();
        let script = script.join("\n");
        let analysis = analyse(&script);
        let outputs = run(&script);
        for (variable, output) in VARIABLES.iter().zip(&outputs[1..]) {
            let differs = *output != outputs[0];
            if differs {
                made_a_difference += 1;
                by_name += usize::from(analysis.reads_all.is_none());
                used.insert(variable);
                assert!(
                    analysis.may_read(variable),
                    "round {round}: {variable} makes a difference:\n{script}\n--- with all:\n{}\n--- without it:\n{}\n{analysis:?}",
                    String::from_utf8_lossy(&outputs[0]),
                    String::from_utf8_lossy(output),
                );
            }
            said_no += usize::from(!analysis.may_read(variable));
        }
    }
    let mut log = std::io::stderr();
    let _ = writeln!(
        log,
        "{count} scripts: {made_a_difference} differences ({by_name} seen by name); said of {said_no} variables that they are not read"
    );
    assert_eq!(used.len(), VARIABLES.len());
    assert!(by_name * 2 > count / 2 && said_no > count / 2, "the scripts test nothing: {by_name} {said_no} of {count}");
}
