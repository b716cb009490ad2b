//! Nix strings, attribute names and paths as text: the one escaper.
//!
//! What any function here returns is a Nix expression (or name) that evaluates to exactly what was put in; a property test
//! asks Nix. Nix strings cannot hold a NUL byte, so callers keep it out.

use std::fmt;

/// Words that Nix's grammar takes for itself, so that they cannot stand bare as a name.
const KEYWORDS: [&str; 10] = ["assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"];

/// `text` as a double-quoted string.
pub fn nix_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let _ = write_in_string(&mut quoted, text);
    quoted.push('"');
    quoted
}

/// Writes `text` as it stands between double quotes.
///
/// A `$` at the end is escaped like one before `{`: what is written next may begin with that brace.
fn write_in_string(to: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => to.write_str("\\\"")?,
            '\\' => to.write_str("\\\\")?,
            '\n' => to.write_str("\\n")?,
            // Nix turns a bare carriage return into a newline.
            '\r' => to.write_str("\\r")?,
            '\t' => to.write_str("\\t")?,
            '$' if matches!(characters.peek(), Some('{') | None) => to.write_str("\\$")?,
            other => to.write_char(other)?,
        }
    }
    Ok(())
}

/// askama's escaper for `.nix` templates (`askama.toml`): `"{{ value }}"` is right for any value, and text that is Nix
/// already says so with `|safe`.
#[derive(Clone, Copy, Debug, Default)]
pub struct InString;

impl askama::filters::Escaper for InString {
    fn write_escaped_str<W: fmt::Write>(&self, mut to: W, text: &str) -> fmt::Result {
        write_in_string(&mut to, text)
    }
}

/// `text` as an indented string, its lines indented by `indent` spaces and the closing quotes by two fewer.
///
/// For text of many lines that a person may want to read. Nix takes the common indentation of all lines away, drops a
/// last line of spaces alone, and reads `''` and `${` as its own; each is worked around where it occurs, by an escape
/// that Nix does not count as indentation.
pub fn nix_indented_string(text: &str, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    out.push_str("''\n");
    let lines: Vec<&str> = text.split('\n').collect();
    let is_blank = |line: &str| line.bytes().all(|byte| byte == b' ');
    // Without a line that starts at the margin, Nix would take more than the margin away.
    let anchor = if lines.iter().any(|line| !is_blank(line) && !line.starts_with(' ')) {
        None
    } else {
        lines.iter().position(|line| !line.is_empty())
    };
    let last = lines.len() - 1;
    for (number, line) in lines.iter().enumerate() {
        let forced = Some(number) == anchor || number == last && is_blank(line);
        if !line.is_empty() {
            out.push_str(&margin);
            write_indented_line(&mut out, line, forced, number == last);
        }
        if number != last {
            out.push('\n');
        }
    }
    if lines[last].is_empty() {
        out.push_str(&margin[..indent.saturating_sub(2)]);
    }
    out.push_str("''");
    out
}

fn write_indented_line(out: &mut String, line: &str, forced: bool, ends_text: bool) {
    let characters: Vec<char> = line.chars().collect();
    for (at, &character) in characters.iter().enumerate() {
        let next = characters.get(at + 1);
        match character {
            ' ' if forced && at == 0 => out.push_str("''\\ "),
            // A quote beside a quote, the end or what is written as an escape would begin another or close the string.
            '\'' if matches!(next, Some('\'' | '$' | '\r'))
                || at > 0 && characters[at - 1] == '\''
                || next.is_none() && ends_text =>
            {
                out.push_str("''\\'");
            }
            '$' if next == Some(&'{') => out.push_str("''$"),
            '\r' => out.push_str("''\\r"),
            other => out.push(other),
        }
    }
}

/// `name` as an attribute name, bare where Nix allows that.
pub fn attribute_name(name: &str) -> String {
    let mut bytes = name.bytes();
    let bare = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'\''))
        && !KEYWORDS.contains(&name);
    if bare { name.to_owned() } else { nix_string(name) }
}

/// A path relative to the file it is written in, from its components (`..` only in front).
///
/// A literal where Nix's grammar has one, `(./. + "/…")` for other names.
pub fn relative_path(components: &[String]) -> String {
    if components.is_empty() {
        return "./.".to_owned();
    }
    let plain = |name: &String| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte))
    };
    let joined = components.join("/");
    if !components.iter().all(plain) {
        return format!("(./. + {})", nix_string(&format!("/{joined}")));
    }
    match joined.as_str() {
        ".." => "./..".to_owned(),
        up if up.starts_with("../") => joined,
        _ => format!("./{joined}"),
    }
}

