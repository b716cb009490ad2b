//! The parser's errors in a user's words.
//!
//! Owns the translation of rnix's errors: which token was wanted, where it is missing (mostly at the
//! end of the line before the one the parser stopped at), what to do, and the repair that lets the
//! parser go on.

#[allow(clippy::enum_glob_use, reason = "the names carry a prefix of their own, and dozens are used")]
use rnix::{ParseError, SyntaxKind, SyntaxKind::*};

use super::guard;
use super::syntax::Repair;
use super::tokens::{Token, describe, wanted};
use crate::diagnostic::{Problem, Span};

/// A problem, and the change after which the parser sees the next one.
pub(super) struct SyntaxError {
    pub(super) problem: Problem,
    pub(super) repair: Option<Repair>,
}

/// Translates `errors`, which the parser found in `text` made of `tokens`; in the parser's order.
pub(super) fn translate(file: &str, text: &str, tokens: &[Token<'_>], errors: &[ParseError]) -> Vec<SyntaxError> {
    let significant: Vec<Token<'_>> = tokens.iter().filter(|token| !token.kind.is_trivia()).copied().collect();
    let context = Context { file, text, all: tokens, tokens: &significant };
    let mut found = Vec::new();
    let mut covered = 0;
    let mut skipped = false;
    for error in errors {
        let range = range(error);
        let at_end = matches!(error, ParseError::UnexpectedEOF | ParseError::UnexpectedEOFWanted(_));
        let start = range.as_ref().map_or(text.len(), |span| span.start);
        // The parser skips text to get over an error, often to the end of the file. What it skipped,
        // and the end it came to, are no errors of their own.
        if start < covered || at_end && (skipped || !found.is_empty()) {
            continue;
        }
        covered = range.map_or(0, |span| span.end);
        // A stray character was reported when the tokens were looked at.
        let index = context.index(start);
        if context.kind(index) == Some(TOKEN_ERROR) {
            skipped = true;
            continue;
        }
        found.push(context.problem(error, index));
    }
    found
}

fn range(error: &ParseError) -> Option<Span> {
    match error {
        ParseError::Unexpected(range)
        | ParseError::UnexpectedExtra(range)
        | ParseError::UnexpectedWanted(_, range, _)
        | ParseError::UnexpectedDoubleBind(range)
        | ParseError::DuplicatedArgs(range, _) => Some(usize::from(range.start())..usize::from(range.end())),
        _ => None,
    }
}

impl From<Problem> for SyntaxError {
    fn from(problem: Problem) -> Self {
        Self { problem, repair: None }
    }
}

struct Context<'t, 'a> {
    file: &'t str,
    text: &'a str,
    all: &'t [Token<'a>],
    /// Without spaces and comments.
    tokens: &'t [Token<'a>],
}

impl Context<'_, '_> {
    fn problem(&self, error: &ParseError, index: usize) -> SyntaxError {
        match error {
            ParseError::UnexpectedWanted(_, _, kinds) => self.wanted(index, kinds),
            ParseError::UnexpectedExtra(_) => self.extra(index),
            ParseError::UnexpectedDoubleBind(_) => self
                .at_token(index, "the arguments have a name already")
                .help("keep one of `name@{ … }` and `{ … }@name`")
                .into(),
            ParseError::DuplicatedArgs(_, name) => self
                .at_token(index, &format!("the argument `{name}` is there twice"))
                .help("remove one of the two")
                .into(),
            ParseError::UnexpectedEOFWanted(kinds) => self.at_end(kinds).into(),
            ParseError::UnexpectedEOF => self.at_end(&[]).into(),
            ParseError::RecursionLimitExceeded => match guard::nesting(self.file, self.text, self.all) {
                Err(problem) => problem,
                Ok(()) => Problem::new("syntax/too-deep", "expressions are nested too deeply").at(self.file, 0..0),
            }
            .into(),
            _ => {
                let found = self.found(index);
                self.at_token(index, &format!("{found} is not expected here")).into()
            }
        }
    }

    /// The index of the token at byte `start`.
    fn index(&self, start: usize) -> usize {
        self.tokens.partition_point(|token| token.start < start)
    }

    fn found(&self, index: usize) -> String {
        self.tokens.get(index).map_or("the end of the file".to_owned(), |token| describe(token.kind, token.text))
    }

    fn kind(&self, index: usize) -> Option<SyntaxKind> {
        self.tokens.get(index).map(|token| token.kind)
    }

    fn span(&self, index: usize) -> Span {
        self.tokens.get(index).map_or(self.text.len()..self.text.len(), Token::span)
    }

    /// The end of the token before `index`: the place where something is missing.
    fn end_before(&self, index: usize) -> usize {
        index.checked_sub(1).and_then(|before| self.tokens.get(before)).map_or(0, Token::end)
    }

    fn at_token(&self, index: usize, message: &str) -> Problem {
        Problem::new("syntax", message).at(self.file, self.span(index))
    }

    fn after(&self, index: usize, message: &str) -> Problem {
        let end = self.end_before(index);
        Problem::new("syntax", message).at(self.file, end..end)
    }

