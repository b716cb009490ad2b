//! Reading the script, command by command. The other side is `nix-lib/runtime/45-shell-script.sh`.

use super::words::Words;
use super::{Function, Limit, Shell, Value, Variable};

/// A command that the runtime does not write.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the shell state is nothing that phasesplit writes")]
pub struct NotUnderstood {
    /// The number of its line, from 1; behind the last where the end is missing.
    pub line: usize,
}

/// Variables of the runtime's own begin with this.
const OWN: &[u8] = b"_phasesplit_";

const DIRECTORY: &[u8] = b"PWD";
const OLD_DIRECTORY: &[u8] = b"OLDPWD";

/// The last command.
const END: &[u8] = b"_phasesplit_whole=1\n";

/// Reads a shell state.
///
/// # Errors
/// A command that the runtime does not write, or the end missing.
pub fn read(text: &[u8]) -> Result<Shell, NotUnderstood> {
    let mut words = Words { text, at: 0 };
    let mut shell = Shell::default();
    loop {
        let start = words.at;
        if words.rest() == END {
            return Ok(shell);
        }
        if command(&mut words, &mut shell).is_none() {
            let line = memchr::memchr_iter(b'\n', &text[..start]).count() + 1;
            return Err(NotUnderstood { line });
        }
    }
}

/// One command with the newline that ends it.
fn command(words: &mut Words<'_>, shell: &mut Shell) -> Option<()> {
    if words.take(b"builtin ") {
        return builtin(words, shell);
    }
    for (command, is_set) in [(&b"alias "[..], true), (b"unalias ", false)] {
        if words.take(command) {
            return alias(words, shell, is_set);
        }
    }
    if words.take(b"phasesplit_stand ") {
        shell.directory = words.word()?;
        words.take(b" ").then_some(())?;
        words.word()?;
        words.take(b" gone");
        return end(words);
    }
    if words.take(b"phasesplit_limit ") {
        return limit(words, shell);
    }
    if words.take(b"phasesplit_end_definitions") {
        return end(words);
    }
    if words.take(b"_phasesplit_frame+=") {
        // Commands that are run later, quoted once more.
        let text = words.word()?;
        let mut framed = Words { text: &text, at: 0 };
        command(&mut framed, shell)?;
        framed.rest().is_empty().then_some(())?;
        return end(words);
    }
    assignment(words, shell).or_else(|| function(words, shell))
}

/// Behind `builtin `.
fn builtin(words: &mut Words<'_>, shell: &mut Shell) -> Option<()> {
    if words.take(b"declare -f") {
        let flags = words.take_while(|byte| byte.is_ascii_alphabetic());
        words.take(b" -- ").then_some(())?;
        shell.functions.get_mut(&words.word()?)?.flags = String::from_utf8_lossy(flags).into_owned();
        return end(words);
    }
    if words.take(b"declare -g") {
        return declaration(words, shell);
    }
    if words.take(b"unset -v ") || words.take(b"unset -n ") {
        let name = words.name()?.to_vec();
        if name == OLD_DIRECTORY || name == DIRECTORY {
            return end(words);
        }
        shell.variables.insert(name, Variable::default());
        return end(words);
    }
    if words.take(b"unset -f -- ") {
        shell.functions.insert(words.word()?, Function::default());
        return end(words);
    }
    for (command, prefix) in [(&b"set "[..], ""), (b"shopt ", "shopt ")] {
        if words.take(command) {
            return option(words, shell, prefix);
        }
    }
    if words.take(b"trap -") {
        return trap(words, shell);
    }
    if words.take(b"enable ") {
        let is_on = !words.take(b"-n ");
        let name = words.take_while(|byte| byte.is_ascii_graphic());
        shell.builtins.insert(String::from_utf8_lossy(name).into_owned(), is_on);
        return end(words);
    }
    if words.take(b"hash -p ") {
        let path = words.word()?;
        words.take(b" -- ").then_some(())?;
        shell.hashed.insert(words.word()?, path);
        return end(words);
    }
    if words.take(b"pushd -n ") {
        shell.pushed.insert(0, words.word()?);
        words.take(b" >/dev/null").then_some(())?;
        return end(words);
    }
    if words.take(b"umask ") {
        let mask = words.take_while(|byte| matches!(byte, b'0'..=b'7'));
        shell.umask = String::from_utf8_lossy(mask).into_owned();
        return end(words);
    }
    None
}

