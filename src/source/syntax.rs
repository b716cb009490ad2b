//! From text to a syntax tree, or to all the syntax errors in words a user understands.
//!
//! Owns the translation of the parser's errors. It must not know packages. Brackets come first:
//! after one that is not closed, a parser reports what it stumbled over, not the mistake. So the
//! brackets are matched on the tokens, each mistake is reported at its bracket, and the errors of a
//! repaired text are reported besides.

use rnix::ast::Root;
use rnix::{ParseError, SyntaxKind, SyntaxKind::*};

use super::guard;
use super::tokens::{Token, closer, describe, wanted};
use crate::diagnostic::{Problem, Span};

/// At most so many errors are reported: more come from a file that is not Nix at all.
const MAX_ERRORS: usize = 50;

/// Parses `text`. Recurses as deep as the text nests (bounded by [`guard`]): call it with a large stack.
pub(super) fn parse(file: &str, text: &str) -> Result<Root, Vec<Problem>> {
    let mut problems = characters(file, text);
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
    problems.extend(lexical(file, &tokens));
    let parsed = Root::parse(text);
    if parsed.errors().is_empty() && problems.is_empty() {
        return Ok(parsed.tree());
    }
    let brackets = match_brackets(file, text, &tokens);
    problems.extend(brackets.problems);
    let errors = if brackets.repairs.is_empty() {
        translate(file, text, &tokens, parsed.errors())
    } else {
        let repaired = Repaired::new(text, brackets.repairs);
        let tokens = guard::tokens(file, &repaired.text).map_err(|problem| vec![problem])?;
        let parsed = Root::parse(&repaired.text);
        let mut errors = translate(file, &repaired.text, &tokens, parsed.errors());
        for place in errors.iter_mut().filter_map(|error| error.place.as_mut()) {
            place.span = repaired.original(place.span.start)..repaired.original(place.span.end);
        }
        errors
    };
    for error in errors {
        let start = start_of(&error);
        let shadowed = brackets.unreliable_from.is_some_and(|from| start >= from);
        let known = problems.iter().any(|problem| start_of(problem) == start);
        if !shadowed && !known {
            problems.push(error);
        }
    }
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
        problems.push(Problem::new(
            "syntax",
            format!("{more} more errors in this file are not shown"),
        ));
    }
    Err(problems)
}

fn start_of(problem: &Problem) -> usize {
    problem.place.as_ref().map_or(0, |place| place.span.start)
}