    fn insert(&self, index: usize, text: &'static str) -> Repair {
        Repair::Insert { at: self.end_before(index), text }
    }

    fn at_end(&self, kinds: &[SyntaxKind]) -> Problem {
        let problem = self.after(self.tokens.len(), "the file ends in the middle of an expression");
        if kinds.is_empty() {
            problem
                .label("more is expected here")
                .help("complete the expression: after `=`, `:` or an operator comes a value")
        } else {
            problem.label(format!("{} is expected here", either(kinds)))
        }
    }

    fn wanted(&self, index: usize, kinds: &[SyntaxKind]) -> SyntaxError {
        let found = self.found(index);
        match kinds {
            [TOKEN_SEMICOLON] => self.missing_semicolon(index),
            [TOKEN_ASSIGN] => self.missing_assign(index),
            [TOKEN_COLON] => SyntaxError {
                problem: self
                    .after(index, &format!("a `:` is missing before {found}"))
                    .label("`:` is expected here")
                    .help("a function is written `{ arguments }: value`, a set `{ name = value; }`"),
                repair: Some(self.insert(index, ":")),
            },
            [TOKEN_THEN] => SyntaxError {
                problem: self
                    .after(index, "this `if` has no `then`")
                    .label(format!("`then` is expected before {found}"))
                    .help("write `if condition then value else other`"),
                repair: Some(self.insert(index, " then null")),
            },
            [TOKEN_ELSE] => SyntaxError {
                problem: self
                    .after(index, "this `if` has no `else`")
                    .label(format!("`else` is expected before {found}"))
                    .help(
                        "in Nix every `if` has an `else`: use `null`, `\"\"` or `lib.optional` \
                         where nothing is meant",
                    ),
                repair: Some(self.insert(index, " else null")),
            },
            [TOKEN_R_BRACE] if self.kind(index) == Some(TOKEN_IDENT) => self.missing_comma(index),
            [TOKEN_R_BRACE, TOKEN_ELLIPSIS, TOKEN_IDENT] => self
                .at_token(index, &format!("{found} is not expected among the arguments of a function"))
                .help("arguments are written `{ a, b ? default, ... }:`")
                .into(),
            [TOKEN_IDENT, TOKEN_OR, ..] => SyntaxError {
                problem: self.at_token(index, &format!("{found} is where the name of an attribute is expected")).help(
                    match self.kind(index) {
                        Some(TOKEN_SEMICOLON) => "remove it: one `;` ends an attribute",
                        Some(TOKEN_ASSIGN) => "`inherit` takes names alone; an attribute is written `name = value;`",
                        _ => {
                            "an attribute is written `name = value;`; \
                             a name with other characters is quoted"
                        }
                    },
                ),
                repair: (self.kind(index) == Some(TOKEN_SEMICOLON)).then(|| Repair::Blank(self.span(index))),
            },
            kinds if kinds.contains(&TOKEN_L_PAREN) => self.missing_value(index),
            kinds => self
                .at_token(index, &format!("{found} is not expected here"))
                .label(format!("{} is expected", either(kinds)))
                .into(),
        }
    }

    fn missing_value(&self, index: usize) -> SyntaxError {
        let found = self.found(index);
        let blank = || Some(Repair::Blank(self.span(index)));
        let (help, repair) = match self.kind(index) {
            Some(
                TOKEN_SEMICOLON | TOKEN_R_BRACE | TOKEN_R_PAREN | TOKEN_R_BRACK | TOKEN_INTERPOL_END | TOKEN_IN
                | TOKEN_THEN | TOKEN_ELSE,
            ) => (
                "something is missing before it: after `=`, `:`, `(` or an operator comes a value",
                Some(self.insert(index, " null")),
            ),
            Some(TOKEN_LET | TOKEN_WITH | TOKEN_IF | TOKEN_ASSERT) => ("put this expression into parentheses", None),
            Some(TOKEN_ASSIGN) => ("a comparison is written `==`", None),
            Some(TOKEN_COMMA) => ("the items of a list are separated by spaces, not by `,`", blank()),
            Some(TOKEN_COLON) => ("a function is written `argument: value`, in a list in parentheses", blank()),
            _ => (
                "a value is a string, a number, a path, a list, a set, a name \
                 or an expression in parentheses",
                None,
            ),
        };
        SyntaxError {
            problem: self.at_token(index, &format!("{found} is where a value is expected")).help(help),
            repair,
        }
    }

    fn missing_comma(&self, index: usize) -> SyntaxError {
        let found = self.found(index);
        SyntaxError {
            problem: self
                .after(index, &format!("a `,` is missing before {found}"))
                .label("`,` is expected here")
                .help("the arguments of a function are separated by `,`"),
            repair: Some(self.insert(index, ",")),
        }
    }