/// `-- name='value'` or, removed, `-- name`; `alias -p` puts `--` only before a name that begins with a dash.
fn alias(words: &mut Words<'_>, shell: &mut Shell, is_set: bool) -> Option<()> {
    words.take(b"-- ");
    if !is_set {
        words.word()?;
        return end(words);
    }
    let name = words.take_while(|byte| !matches!(byte, b'=' | b'\n')).to_vec();
    words.take(b"=").then_some(())?;
    shell.aliases.insert(name, words.word()?);
    end(words)
}

/// The letter of a limit, the soft one and maybe the hard one.
fn limit(words: &mut Words<'_>, shell: &mut Shell) -> Option<()> {
    let word = |words: &mut Words<'_>| {
        let word = words.take_while(|byte| byte.is_ascii_alphanumeric());
        (!word.is_empty()).then(|| String::from_utf8_lossy(word).into_owned())
    };
    let letter = word(words)?;
    words.take(b" ").then_some(())?;
    let soft = word(words)?;
    let hard = if words.take(b" ") { Some(word(words)?) } else { None };
    shell.limits.insert(letter, Limit { soft, hard });
    end(words)
}

fn end(words: &mut Words<'_>) -> Option<()> {
    words.take(b"\n").then_some(())
}

/// Behind `declare -g`: `x NAME="value"`, or `x NAME` with the value before or none.
fn declaration(words: &mut Words<'_>, shell: &mut Shell) -> Option<()> {
    let flags = words.take_while(|byte| byte.is_ascii_alphabetic());
    words.take(b" ").then_some(())?;
    let name = words.name()?.to_vec();
    let value = if words.take(b"=") { Some(Value::Text(words.word()?)) } else { None };
    if name == OLD_DIRECTORY || name == DIRECTORY {
        return end(words);
    }
    let flags = String::from_utf8_lossy(flags).into_owned();
    let variable = shell.variables.entry(name).or_default();
    variable.flags = flags;
    match (value, &variable.value) {
        (Some(value), _) => variable.value = value,
        (None, Value::Unset) => variable.value = Value::Declared,
        (None, _) => {}
    }
    end(words)
}

/// `NAME=…` in all its forms: a value, a search path, hooks put behind others, the runtime's own.
fn assignment(words: &mut Words<'_>, shell: &mut Shell) -> Option<()> {
    let start = words.at;
    let done = try_assignment(words, shell);
    if done.is_none() {
        words.at = start;
    }
    done
}

fn try_assignment(words: &mut Words<'_>, shell: &mut Shell) -> Option<()> {
    let name = words.name()?;
    if name.starts_with(OWN) {
        // What the search for mentions found; `reads_all` has no key.
        if words.take(b"[") {
            words.word()?;
            words.take(b"]").then_some(())?;
        }
        words.take(b"=").then_some(())?;
        words.word()?;
        return end(words);
    }
    if words.take(b"+=") {
        let elements = words.array()?.into_iter().map(|(_, value)| value).collect();
        shell.variables.insert(name.to_vec(), Variable { flags: "a".to_owned(), value: Value::Appended(elements) });
        return end(words);
    }
    words.take(b"=").then_some(())?;
    if name == OLD_DIRECTORY {
        shell.previous = Some(words.word()?);
        return end(words);
    }
    // These change by themselves: where one stands, and what has passed.
    if name == DIRECTORY || name == b"SECONDS" {
        words.word()?;
        return end(words);
    }
    let variable = shell.variables.entry(name.to_vec()).or_default();
    if words.rest().starts_with(b"(") {
        let letter = if variable.flags.contains('A') { "A" } else { "a" };
        *variable = Variable { flags: letter.to_owned(), value: Value::Array(words.array()?) };
        return end(words);
    }
    let line = words.rest();
    let middle = [b"\"${", name, b"-}\""].concat();
    let around = split_once(line, &middle).and_then(|(front, behind)| {
        let front = whole_word(front)?;
        let mut back = Words { text: behind, at: 0 };
        let word = back.word()?;
        Some((Value::Around(front, word), line.len() - behind.len() + back.at))
    });
    *variable = Variable::default();
    if let Some((value, length)) = around {
        variable.value = value;
        words.at += length;
    } else {
        variable.value = Value::Text(words.word()?);
    }
    end(words)
}

fn split_once<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let start = memchr::memmem::find(text, at)?;
    Some((&text[..start], &text[start + at.len()..]))
}

fn whole_word(text: &[u8]) -> Option<Vec<u8>> {
    let mut words = Words { text, at: 0 };
    let word = words.word()?;
    words.rest().is_empty().then_some(word)
}

