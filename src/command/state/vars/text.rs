//! A shell state in words, and what differs between two.

use std::fmt::Write as _;

use similar::TextDiff;

use super::super::output::{lines, shown};
use crate::inspect::diff::Change;
use crate::inspect::shell::{Function, Limit, Part, Shell, Value, Variable, compare};

/// The parts of a shell, one after the other; functions by name and length, or in full.
pub fn shell(shell: &Shell, in_full: bool) -> String {
    let mut text = String::new();
    if !in_full {
        _ = writeln!(text, "directory  {}", shown(&shell.directory));
        for (name, path) in shell.previous.iter().map(|path| ("previous ", path)) {
            _ = writeln!(text, "{name}  {}", shown(path));
        }
        for path in &shell.pushed {
            _ = writeln!(text, "pushed     {}", shown(path));
        }
        _ = writeln!(text, "umask      {}", shell.umask);
    }
    section(&mut text, "variables", shell.variables.iter().map(|(name, value)| variable(name, value)));
    section(&mut text, "functions", shell.functions.iter().map(|(name, value)| function(name, value, in_full)));
    section(
        &mut text,
        "aliases",
        shell.aliases.iter().map(|(name, value)| format!("{} = {}", shown(name), lines(value))),
    );
    section(
        &mut text,
        "traps",
        shell.traps.iter().map(|(name, value)| match value {
            Some(command) => format!("{name}: {}", lines(command)),
            None => format!("{name}: (taken away)"),
        }),
    );
    section(&mut text, "limits", shell.limits.iter().map(|(letter, held)| limit(letter, held)));
    section(
        &mut text,
        "commands",
        shell.hashed.iter().map(|(name, path)| format!("{} = {}", shown(name), shown(path))),
    );
    section(&mut text, "builtins", shell.builtins.iter().map(|(name, is_on)| option(name, *is_on)));
    section(&mut text, "options", shell.options.iter().map(|(name, is_on)| option(name, *is_on)));
    text
}

