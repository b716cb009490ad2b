//! Mistakes that show in single characters and tokens.
//!
//! Owns what Nix accepts nowhere: a byte order mark, NUL, odd spaces, characters without meaning.

#[allow(clippy::enum_glob_use, reason = "the names carry a prefix of their own, and dozens are used")]
use rnix::SyntaxKind::*;

use super::tokens::{Token, describe};
use crate::diagnostic::Problem;

/// Characters that Nix accepts nowhere, checked before anything else.
pub(super) fn characters(file: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    if text.starts_with('\u{feff}') {
        problems.push(
            Problem::new("syntax/bom", "the file begins with a byte order mark")
                .at(file, 0..3)
                .help("save it as UTF-8 without a byte order mark: Nix does not accept one"),
        );
    }
    if let Some(at) = text.find('\0') {
        problems.push(
            Problem::new("syntax/nul", "the file holds a NUL byte")
                .at(file, at..at + 1)
                .help("a NUL byte cannot be part of a Nix expression; is this a binary file, or UTF-16?"),
        );
    }
    problems
}

/// Tokens that are wrong in themselves: stray characters, unclosed strings and comments, odd spaces.
pub(super) fn tokens(file: &str, tokens: &[Token<'_>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for token in tokens {
        match token.kind {
            TOKEN_WHITESPACE => {
                for (at, character) in token.text.char_indices() {
                    if !matches!(character, ' ' | '\t' | '\r' | '\n') {
                        let start = token.start + at;
                        problems.push(
                            Problem::new(
                                "syntax/space",
                                format!("the character U+{:04X} is not a space to Nix", u32::from(character)),
                            )
                            .at(file, start..start + character.len_utf8())
                            .help("replace it by an ordinary space; it often comes from copied text"),
                        );
                    }
                }
            }
            TOKEN_ERROR if token.text.starts_with("/*") => problems.push(
                Problem::new("syntax", "this comment is never closed")
                    .at(file, token.start..token.start + 2)
                    .help("close it with `*/`"),
            ),
            // The rest of a string that is not closed is an error too; its opening is reported.
            TOKEN_ERROR if inside_string(tokens, token) => {}
            TOKEN_ERROR => problems.push(lexical_error(file, token)),
            _ => {}
        }
    }
    problems
}

fn lexical_error(file: &str, token: &Token<'_>) -> Problem {
    let problem = if token.text.contains('/') {
        Problem::new("syntax", format!("{} is not a path", describe(token.kind, token.text)))
            .help("a path may not end in `/` nor contain `//`")
    } else {
        Problem::new("syntax", format!("{} has no meaning in Nix", describe(token.kind, token.text))).help(match token
            .text
        {
            "'" => "strings are written with `\"` or with two single quotes `''`",
            "&" => "`and` is written `&&`",
            "|" => "`or` is written `||`",
            "$" => "`${…}` is only for strings, paths and names of attributes",
            "~" => "a path in the home directory begins with `~/`",
            _ => "remove it, or put the text into a string",
        })
    };
    problem.at(file, token.span())
}

fn inside_string(tokens: &[Token<'_>], token: &Token<'_>) -> bool {
    token.index.checked_sub(1).and_then(|before| tokens.get(before)).is_some_and(|before| {
        matches!(before.kind, TOKEN_STRING_START | TOKEN_STRING_CONTENT | TOKEN_ERROR)
            || before.kind == TOKEN_INTERPOL_END && token.index + 1 == tokens.len()
    })
}
