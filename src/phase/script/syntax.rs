//! The door to the parser crate: text in, its syntax tree out, or the reason why there is none that can be trusted.

use shuck_ast::{BraceSyntax, File, Word, WordPart, WordPartNode};
use shuck_parser::parser::{ParseStatus, Parser};

use super::{Finding, Place};

/// Runs `work` on a thread whose stack fits the deepest tree that the parser makes; `None` where it panicked.
pub(super) fn with_a_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    const STACK: usize = 256 << 20; // Address space; pages are used as they are reached.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("script".to_owned()).stack_size(STACK).spawn_scoped(scope, work);
        thread.ok()?.join().ok()
    })
}

/// Parses a whole script.
pub(super) fn parse(text: &str) -> Result<File, Finding> {
    if let Some(at) = text.find('\0') {
        return Err(Finding { reason: "a NUL byte stands in it".to_owned(), span: place(text, at, at + 1) });
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

/// What a word is when the shell has expanded it, where that is certain: no expansion, no brace, no escape in `$'…'`.
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
            true
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

/// [`constant`] for the word at a command's place, where a backslash before a letter means nothing.
pub(super) fn constant_name(word: &Word, text: &str) -> Option<String> {
    if word.brace_syntax.iter().any(|brace: &BraceSyntax| brace.expands()) {
        return None;
    }
    constant(word, text)?;
    shuck_ast::static_command_name_text(word, text).map(std::borrow::Cow::into_owned)
}
