//! The commands of the top level, with exact places.
//!
//! The parser's places of statements are not theirs: too small for groups, too large before a redirection, and
//! here-documents lie behind the line that opens them. So where a command ends is worked out from its last words and
//! brackets, and what is left between two commands must be nothing but blanks, comments and one `;` or `&`: otherwise
//! the script counts as not understood.

use shuck_ast::{
    AssignmentValue, BuiltinCommand, Command, CompoundCommand, DeclOperand, File, ForSyntax, Heredoc, IfSyntax,
    Redirect, RedirectTarget, Stmt, StmtSeq,
};

use super::{Finding, Place, TopCommand, syntax};

/// A here-document's places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Document {
    /// First byte of `<<`.
    pub opened: usize,
    /// First byte of its text, behind a line end.
    pub start: usize,
    /// Behind the delimiter, before the line end.
    pub end: usize,
}

/// A script's text with its here-documents.
struct Layout<'t> {
    text: &'t str,
    documents: &'t [Document],
}

/// The line of the delimiter that ends a here-document, without its line end; `None` where the text ends first.
pub(super) fn delimiter_line(text: &str, document: &Heredoc) -> Option<Place> {
    let start = syntax::of(text, document.body.span).end;
    let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let line = &text[start..end];
    let line = if document.delimiter.strip_tabs { line.trim_start_matches('\t') } else { line };
    let begins_line = start == 0 || text.as_bytes()[start - 1] == b'\n';
    (begins_line && line == document.delimiter.cooked.as_str()).then_some(Place { start, end })
}

/// Finds the top-level commands; `documents` are all here-documents of the script.
pub(super) fn pieces(file: &File, documents: &[Document], text: &str) -> Result<Vec<TopCommand>, Finding> {
    let layout = Layout { text, documents };
    let mut commands: Vec<TopCommand> = Vec::new();
    // Up to where the text is explained.
    let mut reached = 0;
    for statement in &file.body.stmts {
        let node = syntax::of(text, statement.span).start;
        let background = matches!(statement.terminator, Some(shuck_ast::StmtTerminator::Background(_)));
        let joins = commands.last().is_some_and(|last| node < last.span.end);
        let start = if joins { node } else { layout.gap(reached) };
        if start > node || !opens(&text[start..node]) {
            return Err(layout.unclear(reached, node));
        }
        let end = layout.statement_end(statement).max(node);
        let opened_here = documents.iter().filter(|one| (start..end).contains(&one.opened)).map(|one| one.end);
        let end = opened_here.max().unwrap_or(end).max(end);
        match commands.last_mut() {
            // On a line with a here-document of the command before, whose text follows behind both.
            Some(last) if joins => {
                last.span.end = last.span.end.max(end);
                last.background |= background;
            }
            _ => commands.push(TopCommand { span: Place { start, end }, end, background }),
        }
        if let Some(last) = commands.last_mut() {
            reached = layout.terminated(last.span.end);
            last.end = layout.line_end(reached);
        }
    }
    if layout.gap(reached) == text.len() { Ok(commands) } else { Err(layout.unclear(reached, text.len())) }
}

