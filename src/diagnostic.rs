//! A user's mistake as data: what is wrong, where, and what to do about it.
//!
//! Owns the [`Problem`] type and its rendering to text. Every part of the program that judges a
//! user's input returns `Vec<Problem>`, so that all mistakes are shown at once. This module must not
//! know what the text is about (Nix, bash, a command line), read files, or print.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// Bytes of a text, from `start` to before `end`.
pub type Span = Range<usize>;

/// Whether a problem stops the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The work cannot go on.
    Error,
    /// The work goes on; the result may not be what the user wants.
    Warning,
}

/// Where a problem is: bytes of one named text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name of the text as the user wrote it (a path, or something like `<-E>`).
    pub file: String,
    /// The bytes concerned. May be empty, and may lie past the end: rendering clamps it.
    pub span: Span,
}

/// One mistake of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A stable name for the kind of problem, such as `syntax` or `drv/malformed`, for scripts and tests.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// Where, if it is about a place in a text.
    pub place: Option<Place>,
    /// Written beside the caret.
    pub label: Option<Box<str>>,
    /// What the user can do.
    pub help: Option<Box<str>>,
}

impl Problem {
    /// An error without a place.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), place: None, label: None, help: None }
    }

    /// Makes it a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Says where: the bytes `span` of the text named `file`.
    #[must_use]
    pub fn at(mut self, file: impl Into<String>, span: Span) -> Self {
        self.place = Some(Place { file: file.into(), span });
        self
    }

    /// Sets the words beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into().into());
        self
    }

    /// Sets what the user can do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into().into());
        self
    }
}

/// The texts that problems point into, by name. A name nobody added renders without its line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'a>(&'a [(&'a str, &'a str)]);

impl<'a> Sources<'a> {
    /// Texts as pairs of name and content.
    pub fn new(texts: &'a [(&'a str, &'a str)]) -> Self {
        Self(texts)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|&(_, text)| text)
    }
}

/// Renders all problems in the order given, each ending in a newline, with a blank line between.
///
/// `colour` adds terminal escapes; whether to is the caller's decision (`NO_COLOR`, a terminal or
/// not). Never panics: spans are clamped to the text and to character boundaries.
pub fn render(problems: &[Problem], sources: Sources<'_>, colour: bool) -> String {
    let mut out = String::new();
    for problem in problems {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&render_one(problem, sources, colour));
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    out
}

fn render_one(problem: &Problem, sources: Sources<'_>, colour: bool) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let message = printable(&problem.message);
    let label = problem.label.as_deref().map(printable);
    let help = problem.help.as_deref().map(printable);
    let file = problem.place.as_ref().map(|place| printable(&place.file));

    let mut group = Group::with_title(level.primary_title(&message).id(problem.code));
    if let (Some(place), Some(file)) = (&problem.place, &file) {
        match sources.text(&place.file) {
            Some(text) => {
                let excerpt = Excerpt::of(text, &place.span);
                if excerpt.line.len() <= LONGEST_SHOWN_LINE {
                    let annotation = AnnotationKind::Primary.span(excerpt.span.clone()).label(label.as_deref());
                    group = group.element(
                        Snippet::source(excerpt.line)
                            .path(file.as_str())
                            .line_start(excerpt.number)
                            .annotation(annotation),
                    );
                } else {
                    group = group.element(Origin::path(file.as_str()).line(excerpt.number).char_column(excerpt.column));
                    if let Some(label) = &label {
                        group = group.element(Level::NOTE.message(label.as_str()));
                    }
                }
            }
            None => group = group.element(Origin::path(file.as_str())),
        }
    } else if let Some(label) = &label {
        group = group.element(Level::NOTE.message(label.as_str()));
    }
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.decor_style(DecorStyle::Ascii).render(&[group])
}

/// A longer line (minified or generated text) is named but not shown.
const LONGEST_SHOWN_LINE: usize = 2000;

/// The line of a text that a span starts in. Only that line is given to the renderer, so the cost of
/// a message does not grow with the file, and a span over many lines points at its beginning.
struct Excerpt<'a> {
    /// The line without its end.
    line: &'a str,
    /// 1-based.
    number: usize,
    /// 1-based, in characters.
    column: usize,
    /// The bytes of the line to mark.
    span: Span,
}