/// An absolute path as a Nix expression, for a place that the user named so.
pub fn absolute_path(path: &str) -> String {
    let plain = path.len() > 1
        && !path.ends_with('/')
        && !path.contains("//")
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte));
    if plain { path.to_owned() } else { format!("(/. + {})", nix_string(path)) }
}

/// `text` for a comment: one line, whatever it holds.
pub fn in_comment(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::testing::evaluate;
    use pretty_assertions::assert_eq;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    #[test]
    fn strings_as_a_person_would_write_them() {
        assert_eq!(nix_string("a $out b"), r#""a $out b""#);
        assert_eq!(nix_string("${x}\"\\\n"), r#""\${x}\"\\\n""#);
        assert_eq!(nix_indented_string("a\n  b\n", 4), "''\n    a\n      b\n  ''");
        assert_eq!(nix_indented_string("'${x}''", 2), "''\n  ''\\'''${x}''\\'''\\'''");
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        for (name, text) in [
            ("hello", "hello"),
            ("gtk-4_0'", "gtk-4_0'"),
            ("or", "\"or\""),
            ("with", "\"with\""),
            ("7zip", "\"7zip\""),
            ("a.b", "\"a.b\""),
            ("", "\"\""),
            ("ü", "\"ü\""),
        ] {
            assert_eq!(attribute_name(name), text);
        }
    }

    #[test]
    fn paths_are_literals_where_nix_has_one() {
        let parts = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
        for (path, text) in [
            ("pkg.nix", "./pkg.nix"),
            (".hidden.nix", "./.hidden.nix"),
            ("../../x/pkg.nix", "../../x/pkg.nix"),
            ("..", "./.."),
            ("odd name.nix", "(./. + \"/odd name.nix\")"),
            ("../ü/it's.nix", "(./. + \"/../ü/it's.nix\")"),
            ("${x}.nix", "(./. + \"/\\${x}.nix\")"),
        ] {
            assert_eq!(relative_path(&parts(path)), text);
        }
        assert_eq!(relative_path(&[]), "./.");
        assert_eq!(absolute_path("/a/b.nix"), "/a/b.nix");
        assert_eq!(absolute_path("/a b"), "(/. + \"/a b\")");
    }

    #[test]
    fn a_comment_stays_on_its_line() {
        assert_eq!(in_comment("a\nb\u{2028}\tc ü"), "a\\nb\\u{2028}\\tc ü");
    }

    /// Pieces that meet each other in ways Nix's lexer cares about.
    fn any_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("$".to_owned()),
            Just("{".to_owned()),
            Just("${x}".to_owned()),
            Just("'".to_owned()),
            Just("''".to_owned()),
            Just("\\".to_owned()),
            Just("\"".to_owned()),
            Just("\n".to_owned()),
            Just("\r".to_owned()),
            Just("\t".to_owned()),
            Just("  ".to_owned()),
            Just("n".to_owned()),
            "[^\\x00]",
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// Any string in, the same string out of Nix: all cases in one evaluation.
    #[test]
    fn nix_reads_back_what_was_written() {
        let mut runner = TestRunner::deterministic();
        let texts: Vec<String> = (0..3000)
            .map(|_| any_text().new_tree(&mut runner).expect("a text").current())
            .collect();
        let mut program = String::from("[\n");
        for (number, text) in texts.iter().enumerate() {
            program.push_str(&nix_string(text));
            program.push('\n');
            program.push_str(&nix_indented_string(text, number % 5 * 2));
            program.push('\n');
            program.push_str(&format!("(builtins.head (builtins.attrNames {{ {} = 1; }}))\n", attribute_name(text)));
        }
        program.push(']');
        let Some(found) = evaluate(&program) else { return };
        let found: Vec<String> = serde_json::from_str(&found).expect("a list of strings");
        assert_eq!(found.len(), texts.len() * 3);
        for (text, read) in texts.iter().zip(found.chunks(3)) {
            assert!(read.iter().all(|one| one == text), "{text:?} became {read:?}");
        }
    }
}
