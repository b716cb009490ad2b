//! Brackets, strings and `let … in` that do not match.
//!
//! Owns the matching, on tokens alone. After a bracket that is not closed a parser reports what it
//! stumbled over, not the mistake; here the mistake is reported at its bracket, with the repair that
//! lets the parser go on.

#[allow(clippy::enum_glob_use, reason = "the names carry a prefix of their own, and dozens are used")]
use rnix::SyntaxKind::*;

use super::syntax::Repair;
use super::tokens::{Token, closer, describe, wanted};
use crate::diagnostic::Problem;

/// What bracket matching found.
pub(super) struct Brackets {
    pub(super) problems: Vec<Problem>,
    pub(super) repairs: Vec<Repair>,
    /// From here on the parser's errors follow from what is reported already.
    pub(super) unreliable_from: Option<usize>,
}

struct OpenBracket<'t, 'a> {
    token: &'t Token<'a>,
    /// `with` and `assert` whose `;` has not come.
    awaited: usize,
}

/// Matches the brackets of `tokens`, all tokens of `text`.
pub(super) fn check(file: &str, text: &str, tokens: &[Token<'_>]) -> Brackets {
    let mut found = Brackets { problems: Vec::new(), repairs: Vec::new(), unreliable_from: None };
    let mut open: Vec<OpenBracket<'_, '_>> = Vec::new();
    let mut awaited_outside = 0;
    let mut last_end = 0;
    let significant: Vec<&Token<'_>> = tokens.iter().filter(|t| !t.kind.is_trivia()).collect();
    for (index, &token) in significant.iter().enumerate() {
        let next = significant.get(index + 1).map(|token| token.kind);
        match token.kind {
            TOKEN_LET if next == Some(TOKEN_L_BRACE) => {}
            TOKEN_LET => open.push(OpenBracket { token, awaited: 0 }),
            TOKEN_IN => {
                // An `in` without a `let` is left to the parser.
                let at = open.iter().rposition(|bracket| bracket.token.kind == TOKEN_LET);
                if let Some(at) = at {
                    for bracket in open.drain(at..).skip(1).rev() {
                        found.unclosed(file, &bracket, Some(token), last_end);
                    }
                }
            }
            TOKEN_WITH | TOKEN_ASSERT => match open.last_mut() {
                Some(bracket) => bracket.awaited += 1,
                None => awaited_outside += 1,
            },
            TOKEN_SEMICOLON => loop {
                let Some(bracket) = open.last_mut() else {
                    awaited_outside = usize::saturating_sub(awaited_outside, 1);
                    break;
                };
                if bracket.awaited > 0 {
                    bracket.awaited -= 1;
                    break;
                }
                // A `;` ends a binding, so what is open inside the binding should be closed.
                let in_binding = open
                    .iter()
                    .rev()
                    .skip(1)
                    .any(|outer| matches!(outer.token.kind, TOKEN_L_BRACE | TOKEN_LET) || outer.awaited > 0);
                match open.last().map(|bracket| bracket.token.kind) {
                    Some(TOKEN_L_PAREN | TOKEN_L_BRACK) if in_binding => {
                        if let Some(bracket) = open.pop() {
                            found.unclosed(file, &bracket, Some(token), last_end);
                        }
                    }
                    _ => break,
                }
            },
            TOKEN_ASSIGN => {
                if let Some(OpenBracket { token: bracket, .. }) = open.last()
                    && matches!(bracket.kind, TOKEN_L_PAREN | TOKEN_L_BRACK)
                {
                    found.assignment(file, token, bracket);
                }
            }
            kind if closer(kind).is_some() => open.push(OpenBracket { token, awaited: 0 }),
            TOKEN_R_PAREN | TOKEN_R_BRACE | TOKEN_R_BRACK | TOKEN_INTERPOL_END | TOKEN_STRING_END => {
                let at = open.iter().rposition(|bracket| closer(bracket.token.kind) == Some(token.kind));
                if let Some(at) = at {
                    for bracket in open.drain(at..).skip(1).rev() {
                        found.unclosed(file, &bracket, Some(token), last_end);
                    }
                } else {
                    found.stray(file, token);
                }
            }
            _ => {}
        }
        last_end = token.end();
    }
    if !open.is_empty() {
        found.unreliable_from = Some(last_end);
    }
    // What swallowed the rest of the file is the mistake; what it swallowed the ends of is not.
    let kinds = [TOKEN_INTERPOL_START, TOKEN_STRING_START];
    let culprit = kinds.iter().find_map(|kind| open.iter().find(|bracket| bracket.token.kind == *kind));
    if let Some(bracket) = culprit {
        found.unclosed(file, bracket, None, text.len());
        found.unreliable_from = Some(bracket.token.start);
    } else {
        for bracket in open.iter().rev() {
            found.unclosed(file, bracket, None, text.len());
        }
    }
    found
}

impl Brackets {
    fn unclosed(&mut self, file: &str, bracket: &OpenBracket<'_, '_>, at: Option<&Token<'_>>, insert_at: usize) {
        let token = bracket.token;
        let before = at.map_or("the end of the file".to_owned(), |at| describe(at.kind, at.text));
        let problem = match token.kind {
            TOKEN_LET => {
                self.unreliable_from = Some(self.unreliable_from.map_or(token.start, |at| at.min(token.start)));
                Problem::new("syntax", "this `let` has no `in`")
                    .label("names are defined from here on")
                    .help("write `in` and the value after the last definition")
            }
            TOKEN_STRING_START => {
                self.unreliable_from = Some(self.unreliable_from.map_or(token.start, |at| at.min(token.start)));
                Problem::new("syntax", "this string is never closed").label("it begins here").help(format!(
                    "close it with `{}`; if this is meant to be the end of a string, an earlier quote is missing",
                    token.text
                ))
            }
            open => {
                let close = closer(open).map_or("`)`", wanted);
                let text = match open {
                    TOKEN_L_PAREN => ")",
                    TOKEN_L_BRACK => "]",
                    _ => "}",
                };
                self.repairs.push(Repair::Insert { at: insert_at, text });
                Problem::new("syntax", format!("this `{}` is never closed", token.text))
                    .label(format!("needs a {close} before {before}"))
                    .help(format!("add the missing {close}"))
            }
        };
        self.problems.push(problem.at(file, token.span()));
    }

    fn assignment(&mut self, file: &str, token: &Token<'_>, bracket: &Token<'_>) {
        self.repairs.push(Repair::Blank(token.span()));
        self.problems.push(
            Problem::new("syntax", format!("`=` is not expected inside `{}`", bracket.text))
                .at(file, token.span())
                .help("a set is written `{ name = value; }`, a comparison `a == b`"),
        );
    }

    fn stray(&mut self, file: &str, token: &Token<'_>) {
        self.repairs.push(Repair::Blank(token.span()));
        let open = match token.kind {
            TOKEN_R_PAREN => "(",
            TOKEN_R_BRACK => "[",
            _ => "{",
        };
        self.problems.push(
            Problem::new("syntax", format!("this `{}` closes nothing", token.text))
                .at(file, token.span())
                .label(format!("no `{open}` is open here"))
                .help("remove it, or look for a bracket that was closed too early"),
        );
    }
}
