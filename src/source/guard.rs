//! Refuses, before the parser runs, text that would make it slow or overflow its stack.
//!
//! Owns the limits on a Nix text. The parser (rnix) is recursive, its own depth limit leaves out
//! lists, operator chains and application, and building its tree costs (nodes × depth) time; all
//! that is safe once the depth is known to be small. So this module finds the depth from the tokens
//! alone, with an explicit stack, in one pass. It must not build a tree.
//!
//! Two cases:
//! - A text with few tokens that can deepen a tree ([`FEW`]) is harmless whatever their order.
//! - A longer one is checked by [`Recogniser`], a pushdown automaton for the Nix grammar. It is
//!   stricter than rnix, so that a text it accepts holds no error that could make rnix nest where
//!   the automaton does not (the fuzz tests compare the two). Where it refuses, the one error it
//!   stopped at is reported.

mod recogniser;

#[allow(clippy::enum_glob_use, reason = "the names carry a prefix of their own, and dozens are used")]
use rnix::SyntaxKind::{self, *};

use self::recogniser::{Beside, Recogniser, Refusal};
use super::tokens::{Token, describe};
use crate::diagnostic::Problem;

/// Largest text that is read, in bytes. The largest file of nixpkgs written by hand has 1.5 MB.
pub const MAX_BYTES: usize = 8 << 20;

/// Deepest tree that a long text may make. nixpkgs stays below 100.
pub const MAX_DEPTH: usize = 1000;

/// Deepest nesting of expressions in brackets, functions, `let`, `with`, `if`. rnix stops at 512.
pub const MAX_NESTING: usize = 500;

/// So many deepening tokens can neither overflow the reader's stack nor cost noticeable time, even
/// if each one deepens the tree. About 1,500 lines of ordinary Nix have as many.
const FEW: usize = 6000;

/// Steps the lexer may spend looking ahead in a text of `bytes`. At each token it scans the run of
/// characters that could be a path, so a run of n minus signs costs n² / 2; ordinary text costs two
/// or three steps for each byte.
const fn max_lookahead(bytes: usize) -> usize {
    (4 << 20) + 4 * bytes
}

/// What is wrong with a text, or nothing. `tokens` are all tokens of `text`.
pub(super) fn check(file: &str, text: &str, tokens: &[Token<'_>]) -> Result<(), Problem> {
    let deepening = tokens.iter().filter(|token| may_deepen(token.kind)).count();
    if deepening <= FEW {
        return Ok(());
    }
    nesting(file, text, tokens)
}

/// As [`check`], however short the text is. Also used to find the place when rnix gives up.
pub(super) fn nesting(file: &str, text: &str, tokens: &[Token<'_>]) -> Result<(), Problem> {
    match run(tokens) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Problem::new("syntax", "the file ends in the middle of an expression")
            .at(file, text.len()..text.len())
            .label("more is expected here")
            .help("look for a bracket, a string or a `let` that is not closed")),
        Err((token, Refusal::TooDeep { limit })) => {
            Err(Problem::new("syntax/too-deep", format!("expressions are nested more than {limit} levels deep"))
                .at(file, token.span())
                .label("the first level too many")
                .help("name parts of the expression with `let` and refer to them"))
        }
        Err((token, Refusal::Unexpected)) => {
            Err(Problem::new("syntax", format!("{} is not expected here", describe(token.kind, token.text)))
                .at(file, token.span())
                .label("the first error in this file")
                .help(
                    "in a file of this size the errors are shown one at a time: \
             mend this one and run the command again",
                ))
        }
    }
}

/// Where the first token lies that cannot stand where it stands, if there is one.
pub(super) fn first_unexpected(tokens: &[Token<'_>]) -> Option<usize> {
    match run(tokens) {
        Err((token, Refusal::Unexpected)) => Some(token.start),
        _ => None,
    }
}

/// Runs the automaton: whether the tokens are a whole expression, or where it stopped.
fn run<'t, 'a>(tokens: &'t [Token<'a>]) -> Result<bool, (&'t Token<'a>, Refusal)> {
    let mut recogniser = Recogniser::new();
    let mut significant = tokens.iter().filter(|t| !t.kind.is_trivia());
    let mut ahead = Vec::with_capacity(2);
    while let Some(token) = significant.next() {
        ahead.clear();
        if matches!(token.kind, TOKEN_L_BRACE | TOKEN_LET | TOKEN_IDENT) {
            ahead.extend(significant.clone().take(2).map(|t| t.kind));
        }
        let neighbour = |index: Option<usize>| index.and_then(|index| tokens.get(index));
        let beside = Beside {
            hole_next: neighbour(token.index.checked_add(1)).is_some_and(|next| next.kind == TOKEN_INTERPOL_START),
            space_before: neighbour(token.index.checked_sub(1)).is_some_and(|before| before.kind.is_trivia()),
        };
        recogniser.step(token.kind, &ahead, beside).map_err(|refusal| (token, refusal))?;
    }
    Ok(recogniser.complete())
}

/// Splits `text` into tokens, or says why that would take too long.
pub(super) fn tokens<'a>(file: &str, text: &'a str) -> Result<Vec<Token<'a>>, Problem> {
    let mut tokens = Vec::with_capacity(text.len() / 4);
    let mut offset = 0;
    let mut run_end = 0;
    let mut lookahead = 0;
    for (index, (kind, token)) in rnix::tokenize(text).enumerate() {
        // rnix looks ahead for paths at each token that is not the inside of a string.
        if kind != TOKEN_STRING_CONTENT {
            if offset >= run_end {
                let run = text[offset..].bytes().take_while(|&b| in_path(b)).count();
                run_end = offset + run;
            }
            lookahead += run_end - offset;
        }
        tokens.push(Token { kind, text: token, start: offset, index });
        offset += token.len();
        if lookahead > max_lookahead(text.len()) {
            return Err(Problem::new("syntax/too-long", "a run of characters without a space is too long to read")
                .at(file, offset..offset)
                .label("in this run")
                .help("break the run with spaces or line ends"));
        }
    }
    Ok(tokens)
}

