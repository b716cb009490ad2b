//! Tokens of a Nix text with their places, and the words for them in messages.

#[allow(clippy::enum_glob_use, reason = "the names carry a prefix of their own, and dozens are used")]
use rnix::SyntaxKind::{self, *};

use crate::diagnostic::Span;

/// One token of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) kind: SyntaxKind,
    pub(super) text: &'a str,
    /// Byte offset in the text.
    pub(super) start: usize,
    /// Place among all tokens, trivia included.
    pub(super) index: usize,
}

impl Token<'_> {
    pub(super) fn span(&self) -> Span {
        self.start..self.end()
    }

    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// A token as a message names it: "`}`", "the name `foo`", "a string".
pub(super) fn describe(kind: SyntaxKind, text: &str) -> String {
    let short = |what: &str| {
        let shown: String = text.chars().take(40).collect();
        let more = if shown.len() < text.len() { "…" } else { "" };
        format!("{what}`{shown}{more}`")
    };
    match kind {
        TOKEN_IDENT => short("the name "),
        TOKEN_STRING_START => "a string".to_owned(),
        TOKEN_STRING_CONTENT => "text of a string".to_owned(),
        TOKEN_STRING_END => "the end of a string".to_owned(),
        TOKEN_INTEGER | TOKEN_FLOAT => short("the number "),
        TOKEN_PATH_ABS | TOKEN_PATH_REL | TOKEN_PATH_HOME | TOKEN_PATH_SEARCH => short("the path "),
        TOKEN_URI => short("the URL "),
        TOKEN_ASSERT | TOKEN_ELSE | TOKEN_IF | TOKEN_IN | TOKEN_INHERIT | TOKEN_LET | TOKEN_OR | TOKEN_REC
        | TOKEN_THEN | TOKEN_WITH => short("the keyword "),
        TOKEN_ERROR => match text.chars().next() {
            Some('`') => "a backquote".to_owned(),
            Some(first) if text.chars().count() == 1 => format!("the character `{first}`"),
            _ => short(""),
        },
        _ => short(""),
    }
}

/// A kind of token as a message asks for it: "`;`", "a name".
pub(super) fn wanted(kind: SyntaxKind) -> &'static str {
    match kind {
        TOKEN_SEMICOLON => "`;`",
        TOKEN_ASSIGN => "`=`",
        TOKEN_COLON => "`:`",
        TOKEN_COMMA => "`,`",
        TOKEN_L_BRACE => "`{`",
        TOKEN_R_BRACE | TOKEN_INTERPOL_END => "`}`",
        TOKEN_L_BRACK => "`[`",
        TOKEN_R_BRACK => "`]`",
        TOKEN_L_PAREN => "`(`",
        TOKEN_R_PAREN => "`)`",
        TOKEN_THEN => "`then`",
        TOKEN_ELSE => "`else`",
        TOKEN_IN => "`in`",
        TOKEN_ELLIPSIS => "`...`",
        TOKEN_AT => "`@`",
        TOKEN_IDENT => "a name",
        TOKEN_STRING_START => "a string",
        TOKEN_STRING_END => "the end of the string",
        TOKEN_INTERPOL_START => "`${`",
        _ => "something else",
    }
}

/// The token that closes an opening one.
pub(super) fn closer(open: SyntaxKind) -> Option<SyntaxKind> {
    Some(match open {
        TOKEN_L_PAREN => TOKEN_R_PAREN,
        TOKEN_L_BRACE => TOKEN_R_BRACE,
        TOKEN_L_BRACK => TOKEN_R_BRACK,
        TOKEN_INTERPOL_START => TOKEN_INTERPOL_END,
        TOKEN_STRING_START => TOKEN_STRING_END,
        _ => return None,
    })
}
