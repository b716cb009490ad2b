//! The value of a string as far as it stands in the text.
//!
//! Owns Nix's rules for escapes and for the indentation of `''…''` strings (Nix manual, "Data types",
//! String; `stripIndentation` and the lexer of Nix). Must not know packages.

use rnix::SyntaxKind::{TOKEN_STRING_CONTENT, TOKEN_STRING_START};
use rnix::ast::Str;
use rnix::{NodeOrToken, SyntaxNode};
use rowan::ast::AstNode;

use crate::diagnostic::Span;

/// A part of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Characters known from the text, escapes replaced, indentation removed.
    Text(String),
    /// `${…}`.
    Hole {
        /// The whole of `${…}`.
        span: Span,
        /// Its value, where it is a name bound to a literal string nearby.
        value: Option<String>,
    },
}

/// A string: text and holes. Neighbouring texts are joined; an empty string has no parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(pub Vec<Part>);

impl Text {
    /// The value, if the string has no hole.
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The value, if every hole's value is known.
    pub fn known(&self) -> Option<String> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Hole { value, .. } => out.push_str(value.as_deref()?),
            }
        }
        Some(out)
    }

    fn push(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(Part::Text(last)) = self.0.last_mut() {
            last.push_str(text);
        } else {
            self.0.push(Part::Text(text.to_owned()));
        }
    }
}

/// A piece of a string as Nix's lexer sees it.
enum Piece {
    /// Text in which spaces at the beginning of a line are indentation.
    Plain(String),
    /// An escape: never indentation.
    Escaped(String),
    Hole(SyntaxNode),
}

/// The value of a string node of a tree without errors.
pub(super) fn of_string(string: &Str) -> Text {
    let mut indented = false;
    let mut pieces = Vec::new();
    for child in string.syntax().children_with_tokens() {
        match child {
            NodeOrToken::Token(token) if token.kind() == TOKEN_STRING_START => {
                indented = token.text() == "''";
            }
            NodeOrToken::Token(token) if token.kind() == TOKEN_STRING_CONTENT => {
                if indented {
                    let mut text = token.text();
                    if pieces.is_empty() {
                        text = without_first_line(text);
                    }
                    indented_pieces(text, &mut pieces);
                } else {
                    pieces.push(Piece::Escaped(unescape(token.text())));
                }
            }
            NodeOrToken::Token(_) => {}
            NodeOrToken::Node(node) => pieces.push(Piece::Hole(node)),
        }
    }
    if indented { strip_indentation(pieces) } else { join(pieces) }
}

/// Bytes of a node.
pub(super) fn span(node: &SyntaxNode) -> Span {
    let range = node.text_range();
    usize::from(range.start())..usize::from(range.end())
}

fn join(pieces: Vec<Piece>) -> Text {
    let mut out = Text::default();
    for piece in pieces {
        match piece {
            Piece::Plain(text) | Piece::Escaped(text) => out.push(&text),
            Piece::Hole(node) => out.0.push(Part::Hole { span: span(&node), value: None }),
        }
    }
    out
}

/// Spaces and the line end right after `''` are not part of the string.
fn without_first_line(text: &str) -> &str {
    text.trim_start_matches(' ').strip_prefix('\n').unwrap_or(text)
}

/// A backslash escape's character, and a carriage return as Nix reads it in a `"…"` string.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.extend(characters.next().map(escaped)),
            '\r' => {
                characters.next_if_eq(&'\n');
                out.push('\n');
            }
            _ => out.push(character),
        }
    }
    out
}

fn escaped(character: char) -> char {
    match character {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        other => other,
    }
}

fn indented_pieces(text: &str, pieces: &mut Vec<Piece>) {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\'', '$']) {
        let (before, tail) = rest.split_at(at);
        plain.push_str(before);
        let (taken, value) = if tail.starts_with("''$") {
            (3, Some("$".to_owned()))
        } else if tail.starts_with("'''") {
            (3, Some("''".to_owned()))
        } else if let Some(after) = tail.strip_prefix("''\\") {
            match after.chars().next() {
                Some(character) => (3 + character.len_utf8(), Some(escaped(character).to_string())),
                None => (tail.len(), None),
            }
        } else if tail.starts_with("$$") {
            plain.push_str("$$");
            (2, None)
        } else {
            plain.push_str(&tail[..1]);
            (1, None)
        };
        if let Some(value) = value {
            pieces.push(Piece::Plain(std::mem::take(&mut plain)));
            pieces.push(Piece::Escaped(value));
        }
        rest = &tail[taken..];
    }
    plain.push_str(rest);
    pieces.push(Piece::Plain(plain));
}

fn strip_indentation(pieces: Vec<Piece>) -> Text {
    let indentation = indentation(&pieces);
    let last = pieces.len().saturating_sub(1);
    let mut out = Text::default();
    let mut at_line_start = true;
    let mut dropped = 0;
    for (index, piece) in pieces.into_iter().enumerate() {
        match piece {
            Piece::Plain(text) => {
                let mut kept = String::with_capacity(text.len());
                for character in text.chars() {
                    match character {
                        ' ' if at_line_start => {
                            if dropped >= indentation {
                                kept.push(' ');
                            }
                            dropped += 1;
                        }
                        '\n' => {
                            at_line_start = true;
                            dropped = 0;
                            kept.push('\n');
                        }
                        _ => {
                            at_line_start = false;
                            dropped = 0;
                            kept.push(character);
                        }
                    }
                }
                // The spaces before the closing quotes are not part of the string.
                if index == last
                    && let Some(end) = kept.rfind('\n')
                    && kept[end + 1..].bytes().all(|byte| byte == b' ')
                {
                    kept.truncate(end + 1);
                }
                out.push(&kept);
            }
            Piece::Escaped(text) => {
                at_line_start = false;
                dropped = 0;
                out.push(&text);
            }
            Piece::Hole(node) => {
                at_line_start = false;
                dropped = 0;
                out.0.push(Part::Hole { span: span(&node), value: None });
            }
        }
    }
    out
}

/// The smallest number of spaces before text on any line; lines of spaces alone do not count.
fn indentation(pieces: &[Piece]) -> usize {
    let mut at_line_start = true;
    let mut smallest = usize::MAX;
    let mut current = 0;
    for piece in pieces {
        let Piece::Plain(text) = piece else {
            if at_line_start {
                at_line_start = false;
                smallest = smallest.min(current);
            }
            continue;
        };
        for character in text.chars() {
            match character {
                '\n' => {
                    at_line_start = true;
                    current = 0;
                }
                ' ' if at_line_start => current += 1,
                _ if at_line_start => {
                    at_line_start = false;
                    smallest = smallest.min(current);
                }
                _ => {}
            }
        }
    }
    smallest
}