/// A heading, and each item below it; the lines of an item after its first stand further in.
fn section(text: &mut String, heading: &str, items: impl ExactSizeIterator<Item = String>) {
    if items.len() == 0 {
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    _ = writeln!(text, "{heading} ({})", items.len());
    for item in items {
        for (number, line) in item.lines().enumerate() {
            _ = writeln!(text, "{}{line}", if number == 0 { "  " } else { "      " });
        }
    }
}

fn limit(letter: &str, limit: &Limit) -> String {
    let hard = limit.hard.as_ref().map_or_else(String::new, |hard| format!(", hard {hard}"));
    format!("-{letter} {}{hard}", limit.soft)
}

fn option(name: &str, is_on: bool) -> String {
    format!("{name} {}", if is_on { "on" } else { "off" })
}

fn variable(name: &[u8], variable: &Variable) -> String {
    let flags = if variable.flags.is_empty() { String::new() } else { format!("-{} ", variable.flags) };
    let name = shown(name);
    match &variable.value {
        Value::Unset => format!("{name} (unset)"),
        Value::Declared => format!("{flags}{name} (no value)"),
        Value::Text(text) => format!("{flags}{name} = {}", lines(text)),
        Value::Around(front, back) => format!("{name} = {}<as it was>{}", lines(front), lines(back)),
        Value::Array(elements) => {
            let mut text = format!("{flags}{name} ({} elements)", elements.len());
            for (key, value) in elements {
                _ = write!(text, "\n[{}] {}", shown(key), lines(value));
            }
            text
        }
        Value::Appended(elements) => {
            let mut text = format!("{flags}{name} ({} more elements)", elements.len());
            for value in elements {
                _ = write!(text, "\n{}", lines(value));
            }
            text
        }
    }
}

fn function(name: &[u8], function: &Function, in_full: bool) -> String {
    let words = [('x', ", exported"), ('r', ", read-only"), ('t', ", traced")];
    let attributes: String =
        words.iter().filter(|(letter, _)| function.flags.contains(*letter)).map(|(_, word)| *word).collect();
    match &function.text {
        None => format!("{} (unset)", shown(name)),
        Some(text) if in_full => lines(text),
        Some(text) => {
            let count = memchr::memchr_iter(b'\n', text).count();
            format!("{} ({count} lines{attributes})", shown(name))
        }
    }
}

/// What differs, each with what it was and what it is; functions and long values as a diff of their lines.
pub fn differences(before: &Shell, after: &Shell) -> String {
    let differences = compare(before, after);
    if differences.is_empty() {
        return "the shells are equal\n".to_owned();
    }
    let mut text = String::new();
    for difference in &differences {
        let (word, part) = (difference.change.word(), difference.part);
        _ = writeln!(text, "{word} {} {}", part.word(), shown(&difference.name));
        let [old, new] = [before, after].map(|shell| described(shell, part, &difference.name));
        match difference.change {
            Change::Added => indented(&mut text, "+", &new),
            Change::Removed => indented(&mut text, "-", &old),
            _ => {
                let diff = TextDiff::from_lines(&old, &new);
                let many = old.lines().count() > 8 || new.lines().count() > 8;
                if many {
                    for hunk in diff.unified_diff().context_radius(2).iter_hunks() {
                        indented(&mut text, "", &hunk.to_string());
                    }
                } else {
                    indented(&mut text, "-", &old);
                    indented(&mut text, "+", &new);
                }
            }
        }
    }
    text
}

fn indented(text: &mut String, mark: &str, block: &str) {
    for line in block.lines() {
        _ = writeln!(text, "  {mark}{line}");
    }
}

/// What a shell says of a thing, on lines.
fn described(shell: &Shell, part: Part, name: &[u8]) -> String {
    let named = String::from_utf8_lossy(name);
    let text = match part {
        Part::Variable => shell.variables.get(name).map(|value| variable(name, value)),
        Part::Function => shell.functions.get(name).map(|value| function(name, value, true)),
        Part::Alias => shell.aliases.get(name).map(|value| lines(value)),
        Part::Option => shell.options.get(&*named).map(|is_on| option(&named, *is_on)),
        Part::Limit => shell.limits.get(&*named).map(|held| limit(&named, held)),
        Part::Command => shell.hashed.get(name).map(|path| shown(path).to_string()),
        Part::Builtin => shell.builtins.get(&*named).map(|is_on| option(&named, *is_on)),
        Part::Trap => shell.traps.get(&*named).map(|trap| trap.as_deref().map_or("(taken away)".to_owned(), lines)),
        Part::Other => Some(match &*named {
            "directory" => shown(&shell.directory).to_string(),
            "umask" => shell.umask.clone(),
            "previous directory" => shell.previous.as_deref().map_or("none".to_owned(), |path| shown(path).to_string()),
            _ => shell.pushed.iter().map(|path| shown(path).to_string()).collect::<Vec<_>>().join("\n"),
        }),
    };
    // A diff of lines wants a newline at the end of the last.
    text.map_or_else(String::new, |text| text.trim_end_matches('\n').to_owned() + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::shell::read;
    use pretty_assertions::assert_eq;

    fn parsed(text: &str) -> Shell {
        read(format!("{text}phasesplit_stand /build/src ''\nbuiltin umask 0022\n_phasesplit_whole=1\n").as_bytes())
            .unwrap()
    }

    #[test]
    fn a_shell_in_words() {
        let shell = parsed(
            "builtin shopt -s extglob\nA=$'1\\n2\\e'\nbuiltin declare -gx A\nL=([0]=\"x\" [1]=\"y\")\nPATH='/a:'\"${PATH-}\"''\nbuiltin unset -v GONE\n\
             alias ll='ls -l'\nfunction f () \n{ \n    true\n}\n",
        );
        let expected = "\
directory  /build/src
umask      0022

variables (4)
  -x A = 1
      2\\u{1b}
  GONE (unset)
  -a L (2 elements)
      [0] x
      [1] y
  PATH = /a:<as it was>

functions (1)
  f (4 lines)

aliases (1)
  ll = ls -l

options (1)
  shopt extglob on
";
        assert_eq!(super::shell(&shell, false), expected);
    }

    #[test]
    fn what_differs_in_words() {
        let before = parsed("A=\"1\"\nbuiltin declare -gx A\nB=\"1\"\nf () \n{ \n    true\n}\n");
        let after = parsed("A=\"2\"\nbuiltin declare -gx A\nf () \n{ \n    false\n}\nbuiltin declare -fx -- f\n");
        let expected = "\
changed variable A
  --x A = 1
  +-x A = 2
removed variable B
  -B = 1
changed function f
  -f () 
  -{ 
  -    true
  -}
  +f () 
  +{ 
  +    false
  +}
";
        assert_eq!(differences(&before, &after), expected);
        assert_eq!(differences(&before, &before), "the shells are equal\n");
    }
}