/// Behind `set ` or `shopt `: `-o errexit`, `-u nullglob`.
fn option(words: &mut Words<'_>, shell: &mut Shell, prefix: &str) -> Option<()> {
    let is_on = match words.take_while(|byte| byte != b' ') {
        b"-o" | b"-s" => true,
        b"+o" | b"-u" => false,
        _ => return None,
    };
    words.take(b" ").then_some(())?;
    let name = words.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    shell.options.insert(format!("{prefix}{}", String::from_utf8_lossy(name)), is_on);
    end(words)
}

/// Behind `trap -`: ` EXIT` or `- 'command' EXIT`.
fn trap(words: &mut Words<'_>, shell: &mut Shell) -> Option<()> {
    let command = if words.take(b"- ") { Some(words.word()?) } else { None };
    words.take(b" ").then_some(())?;
    let signal = words.take_while(|byte| byte.is_ascii_alphanumeric());
    shell.traps.insert(String::from_utf8_lossy(signal).into_owned(), command);
    end(words)
}

/// `name () ` and a body in braces, as `declare -f` writes it.
///
/// Its end is a line that begins with `}`. A here-document may have one too: so behind it must come what can follow a
/// function.
fn function(words: &mut Words<'_>, shell: &mut Shell) -> Option<()> {
    let text = words.rest();
    let (name, length) = function_head(text)?;
    let mut at = length;
    loop {
        let line = &text[at..];
        let end = at + memchr::memchr(b'\n', line)? + 1;
        if closes(&text[at..end - 1]) && follows_a_function(&text[end..]) {
            words.at += end;
            let definition = text[..end].to_vec();
            shell.functions.insert(name.to_vec(), Function { text: Some(definition), flags: String::new() });
            return Some(());
        }
        at = end;
    }
}

/// The name of the function that begins here, and how long its first two lines are.
fn function_head(text: &[u8]) -> Option<(&[u8], usize)> {
    let end = memchr::memchr(b'\n', text)?;
    let line = &text[..end];
    let name = line.strip_prefix(b"function ").unwrap_or(line).strip_suffix(b" () ")?;
    let is_plain = !name.is_empty() && !name.iter().any(u8::is_ascii_whitespace);
    (is_plain && text[end + 1..].starts_with(b"{")).then_some((name, end + 1))
}

/// Whether a line can end a function: a brace, and redirections at most. Another command behind it would run when the state
/// is sourced, and must not pass for a part of the function.
fn closes(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"}") else { return false };
    let is_command = |at: usize| match rest[at] {
        b';' | b'`' | b'|' | b'(' => true,
        b'&' => {
            !matches!(at.checked_sub(1).map(|before| rest[before]), Some(b'>' | b'<'))
                && rest.get(at + 1) != Some(&b'>')
        }
        _ => false,
    };
    (rest.is_empty() || rest.starts_with(b" ")) && !(0..rest.len()).any(is_command)
}