fn in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/_.+-<".contains(&byte)
}

/// Tokens of which each may add a level to the tree. Names are among them because application
/// (`f a b`) nests once for each argument.
fn may_deepen(kind: SyntaxKind) -> bool {
    !kind.is_trivia()
        && !matches!(
            kind,
            TOKEN_SEMICOLON
                | TOKEN_COMMA
                | TOKEN_ASSIGN
                | TOKEN_R_BRACE
                | TOKEN_R_BRACK
                | TOKEN_R_PAREN
                | TOKEN_INTERPOL_END
                | TOKEN_STRING_CONTENT
                | TOKEN_STRING_END
                | TOKEN_ELLIPSIS
                | TOKEN_IN
                | TOKEN_THEN
                | TOKEN_ELSE
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rnix::Root;

    fn refuses(text: &str) -> Option<Problem> {
        let tokens = tokens("f", text).expect("tokens");
        nesting("f", text, &tokens).err()
    }

    /// Texts in which the automaton must agree with rnix that there is no error.
    const GOOD: &[&str] = &[
        "{ stdenv, lib ? null, ... }@args: stdenv.mkDerivation rec { a = 1; }",
        "args@{ a, b, }: c",
        "{ }: x",
        "{ }@a: x",
        "{ ... }: x",
        "a: b: c",
        "let a = 1; b.c = 2; inherit (x) y \"z\"; in a + b",
        "let { body = 1; }",
        "with a; assert b; if c then d else e",
        "[ a b.c (d e) { } rec { } \"s\" ''t'' 1 1.5 ./x <y> (x: y) a.b or c d ]",
        "a ? b.c && !d || e -> f",
        "!a == b",
        "-a + -b * c / d ++ e // f // g",
        "a.b or c d.e or f",
        "f a b.c { } [ ] \"x\" rec { } (y)",
        "\"a ${b + \"${c}\"} d\"",
        "''a ${b} '''${c} ''${d}''",
        "./a${b}/c${d} e",
        "[ ./a${b} ./c ]",
        "{ \"a b\" = 1; ${c}.d.\"e\" = 2; inherit; inherit a; or = 1; }",
        "a or b",
        "a.\"b\".${c} or (d)",
        "a < b == c > d",
        "a |> b |> c",
        "http://example.org/x",
        "__curPos",
        "a: { b }: c",
        "f: with f; let x = 1; in { inherit x; }",
        "assert a; b: c",
    ];

    #[test]
    fn agrees_on_good_texts() {
        for text in GOOD {
            assert_eq!(Root::parse(text).errors(), [], "{text}");
            assert_eq!(refuses(text), None, "{text}");
        }
    }

    #[test]
    fn names_the_first_level_too_many() {
        let text = format!("{}1{}", "(".repeat(20_000), ")".repeat(20_000));
        let problem = refuses(&text).expect("too deep");
        assert_eq!(problem.code, "syntax/too-deep");
        assert_eq!(problem.place.expect("place").span, MAX_NESTING..MAX_NESTING + 1);
    }

    fn word() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "a",
            "b",
            "c.d",
            "1",
            "\"s\"",
            "''t''",
            "\"x${",
            "}y\"",
            "./p",
            "./p${",
            "}",
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            "rec {",
            "let",
            "in",
            "with",
            "if",
            "then",
            "else",
            "assert",
            "inherit",
            "=",
            ";",
            ",",
            ":",
            "@",
            "?",
            ".",
            "or",
            "...",
            "!",
            "-",
            "+",
            "++",
            "//",
            "==",
            "<",
            "&&",
            "||",
            "->",
            "|>",
            "<|",
            "${",
            "a =",
            "b = 1;",
            "{ a, b }:",
            "{ }:",
            "x:",
            "args@{",
            "{ a ? 1 }:",
            "inherit a;",
            "#c\n",
            "a ? b",
            "a.b or",
            "{ a = 1; }",
            "(x: y)",
            "[ 1 2 ]",
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        /// What the automaton accepts has no error for rnix: else rnix could nest unseen.
        #[test]
        fn is_at_least_as_strict_as_the_parser(
            words in proptest::collection::vec((word(), any::<bool>()), 0..14),
        ) {
            let mut text = String::new();
            for (word, space) in words {
                text.push_str(word);
                if space {
                    text.push(' ');
                }
            }
            if refuses(&text).is_none() {
                let parsed = Root::parse(&text);
                prop_assert!(parsed.errors().is_empty(), "{text:?}: {:?}", parsed.errors());
            }
        }

        /// Mutations of good texts, where near misses live.
        #[test]
        fn stays_as_strict_near_good_texts(
            text in prop::sample::select(GOOD.to_vec()),
            at in 0usize..80, cut in 0usize..4, word in word(),
        ) {
            let mut text = text.to_owned();
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            text.replace_range(at..end, word);
            if refuses(&text).is_none() {
                let parsed = Root::parse(&text);
                prop_assert!(parsed.errors().is_empty(), "{text:?}: {:?}", parsed.errors());
            }
        }
    }
}