impl<'a> Excerpt<'a> {
    fn of(text: &'a str, span: &Span) -> Self {
        let start = boundary_before(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let rest = &text[line_start..];
        let line = rest.split('\n').next().unwrap_or(rest);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let from = (start - line_start).min(line.len());
        let to = boundary_before(text, span.end.max(start)).saturating_sub(line_start).clamp(from, line.len());
        let position = position(text, start);
        Self { line, number: position.line, column: position.column, span: from..to }
    }
}

/// A place in a text as people count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// 1-based; a line ends in `\n`.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
}

/// The position of byte `offset`; past the end it is the end.
pub fn position(text: &str, offset: usize) -> Position {
    let offset = boundary_before(text, offset);
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Position {
        line: before.bytes().filter(|&byte| byte == b'\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

/// The largest character boundary of `text` that is not after `offset`.
/// (`str::floor_char_boundary` is newer than the Rust version this package promises.)
fn boundary_before(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Control characters made visible, so that a file name or a quoted text cannot move the cursor or
/// break the frame. Line ends stay: a help text may have several lines.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            let _ = write!(out, "{}", character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use proptest::prelude::*;

    fn show(problem: Problem, text: &str) -> String {
        render(&[problem], Sources::new(&[("a.nix", text)]), false)
    }

    #[test]
    fn shows_file_line_column_and_caret() {
        let problem = Problem::new("syntax", "a `;` is missing")
            .at("a.nix", 12..13)
            .label("after this")
            .help("end the line with `;`");
        assert_eq!(
            show(problem, "{\n  a = 1;\n  b = 2\n}\n"),
            "error[syntax]: a `;` is missing\n --> a.nix:3:2\n  |\n3 |   b = 2\n  |  ^ after this\n  |\n  \
             = help: end the line with `;`\n"
        );
    }

    #[test]
    fn tabs_wide_characters_and_crlf_keep_the_caret_in_place() {
        let text = "\t漢字 = x\r\nb\r\n";
        let at = text.find('x').expect("x");
        let shown = show(Problem::new("c", "m").at("a.nix", at..at + 1), text);
        assert!(shown.contains("a.nix:1:7"), "{shown}");
        let lines: Vec<&str> = shown.lines().collect();
        let source = lines.iter().find(|line| line.contains("漢字")).expect("line");
        let caret = lines.iter().find(|line| line.contains('^')).expect("caret");
        let before = &source[..source.find('x').expect("x")];
        assert_eq!(unicode_width::UnicodeWidthStr::width(before), caret.find('^').expect("^"), "{shown}");
        assert!(!shown.contains('\r'));
    }

    #[test]
    fn a_span_past_the_end_points_at_the_end() {
        let shown = show(Problem::new("c", "m").at("a.nix", 900..1000), "ab");
        assert!(shown.contains("a.nix:1:3"), "{shown}");
        assert!(show(Problem::new("c", "m").at("a.nix", 5..9), "").contains("a.nix:1:1"));
    }

    #[test]
    fn a_very_long_line_is_named_not_shown() {
        let text = "x".repeat(100_000);
        let shown = show(Problem::new("c", "m").at("a.nix", 70_000..70_001), &text);
        assert!(shown.contains("a.nix:1:70001"), "{shown}");
        assert!(shown.len() < 300);
    }

    #[test]
    fn without_a_place_or_a_known_text_it_still_speaks() {
        let shown = render(
            &[Problem::new("a", "one").help("do this"), Problem::new("b", "two").warning().at("gone.nix", 0..1)],
            Sources::default(),
            false,
        );
        assert!(shown.contains("error[a]: one"), "{shown}");
        assert!(shown.contains("warning[b]: two"), "{shown}");
        assert!(shown.contains("gone.nix"), "{shown}");
    }

    proptest! {
        #[test]
        fn rendering_never_panics(
            text in "(\\PC|[\\t\\r\\n\\x00\\x1b\u{feff}\u{301}\u{200d}]|漢){0,60}",
            start in 0usize..80, len in 0usize..80, colour: bool,
            label in proptest::option::of("(\\PC|[\\t\\r\\n]){0,10}"),
        ) {
            let mut problem = Problem::new("c", text.clone()).at("a.nix", start..start + len);
            problem.label = label.map(Into::into);
            problem.help = Some(text.clone().into());
            let shown = render(&[problem], Sources::new(&[("a.nix", &text)]), colour);
            prop_assert!(shown.ends_with('\n'));
        }
    }
}