/// Characters that Nix accepts nowhere, checked before anything else.
fn characters(file: &str, text: &str) -> Vec<Problem> {
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
fn lexical(file: &str, tokens: &[Token<'_>]) -> Vec<Problem> {
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
                                format!(
                                    "the character U+{:04X} is not a space to Nix",
                                    u32::from(character)
                                ),
                            )
                            .at(file, start..start + character.len_utf8())
                            .help(
                                "replace it by an ordinary space; it often comes from copied text",
                            ),
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
        Problem::new(
            "syntax",
            format!("{} is not a path", describe(token.kind, token.text)),
        )
        .help("a path may not end in `/` nor contain `//`")
    } else {
        Problem::new(
            "syntax",
            format!("{} has no meaning in Nix", describe(token.kind, token.text)),
        )
        .help(match token.text {
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
    token
        .index
        .checked_sub(1)
        .and_then(|before| tokens.get(before))
        .is_some_and(|before| {
            matches!(
                before.kind,
                TOKEN_STRING_START | TOKEN_STRING_CONTENT | TOKEN_ERROR
            ) || before.kind == TOKEN_INTERPOL_END && token.index + 1 == tokens.len()
        })
}

/// What bracket matching found.
struct Brackets {
    problems: Vec<Problem>,
    repairs: Vec<Repair>,
    /// From here on the parser's errors follow from what is reported already.
    unreliable_from: Option<usize>,
}

/// A change that mends a bracket.
enum Repair {
    Insert { at: usize, text: &'static str },
    Blank(Span),
}

struct OpenBracket<'t, 'a> {
    token: &'t Token<'a>,
    /// `with` and `assert` whose `;` has not come.
    awaited: usize,
}

fn match_brackets(file: &str, text: &str, tokens: &[Token<'_>]) -> Brackets {
    let mut found = Brackets {
        problems: Vec::new(),
        repairs: Vec::new(),
        unreliable_from: None,
    };
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
                let at = open
                    .iter()
                    .rposition(|bracket| bracket.token.kind == TOKEN_LET);
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
                let in_binding = open.iter().rev().skip(1).any(|outer| {
                    matches!(outer.token.kind, TOKEN_L_BRACE | TOKEN_LET) || outer.awaited > 0
                });
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
            TOKEN_R_PAREN | TOKEN_R_BRACE | TOKEN_R_BRACK | TOKEN_INTERPOL_END
            | TOKEN_STRING_END => {
                let at = open
                    .iter()
                    .rposition(|bracket| closer(bracket.token.kind) == Some(token.kind));
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
    for bracket in open.into_iter().rev() {
        found.unclosed(file, &bracket, None, text.len());
    }
    found
}

impl Brackets {
    fn unclosed(
        &mut self,
        file: &str,
        bracket: &OpenBracket<'_, '_>,
        at: Option<&Token<'_>>,
        insert_at: usize,
    ) {
        let token = bracket.token;
        let before = at.map_or("the end of the file".to_owned(), |at| {
            describe(at.kind, at.text)
        });
        let problem = match token.kind {
            TOKEN_LET => {
                self.unreliable_from = Some(
                    self.unreliable_from
                        .map_or(token.start, |at| at.min(token.start)),
                );
                Problem::new("syntax", "this `let` has no `in`")
                    .label("names are defined from here on")
                    .help("write `in` and the value after the last definition")
            }
            TOKEN_STRING_START => {
                self.unreliable_from = Some(
                    self.unreliable_from
                        .map_or(token.start, |at| at.min(token.start)),
                );
                Problem::new("syntax", "this string is never closed")
                    .label("it begins here")
                    .help(format!(
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
                self.repairs.push(Repair::Insert {
                    at: insert_at,
                    text,
                });
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
            Problem::new(
                "syntax",
                format!("`=` is not expected inside `{}`", bracket.text),
            )
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

/// A text with its brackets mended, and the way back to places in the original.
struct Repaired {
    text: String,
    /// Places of insertions in the new text with their lengths, in order.
    insertions: Vec<(usize, usize)>,
}

impl Repaired {
    fn new(text: &str, mut repairs: Vec<Repair>) -> Self {
        repairs.sort_by_key(|repair| match repair {
            Repair::Insert { at, .. } => *at,
            Repair::Blank(span) => span.start,
        });
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
                Repair::Blank(span) => {
                    out.push_str(text.get(done..span.start).unwrap_or(""));
                    out.extend(std::iter::repeat_n(' ', span.len()));
                    done = done.max(span.end);
                }
            }
        }
        out.push_str(text.get(done..).unwrap_or(""));
        Self {
            text: out,
            insertions,
        }
    }

    fn original(&self, offset: usize) -> usize {
        let inserted: usize = self
            .insertions
            .iter()
            .take_while(|(at, _)| *at < offset)
            .map(|(at, length)| (*length).min(offset - at))
            .sum();
        offset - inserted
    }
}

/// The parser's errors in a user's words.
fn translate(file: &str, text: &str, tokens: &[Token<'_>], errors: &[ParseError]) -> Vec<Problem> {
    let significant: Vec<Token<'_>> = tokens
        .iter()
        .filter(|token| !token.kind.is_trivia())
        .copied()
        .collect();
    let context = Context {
        file,
        text,
        tokens: &significant,
    };
    let mut problems: Vec<Problem> = Vec::new();
    let mut covered = 0;
    for error in errors {
        let start = range(error).map_or(text.len(), |span| span.start);
        // What was skipped to get over the error before is not an error of its own.
        if start < covered {
            continue;
        }
        // A stray character was reported when the tokens were looked at.
        let token = significant.partition_point(|token| token.start < start);
        if significant
            .get(token)
            .is_some_and(|token| token.kind == TOKEN_ERROR)
        {
            covered = range(error).map_or(0, |span| span.end);
            continue;
        }
        let problem = match error {
            ParseError::RecursionLimitExceeded => match guard::nesting(file, text, tokens) {
                Err(problem) => problem,
                Ok(()) => Problem::new("syntax/too-deep", "expressions are nested too deeply")
                    .at(file, 0..0),
            },
            _ => context.problem(error, start),
        };
        covered = range(error).map_or(0, |span| span.end);
        problems.push(problem);
    }
    problems
}

fn range(error: &ParseError) -> Option<Span> {
    match error {
        ParseError::Unexpected(range)
        | ParseError::UnexpectedExtra(range)
        | ParseError::UnexpectedWanted(_, range, _)
        | ParseError::UnexpectedDoubleBind(range)
        | ParseError::DuplicatedArgs(range, _) => {
            Some(usize::from(range.start())..usize::from(range.end()))
        }
        _ => None,
    }
}

struct Context<'t, 'a> {
    file: &'t str,
    text: &'a str,
    /// Without spaces and comments.
    tokens: &'t [Token<'a>],
}

impl Context<'_, '_> {
    fn problem(&self, error: &ParseError, start: usize) -> Problem {
        let index = self.tokens.partition_point(|token| token.start < start);
        match error {
            ParseError::UnexpectedWanted(_, _, kinds) => self.wanted(index, kinds),
            ParseError::UnexpectedExtra(_) => self.extra(index),
            ParseError::UnexpectedDoubleBind(_) => self
                .at_token(index, "the arguments have a name already")
                .help("keep one of `name@{ … }` and `{ … }@name`"),
            ParseError::DuplicatedArgs(_, name) => self
                .at_token(index, &format!("the argument `{name}` is there twice"))
                .help("remove one of the two"),
            ParseError::UnexpectedEOFWanted(kinds) => self.at_end(kinds),
            ParseError::UnexpectedEOF => self.at_end(&[]),
            _ => {
                let found = self.found(index);
                self.at_token(index, &format!("{found} is not expected here"))
            }
        }
    }

    fn found(&self, index: usize) -> String {
        self.tokens
            .get(index)
            .map_or("the end of the file".to_owned(), |token| {
                describe(token.kind, token.text)
            })
    }

    fn kind(&self, index: usize) -> Option<SyntaxKind> {
        self.tokens.get(index).map(|token| token.kind)
    }

    fn at_token(&self, index: usize, message: &str) -> Problem {
        let span = self
            .tokens
            .get(index)
            .map_or(self.text.len()..self.text.len(), Token::span);
        Problem::new("syntax", message).at(self.file, span)
    }

    /// A problem right after the token before `index`: the place where something is missing.
    fn after(&self, index: usize, message: &str) -> Problem {
        let end = index
            .checked_sub(1)
            .and_then(|before| self.tokens.get(before))
            .map_or(0, Token::end);
        Problem::new("syntax", message).at(self.file, end..end)
    }

    fn at_end(&self, kinds: &[SyntaxKind]) -> Problem {
        let problem = self.after(
            self.tokens.len(),
            "the file ends in the middle of an expression",
        );
        if kinds.is_empty() {
            problem
                .label("more is expected here")
                .help("complete the expression: after `=`, `:` or an operator comes a value")
        } else {
            problem.label(format!("{} is expected here", either(kinds)))
        }
    }

    fn wanted(&self, index: usize, kinds: &[SyntaxKind]) -> Problem {
        let found = self.found(index);
        match kinds {
            [TOKEN_SEMICOLON] => self.missing_semicolon(index),
            [TOKEN_ASSIGN] => {
                let problem = self
                    .after(index, &format!("a `=` is missing before {found}"))
                    .label("`=` is expected here");
                problem.help(match self.kind(index) {
                    Some(TOKEN_COLON) => "Nix writes `name = value;`, not `name: value`",
                    Some(TOKEN_COMMA) => {
                        "attributes end in `;`; the arguments of a function (`{ a, b }: …`) are separated by `,`"
                    }
                    _ => "an attribute is written `name = value;`, or `inherit name;`",
                })
            }
            [TOKEN_COLON] => self
                .after(index, &format!("a `:` is missing before {found}"))
                .label("`:` is expected here")
                .help("a function is written `{ arguments }: value`; a set is written `{ name = value; }`"),
            [TOKEN_THEN] => self
                .after(index, "this `if` has no `then`")
                .label(format!("`then` is expected before {found}"))
                .help("write `if condition then value else other`"),
            [TOKEN_ELSE] => self
                .after(index, "this `if` has no `else`")
                .label(format!("`else` is expected before {found}"))
                .help("in Nix every `if` has an `else`: use `null`, `\"\"` or `lib.optional` where nothing is meant"),
            [TOKEN_R_BRACE] if self.kind(index) == Some(TOKEN_IDENT) => self
                .after(index, &format!("a `,` is missing before {found}"))
                .label("`,` is expected here")
                .help("the arguments of a function are separated by `,`"),
            [TOKEN_R_BRACE, TOKEN_ELLIPSIS, TOKEN_IDENT] => self
                .at_token(index, &format!("{found} is not expected among the arguments of a function"))
                .help("arguments are written `{ a, b ? default, ... }:`"),
            [TOKEN_IDENT, TOKEN_OR, ..] => self
                .at_token(index, &format!("{found} is where the name of an attribute is expected"))
                .help("an attribute is written `name = value;`; names with other characters are quoted"),
            kinds if kinds.contains(&TOKEN_L_PAREN) => self
                .at_token(index, &format!("{found} is where a value is expected"))
                .help(self.value_help(index)),
            kinds => self
                .at_token(index, &format!("{found} is not expected here"))
                .label(format!("{} is expected", either(kinds))),
        }
    }

    fn value_help(&self, index: usize) -> &'static str {
        match self.kind(index) {
            Some(TOKEN_SEMICOLON | TOKEN_R_BRACE | TOKEN_R_PAREN | TOKEN_R_BRACK) => {
                "something is missing before it: after `=`, `:`, `(` or an operator comes a value"
            }
            Some(TOKEN_LET | TOKEN_WITH | TOKEN_IF | TOKEN_ASSERT) => {
                "put this expression into parentheses"
            }
            Some(TOKEN_ASSIGN) => "a comparison is written `==`",
            Some(TOKEN_COMMA) => "the items of a list are separated by spaces, not by `,`",
            Some(TOKEN_COLON) => {
                "a function is written `argument: value`, in a list in parentheses"
            }
            _ => {
                "a value is a string, a number, a path, a list, a set, a name or an expression in parentheses"
            }
        }
    }

    /// A missing `;` is noticed at the next token, or at the `=` of the next attribute, whose name
    /// looked like an argument. The place to mend is the end of the value before.
    fn missing_semicolon(&self, index: usize) -> Problem {
        let mut at = index;
        if self.kind(index) == Some(TOKEN_ASSIGN) {
            at = self.start_of_attrpath(index);
        } else if self.kind(index) == Some(TOKEN_COMMA) {
            return self
                .at_token(index, "attributes end in `;`, not in `,`")
                .help("replace the `,` by `;`");
        }
        let found = self.found(at);
        self.after(at, &format!("a `;` is missing before {found}"))
            .label("`;` is expected here")
            .help("every attribute, `inherit` and `with` ends in `;`")
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

    fn extra(&self, index: usize) -> Problem {
        let found = self.found(index);
        let problem = self
            .at_token(
                index,
                &format!("{found} follows, but the expression is complete before it"),
            )
            .label("not part of the expression");
        problem.help(match self.kind(index) {
            Some(TOKEN_ASSIGN) => "attributes need braces around them: `{ name = value; }`",
            Some(TOKEN_SEMICOLON) => "a file is one expression and does not end in `;`",
            Some(TOKEN_COMMA) => "the arguments of a function need braces: `{ a, b }: …`",
            Some(TOKEN_COLON) => "only a name or `{ … }` can be the argument of a function",
            Some(
                TOKEN_EQUAL | TOKEN_NOT_EQUAL | TOKEN_LESS | TOKEN_MORE | TOKEN_LESS_OR_EQ
                | TOKEN_MORE_OR_EQ,
            ) => "comparisons do not chain: use parentheses or `&&`",
            _ => "a file is one expression: remove the rest, or join it with an operator",
        })
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
