//! The door to the parser crate: text in, its syntax tree out, or the reason why there is none that can be trusted.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use shuck_ast::{BraceSyntax, File, Word, WordPart, WordPartNode};
use shuck_parser::parser::{ParseStatus, Parser};

use super::{Finding, Place};

/// Why there is no result.
pub(super) enum Lost {
    /// It took too long.
    Time,
    /// It panicked, or the machine has no thread left.
    Panic,
}

/// Runs `work` on a thread whose stack fits the deepest tree that the parser makes, for [`LONGEST_TIME`] at most.
///
/// Nothing can stop a thread from outside: one that takes longer goes on in vain until the process ends.
pub(super) fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Lost> {
    const STACK: usize = 256 << 20; // Address space; pages are used as they are reached.
    let (sender, result) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name("script".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            // Nobody waits any more when it fails.
            let _ = sender.send(work());
        })
        .map_err(|_| Lost::Panic)?;
    result.recv_timeout(LONGEST_TIME).map_err(|error| match error {
        RecvTimeoutError::Timeout => Lost::Time,
        RecvTimeoutError::Disconnected => Lost::Panic,
    })
}

/// Braces that may be open at once: from here on the parser takes time that grows with the square of their number, or
/// worse (`${a[${a[…`), so more count as not understood. Text in braces, such as JSON, is far from it.
const DEEPEST_BRACES: usize = 60;

/// The longest that a script is read for. stdenv's own setup.sh takes some milliseconds.
const LONGEST_TIME: Duration = Duration::from_secs(10);

fn too_many_braces(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    text.bytes().position(|byte| {
        match byte {
            b'{' => open += 1,
            b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > DEEPEST_BRACES
    })
}

/// Parses a whole script.
pub(super) fn parse(text: &str) -> Result<File, Finding> {
    if let Some(at) = text.find('\0') {
        return Err(Finding { reason: "a NUL byte stands in it".to_owned(), span: place(text, at, at + 1) });
    }
    if let Some(at) = too_many_braces(text) {
        return Err(Finding { reason: "its braces are nested too deep".to_owned(), span: place(text, at, at + 1) });
    }
    let result = Parser::new(text).parse();
    if result.status == ParseStatus::Clean {
        return Ok(result.file);
    }
    let (message, span) = result.diagnostics.first().map_or_else(
        || ("it is not complete".to_owned(), place(text, text.len(), text.len())),
        |first| (first.message.clone(), place(text, first.span.start.offset(), first.span.end.offset())),
    );
    Err(Finding { reason: format!("the bash parser does not understand it: {message}"), span })
}

/// A place made safe: inside the text, in order, on character boundaries.
pub(super) fn place(text: &str, start: usize, end: usize) -> Place {
    let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let start = boundary(start);
    Place { start, end: boundary(end).max(start) }
}

/// The place of one of the parser's spans.
pub(super) fn of(text: &str, span: shuck_ast::Span) -> Place {
    place(text, span.start.offset(), span.end.offset())
}

/// What a word is when the shell has expanded it, where that is certain: no expansion, no brace, no backslash outside
/// single quotes.
pub(super) fn constant(word: &Word, text: &str) -> Option<String> {
    if word.brace_syntax.iter().any(|brace: &BraceSyntax| brace.expands()) {
        return None;
    }
    let mut out = String::new();
    constant_parts(&word.parts, text, &mut out).then_some(out)
}

fn constant_parts(parts: &[WordPartNode], text: &str, out: &mut String) -> bool {
    parts.iter().all(|part| match &part.kind {
        WordPart::Literal(literal) => {
            let literal = literal.as_str(text, part.span);
            out.push_str(literal);
            // The parser takes some backslashes away, and leaves others.
            !literal.contains('\\')
        }
        WordPart::SingleQuoted { value, dollar } => {
            let value = value.slice(text);
            out.push_str(value);
            !(*dollar && value.contains('\\'))
        }
        WordPart::DoubleQuoted { parts, .. } => constant_parts(parts, text, out),
        _ => false,
    })
}

/// [`constant`] for the word at a command's place, with the backslashes (`\env`) taken away.
pub(super) fn constant_name(word: &Word, text: &str) -> Option<String> {
    let braces = word.brace_syntax.iter().any(|brace: &BraceSyntax| brace.expands());
    let escapes = |part: &WordPartNode| matches!(&part.kind, WordPart::SingleQuoted { value, dollar: true } if value.slice(text).contains('\\'));
    if braces || word.parts.iter().any(escapes) {
        return None;
    }
    shuck_ast::static_command_name_text(word, text).map(std::borrow::Cow::into_owned)
}