fn follows_a_function(text: &[u8]) -> bool {
    const COMMANDS: [&[u8]; 3] = [b"phasesplit_stand ", b"builtin declare -f", b"_phasesplit_"];
    COMMANDS.iter().any(|command| text.starts_with(command)) || function_head(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: &str = "phasesplit_stand /build ''\nbuiltin umask 0022\n_phasesplit_whole=1\n";

    fn shell(text: &str) -> Shell {
        read(format!("{text}{END}").as_bytes()).unwrap()
    }

    fn variable(text: &str, name: &str) -> Variable {
        shell(text).variables.remove(name.as_bytes()).unwrap()
    }

    fn text(value: &str) -> Value {
        Value::Text(value.into())
    }

    #[test]
    fn variables_in_every_form() {
        assert_eq!(
            variable("A=\"1 \\\"2\\\"\"\nbuiltin declare -gx A\n", "A"),
            Variable { flags: "x".into(), value: text("1 \"2\"") }
        );
        assert_eq!(variable("builtin unset -v B\nB=$'\\n'\n", "B").value, text("\n"));
        assert_eq!(variable("builtin declare -gax C\n", "C"), Variable { flags: "ax".into(), value: Value::Declared });
        assert_eq!(variable("builtin unset -v D\n", "D").value, Value::Unset);
        let array = Value::Array(vec![(b"0".to_vec(), b"x\ny".to_vec())]);
        assert_eq!(variable("E=([0]=\"x\ny\")\n", "E"), Variable { flags: "a".into(), value: array.clone() });
        let map = variable("builtin declare -gA M\nM=([0]=\"x\ny\")\nbuiltin declare -gAx M\n", "M");
        assert_eq!(map, Variable { flags: "Ax".into(), value: array });
        assert_eq!(variable("builtin declare -gn R=\"E[0]\"\n", "R").flags, "n");
        assert_eq!(variable("PATH='/a:'\"${PATH-}\"''\n", "PATH").value, Value::Around(b"/a:".to_vec(), Vec::new()));
        assert_eq!(variable("X=\"\\${X-}\"\n", "X").value, text("${X-}"));
        let hooks = Value::Appended(vec![b"one".to_vec(), b"two".to_vec()]);
        assert_eq!(variable("preHooks+=( 'one' 'two' )\n", "preHooks").value, hooks);
        // What the runtime knows of mentions is no business of a person's.
        let shell = shell("_phasesplit_mentioned[A]=\"a b\"\n_phasesplit_reads_all=x\\ y\n");
        assert!(shell.variables.is_empty());
    }

    #[test]
    fn functions_with_braces_of_their_own() {
        let body = "function f () \n{ \n    cat <<END\n}\nnot the end\nEND\n\n}\n";
        let other = "function a-b () \n{ \n    ( true )\n} 2>&1 &> /dev/null\n";
        let shell = shell(&format!("builtin unset -f -- gone\n{body}builtin declare -frx -- f\n{other}"));
        assert_eq!(shell.functions[&b"f"[..]], Function { text: Some(body.into()), flags: "rx".into() });
        assert_eq!(shell.functions[&b"a-b"[..]].text.as_deref(), Some(other.as_bytes()));
        assert_eq!(shell.functions[&b"gone"[..]], Function::default());
        assert_eq!(shell.functions.len(), 3);
    }

    #[test]
    fn everything_else() {
        let shell = shell(
            "alias ll='ls -l'\nunalias -- gone\nbuiltin pushd -n /2 >/dev/null\nbuiltin pushd -n /1 >/dev/null\n\
             builtin hash -p /a\\ b -- c\nbuiltin trap -- 'echo \"x\"' EXIT\nSECONDS=5\nphasesplit_end_definitions\n\
             builtin unset -v OLDPWD\nOLDPWD=/build\nbuiltin declare -gx OLDPWD\n\
             builtin shopt -s extglob\nbuiltin set -o errexit\nbuiltin set +o pipefail\n\
             _phasesplit_frame+=$'builtin enable -n echo\\n'\n_phasesplit_frame+=$'phasesplit_limit n 64 128\\n'\n\
             _phasesplit_frame+=$'builtin trap - ERR\\n'\n",
        );
        assert_eq!(shell.aliases[&b"ll"[..]], b"ls -l");
        assert_eq!(
            (&shell.pushed[..], shell.previous.as_deref()),
            (&[b"/1".to_vec(), b"/2".to_vec()][..], Some(&b"/build"[..]))
        );
        assert_eq!(shell.traps["EXIT"].as_deref(), Some(&b"echo \"x\""[..]));
        assert_eq!(shell.traps["ERR"], None);
        let options: Vec<(&str, bool)> = shell.options.iter().map(|(name, on)| (name.as_str(), *on)).collect();
        assert_eq!(options, [("errexit", true), ("pipefail", false), ("shopt extglob", true)]);
        assert_eq!(shell.hashed[&b"c"[..]], b"/a b");
        assert!(!shell.builtins["echo"]);
        assert_eq!(shell.limits["n"], Limit { soft: "64".into(), hard: Some("128".into()) });
        assert!(shell.variables.is_empty());
    }

    #[test]
    fn what_the_runtime_does_not_write_is_refused_with_its_line() {
        let refused = |text: &str| read(text.as_bytes()).unwrap_err().line;
        assert_eq!(refused(""), 1);
        assert_eq!(refused("phasesplit_stand / ''\n"), 2);
        for command in [
            "rm -rf /",
            "builtin declare -g A=$(id)",
            "A=`id`",
            "PATH=$(id)\"${PATH-}\"''",
            "builtin trap -- \"$(id)\" EXIT",
            "builtin eval id",
            "f () { id; }",
            "phasesplit_stand /x",
            "_phasesplit_frame+=$'id\\n'",
            "_phasesplit_frame+=$'builtin set -o errexit\\nid\\n'",
            "phasesplit_limit n $(id)",
            "A=\"x\"; id",
        ] {
            assert_eq!(refused(&format!("OK=\"1\"\n{command}\n{END}")), 2, "{command}");
        }
        assert_eq!(refused(&format!("{END}id\n")), 4);
    }
}
