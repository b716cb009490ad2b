//! Reading the script, command by command. The other side is `nix-lib/runtime/40-shell-state.sh`.

use super::words::Words;
use super::{Function, Shell, Value, Variable};

/// A command that the runtime does not write.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the shell state is nothing that phasesplit writes")]
pub struct NotUnderstood {
    /// The number of its line, from 1; behind the last where the end is missing.
    pub line: usize,
}

/// Variables of the runtime's own begin with this.
const OWN: &[u8] = b"_phasesplit_";

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
    if words.take(b"declare -g") {
        return declaration(words, shell);
    }
    if words.take(b"unset -v ") {
        let name = words.name()?.to_vec();
        shell.variables.insert(name, Variable::default());
        return end(words);
    }
    if words.take(b"unset -f -- ") {
        shell.functions.insert(words.word()?, Function::default());
        return end(words);
    }
    if words.take(b"export -f -- ") {
        let name = words.word()?;
        shell.functions.get_mut(&name)?.exported = true;
        return end(words);
    }
    if words.take(b"alias ") {
        // `alias -p` puts `--` before a name that begins with a dash.
        words.take(b"-- ");
        let name = words.take_while(|byte| !matches!(byte, b'=' | b'\n')).to_vec();
        words.take(b"=").then_some(())?;
        shell.aliases.insert(name, words.word()?);
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
    if words.take(b"cd -- ") {
        shell.directory = words.word()?;
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
    assignment(words, shell).or_else(|| function(words, shell))
}

fn end(words: &mut Words<'_>) -> Option<()> {
    words.take(b"\n").then_some(())
}

/// Behind `declare -g`: `x NAME="value"`.
fn declaration(words: &mut Words<'_>, shell: &mut Shell) -> Option<()> {
    let flags = words.take_while(|byte| byte.is_ascii_alphabetic());
    words.take(b" ").then_some(())?;
    let name = words.name()?.to_vec();
    let value = if !words.take(b"=") {
        Value::Declared
    } else if words.rest().starts_with(b"(") {
        Value::Array(words.array()?)
    } else {
        Value::Text(words.word()?)
    };
    let flags = String::from_utf8_lossy(flags).into_owned();
    shell.variables.insert(name, Variable { flags, value });
    end(words)
}

/// `NAME=…` in the three forms that are no declaration: a search path, hooks put behind others, the runtime's own.
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
    if name == b"OLDPWD" {
        shell.previous = Some(words.word()?);
        return end(words);
    }
    let line = words.rest();
    let middle = [b"\"${", name, b"-}\""].concat();
    let (front, behind) = split_once(line, &middle)?;
    let front = whole_word(front)?;
    words.at += line.len() - behind.len();
    let back = words.word()?;
    shell.variables.insert(name.to_vec(), Variable { flags: String::new(), value: Value::Around(front, back) });
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
            shell.functions.insert(name.to_vec(), Function { text: Some(definition), exported: false });
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
    const COMMANDS: [&[u8]; 5] = [b"cd -- ", b"alias ", b"export -f -- ", b"_phasesplit_", b"unset -f -- "];
    COMMANDS.iter().any(|command| text.starts_with(command)) || function_head(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: &str = "cd -- /build\numask 0022\n_phasesplit_whole=1\n";

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
            variable("declare -gx A=\"1 \\\"2\\\"\"\n", "A"),
            Variable { flags: "x".into(), value: text("1 \"2\"") }
        );
        assert_eq!(variable("unset -v B\ndeclare -g B=$'\\n'\n", "B").value, text("\n"));
        assert_eq!(variable("declare -gax C\n", "C"), Variable { flags: "ax".into(), value: Value::Declared });
        assert_eq!(variable("unset -v D\n", "D").value, Value::Unset);
        let array = Value::Array(vec![(b"0".to_vec(), b"x\ny".to_vec())]);
        assert_eq!(variable("declare -ga E=([0]=\"x\ny\")\n", "E").value, array);
        assert_eq!(variable("PATH='/a:'\"${PATH-}\"''\n", "PATH").value, Value::Around(b"/a:".to_vec(), Vec::new()));
        let hooks = Value::Appended(vec![b"one".to_vec(), b"two".to_vec()]);
        assert_eq!(variable("preHooks+=( 'one' 'two' )\n", "preHooks").value, hooks);
        // What the runtime knows of mentions is no business of a person's.
        let shell = shell("_phasesplit_mentioned[A]=\"a b\"\n_phasesplit_reads_all=x\\ y\n");
        assert!(shell.variables.is_empty());
    }

    #[test]
    fn functions_with_braces_of_their_own() {
        let body = "f () \n{ \n    cat <<END\n}\nnot the end\nEND\n\n}\n";
        let other = "a-b () \n{ \n    ( true )\n} 2>&1 &> /dev/null\n";
        let shell = shell(&format!("unset -f -- gone\n{body}export -f -- f\n{other}"));
        assert_eq!(shell.functions[&b"f"[..]], Function { text: Some(body.into()), exported: true });
        assert_eq!(shell.functions[&b"a-b"[..]].text.as_deref(), Some(other.as_bytes()));
        assert_eq!(shell.functions[&b"gone"[..]], Function::default());
        assert_eq!(shell.functions.len(), 3);
    }

    #[test]
    fn everything_else() {
        let shell = shell(
            "shopt -s extglob\nalias ll='ls -l'\ncd -- /build/a\\ b\npushd -n /2 >/dev/null\npushd -n /1 >/dev/null\n\
             OLDPWD=/build\ntrap -- 'echo \"x\"' EXIT\ntrap - ERR\numask 0077\nset -o errexit\nset +o pipefail\n",
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
    }

    #[test]
    fn what_the_runtime_does_not_write_is_refused_with_its_line() {
        let refused = |text: &str| read(text.as_bytes()).unwrap_err().line;
        assert_eq!(refused(""), 1);
        assert_eq!(refused("cd -- /\n"), 2);
        for command in [
            "rm -rf /",
            "declare -g A=$(id)",
            "A=`id`",
            "PATH=$(id)\"${PATH-}\"''",
            "trap -- \"$(id)\" EXIT",
            "f () { id; }",
            "cd /x",
            "declare -g A=\"x\"; id",
        ] {
            assert_eq!(refused(&format!("declare -g OK=\"1\"\n{command}\n{END}")), 2, "{command}");
        }
        assert_eq!(refused(&format!("{END}id\n")), 4);
    }
}
