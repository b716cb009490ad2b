//! From text to a syntax tree, or to all the syntax errors in words a user understands.
//!
//! Owns the order of the work. A parser that meets an error skips text, and what it skips hides
//! other errors or makes new ones. So each mistake that can be mended is mended in a copy of the
//! text (a bracket closed, a `;` put in) and the copy is parsed again, until no error is left or one
//! cannot be mended. Places are carried back to the text the user wrote.

use rnix::SyntaxKind::TOKEN_ERROR;
use rnix::ast::Root;

use super::tokens::Token;
use super::{brackets, errors, guard, lexical};
use crate::diagnostic::{Problem, Span, position};

/// At most so many errors are reported: more come from a file that is not Nix at all.
const MAX_ERRORS: usize = 50;

/// Parses `text`. Recurses as deep as the text nests (bounded by [`guard`]): call it with a large stack.
pub(super) fn parse(file: &str, text: &str) -> Result<Root, Vec<Problem>> {
    let mut problems = lexical::characters(file, text);
    if !problems.is_empty() {
        return Err(problems);
    }
    let tokens = guard::tokens(file, text).map_err(|problem| vec![problem])?;
    guard::check(file, text, &tokens).map_err(|problem| vec![problem])?;
    if !tokens.iter().any(|token| !token.kind.is_trivia()) {
        return Err(vec![
            Problem::new("source/empty", "the file holds no expression")
                .at(file, 0..0)
                .help("a package is a function like `{ stdenv }: stdenv.mkDerivation { … }`"),
        ]);
    }
    problems.extend(lexical::tokens(file, &tokens));
    let parsed = Root::parse(text);
    if parsed.errors().is_empty() && problems.is_empty() {
        return Ok(parsed.tree());
    }
    all_errors(file, text, &tokens, &mut problems);
    if problems.is_empty() {
        problems.push(
            Problem::new("syntax", "this is not a Nix expression")
                .at(file, 0..text.len())
                .help("`nix-instantiate --parse` on the file may say more"),
        );
    }
    problems.sort_by_key(start_of);
    if problems.len() > MAX_ERRORS {
        let more = problems.len() - MAX_ERRORS;
        problems.truncate(MAX_ERRORS);
        problems.push(Problem::new("syntax", format!("{more} more errors in this file are not shown")));
    }
    Err(problems)
}

fn start_of(problem: &Problem) -> usize {
    problem.place.as_ref().map_or(0, |place| place.span.start)
}

/// Adds to `problems` the errors of brackets and of the parser, mending as it goes.
fn all_errors(file: &str, text: &str, tokens: &[Token<'_>], problems: &mut Vec<Problem>) {
    let found = brackets::check(file, text, tokens);
    problems.extend(found.problems);
    let unreliable_from = found.unreliable_from;
    let stray = tokens
        .iter()
        .filter(|token| token.kind == TOKEN_ERROR && token.text.chars().count() == 1)
        .map(|token| Repair::Blank(token.span()));
    let mut mended = Mended::new(text, found.repairs.into_iter().chain(stray).collect());
    for _ in 0..=MAX_ERRORS {
        let Ok(tokens) = guard::tokens(file, mended.text()) else {
            return;
        };
        let parsed = Root::parse(mended.text());
        let found = errors::translate(file, mended.text(), &tokens, parsed.errors());
        let Some(first) = found.first() else {
            return;
        };
        let repair = first.repair.clone();
        // What follows an error that cannot be mended may be its echo, at least on the same line.
        let line = position(mended.text(), start_of(&first.problem)).line;
        let keep = match repair {
            Some(_) => 1,
            None => found.len(),
        };
        let found: Vec<Problem> = found
            .into_iter()
            .take(keep)
            .enumerate()
            .filter(|(index, error)| *index == 0 || position(mended.text(), start_of(&error.problem)).line > line)
            .map(|(_, error)| mended.carry_back(error.problem))
            .collect();
        for problem in found {
            let start = start_of(&problem);
            let echo = unreliable_from.is_some_and(|from| start >= from);
            let known = problems.iter().any(|known| start_of(known) == start);
            if !echo && !known {
                problems.push(problem);
            }
        }
        match repair {
            Some(repair) => mended.mend(repair),
            None => return,
        }
    }
}

/// A change to a text that mends a mistake, so that the next one can be seen.
#[derive(Debug, Clone)]
pub(super) enum Repair {
    /// Puts `text` at byte `at`.
    Insert { at: usize, text: &'static str },
    /// Replaces the bytes by spaces.
    Blank(Span),
    /// Replaces the one-byte character at byte `at`.
    Replace { at: usize, with: char },
}

/// A text as mended so far, and the way back to places in the original.
struct Mended {
    text: String,
    /// For each round, the insertions (places in the text after the round, lengths), in order.
    rounds: Vec<Vec<(usize, usize)>>,
}

impl Mended {
    fn new(text: &str, repairs: Vec<Repair>) -> Self {
        let mut mended = Self { text: text.to_owned(), rounds: Vec::new() };
        mended.apply(repairs);
        mended
    }

    fn text(&self) -> &str {
        &self.text
    }

    fn mend(&mut self, repair: Repair) {
        self.apply(vec![repair]);
    }

    fn apply(&mut self, mut repairs: Vec<Repair>) {
        repairs.sort_by_key(|repair| match repair {
            Repair::Insert { at, .. } | Repair::Replace { at, .. } => *at,
            Repair::Blank(span) => span.start,
        });
        let text = &self.text;
        let mut out = String::with_capacity(text.len() + repairs.len());
        let mut insertions = Vec::new();
        let mut done = 0;
        for repair in repairs {
            match repair {
                Repair::Insert { at, text: inserted } => {
                    out.push_str(text.get(done..at).unwrap_or(""));
                    done = done.max(at);
                    insertions.push((out.len(), inserted.len()));
                    out.push_str(inserted);
                }
                Repair::Replace { at, with } => {
                    out.push_str(text.get(done..at).unwrap_or(""));
                    out.push(with);
                    done = done.max(at + 1);
                }
                Repair::Blank(span) => {
                    out.push_str(text.get(done..span.start).unwrap_or(""));
                    out.extend(std::iter::repeat_n(' ', span.len()));
                    done = done.max(span.end);
                }
            }
        }
        out.push_str(text.get(done..).unwrap_or(""));
        self.text = out;
        self.rounds.push(insertions);
    }

    fn original(&self, offset: usize) -> usize {
        self.rounds.iter().rev().fold(offset, |offset, insertions| {
            let inserted: usize = insertions
                .iter()
                .take_while(|(at, _)| *at < offset)
                .map(|(at, length)| (*length).min(offset - at))
                .sum();
            offset - inserted
        })
    }

    fn carry_back(&self, mut problem: Problem) -> Problem {
        if let Some(place) = &mut problem.place {
            place.span = self.original(place.span.start)..self.original(place.span.end);
        }
        problem
    }
}