impl Layout<'_> {
    fn unclear(&self, start: usize, end: usize) -> Finding {
        let reason = "the bash parser does not understand it: where its commands begin and end".to_owned();
        Finding { reason, span: syntax::place(self.text, self.gap(start).min(end), end) }
    }

    /// Skips blanks, line ends and comments.
    fn gap(&self, mut at: usize) -> usize {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(at) {
                Some(b' ' | b'\t') => at += 1,
                Some(b'\n') => {
                    at += 1;
                    let document = self.documents.iter().find(|one| one.start == at);
                    at = document.map_or(at, |one| one.end);
                }
                Some(b'\\') if bytes.get(at + 1) == Some(&b'\n') => at += 2,
                Some(b'#') => at += memchr::memchr(b'\n', &bytes[at..]).unwrap_or(bytes.len() - at),
                _ => return at,
            }
        }
    }

    /// Skips what ends a command.
    fn terminated(&self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        let mut end = at;
        while matches!(bytes.get(end), Some(b' ' | b'\t')) || bytes[end..].starts_with(b"\\\n") {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        match bytes.get(end) {
            Some(b';' | b'&') if !matches!(bytes.get(end + 1), Some(b';' | b'&')) => end + 1,
            _ => at,
        }
    }

    /// Where nothing but a comment follows on the line, the beginning of the next line; otherwise where it is.
    fn line_end(&self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        let mut end = at;
        while matches!(bytes.get(end), Some(b' ' | b'\t')) {
            end += 1;
        }
        match bytes.get(end) {
            None => end,
            Some(b'\n') => end + 1,
            Some(b'#') => memchr::memchr(b'\n', &bytes[end..]).map_or(bytes.len(), |line| end + line + 1),
            _ => at,
        }
    }

    /// Where a statement ends, without what ends it.
    fn statement_end(&self, statement: &Stmt) -> usize {
        let redirects = statement.redirects.iter().map(|one| self.redirect_end(one)).max();
        self.command_end(&statement.command).max(redirects.unwrap_or(0))
    }

    fn redirect_end(&self, redirect: &Redirect) -> usize {
        let target = match &redirect.target {
            // The target of `2>&1` has no place of its own.
            RedirectTarget::Word(word) => syntax::of(self.text, word.span).end,
            RedirectTarget::Heredoc(document) => syntax::of(self.text, document.delimiter.span).end,
        };
        let whole = syntax::of(self.text, redirect.span);
        target.max(whole.start + self.text[whole.start..whole.end].trim_end().len())
    }

    fn command_end(&self, command: &Command) -> usize {
        let end = |span| syntax::of(self.text, span).end;
        let assignment_end = |one: &shuck_ast::Assignment| match &one.value {
            AssignmentValue::Scalar(word) => end(one.span).max(end(word.span)),
            AssignmentValue::Compound(array) => end(one.span).max(end(array.span)),
        };
        match command {
            Command::Simple(one) => {
                let words = std::iter::once(&one.name).chain(&one.args).map(|word| end(word.span));
                words.chain(one.assignments.iter().map(assignment_end)).max().unwrap_or(0)
            }
            Command::Builtin(one) => {
                let (name, first, more, span) = match one {
                    BuiltinCommand::Break(one) => ("break", &one.depth, &one.extra_args, one.span),
                    BuiltinCommand::Continue(one) => ("continue", &one.depth, &one.extra_args, one.span),
                    BuiltinCommand::Return(one) => ("return", &one.code, &one.extra_args, one.span),
                    BuiltinCommand::Exit(one) => ("exit", &one.code, &one.extra_args, one.span),
                };
                let place = syntax::of(self.text, span);
                let named = self.text[place.start..].find(name).map_or(place.start, |at| place.start + at + name.len());
                first.iter().chain(more).map(|word| end(word.span)).max().unwrap_or(0).max(named)
            }
            Command::Decl(one) => {
                let operands = one.operands.iter().map(|operand| match operand {
                    DeclOperand::Flag(word) | DeclOperand::Dynamic(word) => end(word.span),
                    DeclOperand::Name(name) => end(name.span),
                    DeclOperand::Assignment(assignment) => assignment_end(assignment),
                });
                operands.max().unwrap_or(0).max(end(one.variant_span))
            }
            Command::Binary(one) => self.statement_end(&one.right),
            Command::Function(one) => self.statement_end(&one.body),
            Command::AnonymousFunction(one) => end(one.span),
            Command::Compound(one) => self.compound_end(one),
        }
    }

    fn compound_end(&self, command: &CompoundCommand) -> usize {
        let end = |span| syntax::of(self.text, span).end;
        match command {
            CompoundCommand::If(one) => match one.syntax {
                IfSyntax::ThenFi { fi_span, .. } => end(fi_span),
                IfSyntax::Brace { right_brace_span, .. } => end(right_brace_span),
            },
            CompoundCommand::For(one) => match one.syntax {
                ForSyntax::InDoDone { done_span, .. } | ForSyntax::ParenDoDone { done_span, .. } => end(done_span),
                ForSyntax::InBrace { right_brace_span, .. } | ForSyntax::ParenBrace { right_brace_span, .. } => {
                    end(right_brace_span)
                }
                ForSyntax::InDirect { .. } | ForSyntax::ParenDirect { .. } => end(one.span),
            },
            CompoundCommand::ArithmeticFor(one) => one.done_span.map_or_else(|| self.closed(&one.body, '}'), end),
            CompoundCommand::While(one) => end(one.done_span.unwrap_or(one.span)),
            CompoundCommand::Until(one) => end(one.done_span.unwrap_or(one.span)),
            CompoundCommand::Case(one) => end(one.esac_span),
            CompoundCommand::Select(one) => end(one.done_span),
            CompoundCommand::Subshell(body) => self.closed(body, ')'),
            CompoundCommand::BraceGroup(body) => self.closed(body, '}'),
            CompoundCommand::Arithmetic(one) => end(one.right_paren_span),
            CompoundCommand::Conditional(one) => end(one.right_bracket_span),
            CompoundCommand::Time(one) => one
                .command
                .as_ref()
                .map_or_else(|| self.text[..end(one.span)].trim_end().len(), |command| self.statement_end(command)),
            CompoundCommand::Coproc(one) => self.statement_end(&one.body),
            CompoundCommand::Repeat(one) => end(one.span),
            CompoundCommand::Foreach(one) => end(one.span),
            CompoundCommand::Always(one) => end(one.span),
        }
    }

    /// Where the bracket stands that closes a body, and the text behind it begins. A here-document of the body may lie
    /// before or behind it; before it, its text is skipped.
    fn closed(&self, body: &StmtSeq, closer: char) -> usize {
        let Some(last) = body.stmts.last() else { return syntax::of(self.text, body.span).end };
        let mut at = self.statement_end(last);
        loop {
            let next = self.terminated(self.gap(at));
            if next == at {
                break;
            }
            at = next;
        }
        if self.text[at..].starts_with(closer) { at + closer.len_utf8() } else { at }
    }
}

/// Whether this can stand before the parser's beginning of a command: brackets and words that it leaves out.
fn opens(text: &str) -> bool {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '(', '{', '!']);
        let after = rest.strip_prefix("time").or_else(|| rest.strip_prefix("-p")).or_else(|| rest.strip_prefix("\\\n"));
        match after {
            Some(after) => rest = after,
            // A comment after a bracket.
            None if rest.starts_with('#') => rest = rest.split_once('\n').map_or("", |(_, after)| after),
            None => return rest.is_empty(),
        }
    }
}