    fn missing_assign(&self, index: usize) -> SyntaxError {
        if self.kind(index) == Some(TOKEN_IDENT) && self.is_formals(index) {
            return self.missing_comma(index);
        }
        let found = self.found(index);
        let problem = self.after(index, &format!("a `=` is missing before {found}")).label("`=` is expected here");
        match self.kind(index) {
            Some(TOKEN_COLON) => SyntaxError {
                problem: self
                    .at_token(index, "`:` is where `=` is expected")
                    .help("Nix writes `name = value;`, not `name: value`"),
                repair: Some(Repair::Replace { at: self.span(index).start, with: '=' }),
            },
            Some(TOKEN_SEMICOLON | TOKEN_R_BRACE) => SyntaxError {
                problem: problem.help("an attribute is written `name = value;`, or `inherit name;`"),
                repair: Some(self.insert(index, "=null")),
            },
            Some(TOKEN_COMMA) => problem
                .help(
                    "attributes end in `;`; the arguments of a function (`{ a, b }: …`) \
                     are separated by `,`",
                )
                .into(),
            _ => problem.help("an attribute is written `name = value;`, or `inherit name;`").into(),
        }
    }

    /// Whether names and commas up to `}` and `:` follow: `{ a b, c }:` with a comma missing.
    fn is_formals(&self, index: usize) -> bool {
        let mut rest = self
            .tokens
            .iter()
            .skip(index)
            .map(|token| token.kind)
            .skip_while(|kind| matches!(kind, TOKEN_IDENT | TOKEN_COMMA | TOKEN_ELLIPSIS));
        rest.next() == Some(TOKEN_R_BRACE) && matches!(rest.next(), Some(TOKEN_COLON | TOKEN_AT))
    }

    /// A missing `;` is noticed at the next token, or at the `=` of the next attribute, whose name
    /// looked like an argument. The place to mend is the end of the value before.
    fn missing_semicolon(&self, index: usize) -> SyntaxError {
        if self.kind(index) == Some(TOKEN_COMMA) {
            return SyntaxError {
                problem: self.at_token(index, "attributes end in `;`, not in `,`").help("replace the `,` by `;`"),
                repair: Some(Repair::Replace { at: self.span(index).start, with: ';' }),
            };
        }
        let at = match self.kind(index) {
            Some(TOKEN_ASSIGN | TOKEN_COLON) => self.start_of_attrpath(index),
            _ => index,
        };
        let found = self.found(at);
        SyntaxError {
            problem: self
                .after(at, &format!("a `;` is missing before {found}"))
                .label("`;` is expected here")
                .help("every attribute, `inherit` and `with` ends in `;`"),
            repair: Some(self.insert(at, ";")),
        }
    }

    /// The index of the first token of the path of attributes that ends before `index`.
    fn start_of_attrpath(&self, index: usize) -> usize {
        let mut at = index;
        while let Some(mut before) = at.checked_sub(1) {
            match self.kind(before) {
                Some(TOKEN_IDENT | TOKEN_OR) => {}
                Some(TOKEN_STRING_END) => {
                    while before > 0 && self.kind(before) != Some(TOKEN_STRING_START) {
                        before -= 1;
                    }
                }
                _ => return index,
            }
            at = before;
            match at.checked_sub(1).map(|dot| (dot, self.kind(dot))) {
                Some((dot, Some(TOKEN_DOT))) => at = dot,
                _ => return at,
            }
        }
        at
    }

    fn extra(&self, index: usize) -> SyntaxError {
        const CHAIN: &str = "comparisons do not chain: use parentheses or `&&`";
        let chains = |kind| {
            matches!(
                kind,
                TOKEN_EQUAL | TOKEN_NOT_EQUAL | TOKEN_LESS | TOKEN_MORE | TOKEN_LESS_OR_EQ | TOKEN_MORE_OR_EQ
            )
        };
        // The parser takes any token for the `)` it waits for; the mistake lies before this one.
        let first = guard::first_unexpected(self.all).map(|start| self.index(start));
        let index = first.filter(|&first| first < index).unwrap_or(index);
        let found = self.found(index);
        let kind = self.kind(index);
        if kind.is_some_and(chains) {
            return self.at_token(index, &format!("{found} follows a comparison")).help(CHAIN).into();
        }
        let problem = self
            .at_token(index, &format!("{found} follows, but the expression is complete before it"))
            .label("not part of the expression");
        let last = index + 1 == self.tokens.len();
        SyntaxError {
            problem: problem.help(match kind {
                Some(TOKEN_ASSIGN) => "attributes need braces around them: `{ name = value; }`",
                Some(TOKEN_SEMICOLON) => "a file is one expression and does not end in `;`",
                Some(TOKEN_COMMA) => "the arguments of a function need braces: `{ a, b }: …`",
                Some(TOKEN_COLON) => "only a name or `{ … }` can be the argument of a function",
                _ => "a file is one expression: remove the rest, or join it with an operator",
            }),
            repair: last.then(|| Repair::Blank(self.span(index))),
        }
    }
}

fn either(kinds: &[SyntaxKind]) -> String {
    let mut words: Vec<&str> = kinds.iter().map(|&kind| wanted(kind)).collect();
    words.dedup();
    match words.as_slice() {
        [] => "something else".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
