//! The walk over the syntax tree: statements and compound commands. Words are in `words`, commands in `commands`.
//!
//! A name is a reading unless the walk *cleared* it: nodes that are not visited, or not understood, clear nothing.

mod words;

use shuck_ast::{
    ArithmeticExpr, ArithmeticExprNode, ArithmeticForCommand, Assignment, AssignmentValue, BinaryOp, BuiltinCommand,
    Command, Comment, CompoundCommand, ConditionalBinaryOp, ConditionalExpr, ConditionalUnaryOp, DeclClause, File,
    FunctionDef, Redirect, RedirectKind, RedirectTarget, Stmt, StmtSeq, VarRef, Word,
};

use super::pieces::{self, Document};
use super::{Analysis, Finding, Place, Use, commands, declarations, lexical, syntax};

/// A stretch of text in which names are no readings.
struct Cleared {
    place: Place,
    /// The command whose arguments these are: none of it holds where the script defines a function of that name.
    command: Option<String>,
}

/// What makes text more than text, wherever in the script it stands.
#[derive(Default)]
pub(super) struct Taint {
    /// Something evaluates names that stand in values (arithmetic does), so no text is only text.
    pub recursive: bool,
    /// A command's name is computed.
    pub computed_command: bool,
    /// The whole shell's output is redirected, so that what `echo` says may end up in a script.
    pub output_redirected: bool,
}

/// The state of a walk.
pub(super) struct Walk<'t> {
    pub text: &'t str,
    /// Scripts within scripts.
    pub depth: usize,
    pub found: Analysis,
    documents: Vec<Document>,
    cleared: Vec<Cleared>,
    /// Names that only loops set so far.
    loop_targets: Vec<String>,
    pub taint: Taint,
    /// Functions around.
    functions: usize,
    /// Whether what `echo` says here goes somewhere else than the log.
    captured: bool,
}

/// Walks a whole file.
pub(super) fn walk(file: &File, text: &str, depth: usize) -> (Analysis, Vec<Document>) {
    let mut walk = Walk {
        text,
        depth,
        found: Analysis { parsed: true, ..Analysis::default() },
        documents: Vec::new(),
        cleared: Vec::new(),
        loop_targets: Vec::new(),
        taint: Taint::default(),
        functions: 0,
        captured: depth > 0,
    };
    walk.sequence(&file.body);
    let documents = std::mem::take(&mut walk.documents);
    (walk.finish(), documents)
}

impl Walk<'_> {
    /// Adds what the characters tell to what the tree told.
    fn finish(mut self) -> Analysis {
        let text = self.text;
        self.found.comments.sort_unstable();
        self.found.comments.dedup();
        let expansions = lexical::expansions(text, &self.found.comments);
        if let Some(finding) = expansions.reads_all {
            self.reads_all(finding.reason, finding.span);
        }
        for one in expansions.outputs {
            if self.found.writes.iter().any(|write| write.name == one.name) && !self.loop_targets.contains(&one.name) {
                self.reads_all(format!("it reads a variable by a computed name (`${{!{}}}`)", one.name), one.span);
            }
        }
        let own: std::collections::BTreeSet<&str> = self.found.functions.iter().map(|one| one.name.as_str()).collect();
        let mut cleared: Vec<Place> = self
            .cleared
            .iter()
            .filter(|one| match one.command.as_deref() {
                None => true,
                Some(command) => {
                    let shown_in_vain = self.taint.output_redirected && matches!(command, "echo" | "printf" | "cat");
                    !(self.taint.recursive || own.contains(command) || shown_in_vain)
                }
            })
            .map(|one| one.place)
            .chain(self.found.comments.iter().copied())
            .collect();
        cleared.sort_unstable();
        let mut reach = 0;
        let mut next = cleared.into_iter().peekable();
        let mut may_read = Vec::new();
        for name in lexical::names(text) {
            while let Some(one) = next.next_if(|one| one.start <= name.start) {
                reach = reach.max(one.end);
            }
            let word = &text[name.start..name.end];
            if name.end > reach && !lexical::is_reserved(word) {
                may_read.push(Use { name: word.to_owned(), span: name });
            }
        }
        may_read.extend(lexical::joined_names(text));
        if self.taint.computed_command
            && let Some(one) = may_read.iter().find(|one| commands::is_indirect(&one.name))
        {
            self.reads_all(format!("a command's name is computed, and may be `{}`", one.name), one.span);
        }
        self.found.may_read.append(&mut may_read);
        self.found.reads.extend(expansions.reads);
        self.found.may_read.extend(expansions.may_read);
        // A name that is surely read is not listed twice.
        let sure: std::collections::BTreeSet<(usize, usize)> =
            self.found.reads.iter().map(|one| (one.span.start, one.span.end)).collect();
        self.found.may_read.retain(|one| !sure.contains(&(one.span.start, one.span.end)));
        self.found
    }

    /// Notes a way to all variables; the first in the text stays.
    pub fn reads_all(&mut self, reason: impl Into<String>, span: Place) {
        if self.found.reads_all.as_ref().is_none_or(|one| span < one.span) {
            self.found.reads_all = Some(Finding { reason: reason.into(), span });
        }
    }

    /// Notes that a part of the script was not understood.
    pub fn doubt(&mut self, what: &str, span: Place) {
        self.found.parsed = false;
        let reason = format!("the bash parser does not understand it: {what}");
        if self.found.note.as_ref().is_none_or(|one| span < one.span) {
            self.found.note = Some(Finding { reason: reason.clone(), span });
        }
        self.reads_all(reason, span);
    }

    /// Says that the names in a place are no readings; with a command, as long as that is the command everybody knows.
    pub fn clear(&mut self, place: Place, command: Option<&str>) {
        self.cleared.push(Cleared { place, command: command.map(str::to_owned) });
    }

    /// The place of a parser's span.
    pub fn at(&self, span: shuck_ast::Span) -> Place {
        syntax::of(self.text, span)
    }

    /// Notes what only works in the shell that runs the whole script.
    pub fn bind(&mut self, reason: impl Into<String>, span: Place) {
        if self.functions == 0 {
            self.found.bound.push(Finding { reason: reason.into(), span });
        }
    }

    /// Whether what a command says here stays in the log.
    pub fn is_captured(&self) -> bool {
        self.captured
    }

    /// Notes that a variable is set.
    pub fn write(&mut self, name: &str, span: Place) {
        self.loop_targets.retain(|one| one != name);
        self.found.writes.push(Use { name: name.to_owned(), span });
    }

    /// A variable that an assignment, or its like, sets. `name=` alone says nothing about the value before.
    pub fn target(&mut self, target: &VarRef, replaces: bool) {
        let place = self.at(target.name_span);
        self.write(target.name.as_str(), place);
        if let Some(subscript) = &target.subscript {
            self.subscript(subscript);
        } else if replaces && self.text.get(place.start..place.end) == Some(target.name.as_str()) {
            self.clear(place, None);
        }
    }

    pub fn assignment(&mut self, one: &Assignment) {
        self.target(&one.target, !one.append);
        match &one.value {
            AssignmentValue::Scalar(word) => self.word(word),
            AssignmentValue::Compound(array) => self.array(array),
        }
        if matches!(one.target.name.as_str(), "PS4" | "PROMPT_COMMAND" | "BASH_ENV" | "ENV") {
            let place = self.at(one.span);
            match &one.value {
                AssignmentValue::Scalar(word)
                    if syntax::constant(word, self.text).is_some_and(|it| !it.contains("$(")) => {}
                _ => self.reads_all(format!("it sets {}, which bash runs, to a computed text", one.target.name), place),
            }
        }
    }

    fn comments(&mut self, comments: &[Comment]) {
        for comment in comments {
            let place = syntax::place(self.text, comment.range.start().into(), comment.range.end().into());
            let slice = &self.text[place.start..place.end];
            if slice.starts_with('#') && !slice.contains('\n') {
                self.found.comments.push(place);
            }
        }
    }

    pub fn sequence(&mut self, sequence: &StmtSeq) {
        self.comments(&sequence.leading_comments);
        self.comments(&sequence.trailing_comments);
        for statement in &sequence.stmts {
            self.statement(statement);
        }
    }

    /// A sequence whose output goes into a value or a file.
    pub fn captured(&mut self, sequence: &StmtSeq) {
        let before = std::mem::replace(&mut self.captured, true);
        self.sequence(sequence);
        self.captured = before;
    }

    /// A sequence in a shell of its own: what it does to that shell is lost in an unsplit build too.
    pub fn substituted(&mut self, sequence: &StmtSeq) {
        self.functions += 1;
        self.captured(sequence);
        self.functions -= 1;
    }

    fn statement(&mut self, statement: &Stmt) {
        self.comments(&statement.leading_comments);
        self.comments(statement.inline_comment.as_slice());
        let before = self.captured;
        for redirect in &statement.redirects {
            self.captured |= self.redirect(redirect);
        }
        self.command(&statement.command, !statement.redirects.is_empty());
        self.captured = before;
    }

    /// Visits a redirection; whether standard output may go into a file by it.
    fn redirect(&mut self, redirect: &Redirect) -> bool {
        if let Some(name) = &redirect.fd_var {
            let place = self.at(redirect.fd_var_span.unwrap_or(redirect.span));
            self.write(name.as_str(), place);
        }
        match &redirect.target {
            RedirectTarget::Word(word) => {
                self.word(word);
                match redirect.kind {
                    RedirectKind::HereString => false,
                    RedirectKind::DupOutput => syntax::constant(word, self.text).is_none_or(|to| to != "2"),
                    RedirectKind::Input | RedirectKind::DupInput => {
                        self.clear_word(word, None);
                        false
                    }
                    _ => {
                        self.clear_word(word, None);
                        true
                    }
                }
            }
            RedirectTarget::Heredoc(document) => {
                // Its text may be a script or a program that reads its environment: only the delimiter is no name.
                self.clear_word(&document.delimiter.raw, None);
                match pieces::delimiter_line(self.text, document) {
                    Some(line) => {
                        self.clear(line, None);
                        let start = self.at(document.body.span).start;
                        self.documents.push(Document { opened: self.at(redirect.span).start, start, end: line.end });
                    }
                    None => self.doubt("a here-document without its last line", self.at(redirect.span)),
                }
                self.here_document(&document.body);
                false
            }
        }
    }

    fn command(&mut self, command: &Command, redirected: bool) {
        match command {
            Command::Simple(simple) => self.simple(simple, redirected),
            Command::Builtin(builtin) => self.builtin(builtin),
            Command::Decl(declaration) => self.declaration(declaration),
            Command::Binary(binary) => {
                let before = self.captured;
                self.captured |= matches!(binary.op, BinaryOp::Pipe | BinaryOp::PipeAll);
                self.statement(&binary.left);
                self.statement(&binary.right);
                self.captured = before;
            }
            Command::Compound(compound) => self.compound(compound),
            Command::Function(function) => self.function(function),
            Command::AnonymousFunction(function) => self.doubt("a function without a name", self.at(function.span)),
        }
    }

    fn builtin(&mut self, builtin: &BuiltinCommand) {
        let (name, first, more, assignments, span) = match builtin {
            BuiltinCommand::Break(one) => ("break", &one.depth, &one.extra_args, &one.assignments, one.span),
            BuiltinCommand::Continue(one) => ("continue", &one.depth, &one.extra_args, &one.assignments, one.span),
            BuiltinCommand::Return(one) => ("return", &one.code, &one.extra_args, &one.assignments, one.span),
            BuiltinCommand::Exit(one) => ("exit", &one.code, &one.extra_args, &one.assignments, one.span),
        };
        let place = self.at(span);
        for assignment in assignments {
            self.assignment(assignment);
        }
        for word in first.iter().chain(more) {
            self.word(word);
        }
        self.call(name, place.start);
        if name == "return" {
            self.bind("`return` ends the whole phase", place);
        }
    }

    /// A builtin with a node of its own, whose name begins at `start`.
    pub fn call(&mut self, name: &str, start: usize) {
        if let Some(at) = self.text[start..].find(name).map(|at| at + start) {
            let place = Place { start: at, end: at + name.len() };
            self.clear(place, None);
            self.found.calls.push(Use { name: name.to_owned(), span: place });
        }
    }

    fn declaration(&mut self, declaration: &DeclClause) {
        for assignment in &declaration.assignments {
            self.assignment(assignment);
        }
        declarations::declaration(self, declaration);
    }

    fn function(&mut self, function: &FunctionDef) {
        for entry in &function.header.entries {
            let place = self.at(entry.word.span);
            match &entry.static_name {
                Some(name) => {
                    self.found.functions.push(Use { name: name.as_str().to_owned(), span: place });
                    self.clear(place, None);
                }
                None => self.doubt("the name of a function", place),
            }
        }
        // It may be called where its output is captured.
        let before = std::mem::replace(&mut self.captured, true);
        self.functions += 1;
        self.statement(&function.body);
        self.functions -= 1;
        self.captured = before;
    }

    fn compound(&mut self, compound: &CompoundCommand) {
        match compound {
            CompoundCommand::If(one) => {
                self.sequence(&one.condition);
                self.sequence(&one.then_branch);
                for (condition, body) in &one.elif_branches {
                    self.sequence(condition);
                    self.sequence(body);
                }
                if let Some(body) = &one.else_branch {
                    self.sequence(body);
                }
            }
            CompoundCommand::For(one) => {
                for target in &one.targets {
                    let place = self.at(target.span);
                    match &target.name {
                        Some(name) => self.loop_target(name.as_str(), place),
                        None => self.doubt("the variable of a loop", place),
                    }
                }
                for word in one.words.iter().flatten() {
                    self.word(word);
                }
                self.sequence(&one.body);
            }
            CompoundCommand::Select(one) => {
                let place = self.at(one.variable_span);
                self.loop_target(one.variable.as_str(), place);
                for word in &one.words {
                    self.word(word);
                }
                self.sequence(&one.body);
            }
            CompoundCommand::ArithmeticFor(one) => self.arithmetic_for(one),
            CompoundCommand::While(one) => {
                self.sequence(&one.condition);
                self.sequence(&one.body);
            }
            CompoundCommand::Until(one) => {
                self.sequence(&one.condition);
                self.sequence(&one.body);
            }
            CompoundCommand::Case(one) => {
                self.word(&one.word);
                for item in &one.cases {
                    for pattern in &item.patterns {
                        self.pattern(pattern);
                    }
                    self.sequence(&item.body);
                }
            }
            CompoundCommand::Subshell(body) => {
                self.functions += 1;
                self.sequence(body);
                self.functions -= 1;
            }
            CompoundCommand::BraceGroup(body) => self.sequence(body),
            CompoundCommand::Arithmetic(one) => self.arithmetic(one.expr_ast.as_ref(), self.at(one.span), false),
            CompoundCommand::Time(one) => {
                if let Some(command) = &one.command {
                    self.statement(command);
                }
            }
            CompoundCommand::Conditional(one) => self.condition(&one.expression),
            CompoundCommand::Coproc(one) => {
                if let Some(span) = one.name_span {
                    let place = self.at(span);
                    self.write(one.name.as_str(), place);
                }
                let before = std::mem::replace(&mut self.captured, true);
                self.statement(&one.body);
                self.captured = before;
            }
            CompoundCommand::Repeat(one) => self.doubt("`repeat`", self.at(one.span)),
            CompoundCommand::Foreach(one) => self.doubt("`foreach`", self.at(one.span)),
            CompoundCommand::Always(one) => self.doubt("`always`", self.at(one.span)),
        }
    }

    fn loop_target(&mut self, name: &str, place: Place) {
        if !self.found.writes.iter().any(|one| one.name == name) {
            self.loop_targets.push(name.to_owned());
        }
        self.found.writes.push(Use { name: name.to_owned(), span: place });
        if self.text.get(place.start..place.end) == Some(name) {
            self.clear(place, None);
        }
    }

    fn arithmetic_for(&mut self, one: &ArithmeticForCommand) {
        let parts =
            [(&one.init_ast, one.init_span), (&one.condition_ast, one.condition_span), (&one.step_ast, one.step_span)];
        for (tree, span) in parts {
            if let Some(span) = span {
                self.arithmetic(tree.as_ref(), self.at(span), false);
            }
        }
        self.sequence(&one.body);
    }

    /// Arithmetic: every name in it is read (none is cleared), and so are names that stand in the values of these.
    /// Without a tree, `words` tells whether its words are visited all the same.
    pub fn arithmetic(&mut self, tree: Option<&ArithmeticExprNode>, place: Place, words: bool) {
        let slice = &self.text[place.start..place.end];
        let computes = slice.bytes().any(|byte| lexical::begins_name(byte) || byte == b'$' || byte == b'`');
        self.taint.recursive |= computes;
        match tree {
            Some(tree) => self.arithmetic_node(tree),
            None if computes && !words && lexical::hides_expansion(slice) => {
                self.doubt("an arithmetic expression", place);
            }
            None => {}
        }
    }

    fn arithmetic_node(&mut self, node: &ArithmeticExprNode) {
        let place = self.at(node.span);
        match &node.kind {
            ArithmeticExpr::Number(_) | ArithmeticExpr::Variable(_) => {}
            ArithmeticExpr::Indexed { index, .. } => self.arithmetic_node(index),
            ArithmeticExpr::ShellWord(word) => self.word(word),
            ArithmeticExpr::Parenthesized { expression } => self.arithmetic_node(expression),
            ArithmeticExpr::Unary { expr, .. } | ArithmeticExpr::Postfix { expr, .. } => {
                // Also where it is a sign: a writing too many does no harm.
                if let ArithmeticExpr::Variable(name) | ArithmeticExpr::Indexed { name, .. } = &expr.kind {
                    self.write(name.as_str(), place);
                }
                self.arithmetic_node(expr);
            }
            ArithmeticExpr::Binary { left, right, .. } => {
                self.arithmetic_node(left);
                self.arithmetic_node(right);
            }
            ArithmeticExpr::Conditional { condition, then_expr, else_expr } => {
                self.arithmetic_node(condition);
                self.arithmetic_node(then_expr);
                self.arithmetic_node(else_expr);
            }
            ArithmeticExpr::Assignment { target, value, .. } => {
                match target {
                    shuck_ast::ArithmeticLvalue::Variable(name) => self.write(name.as_str(), place),
                    shuck_ast::ArithmeticLvalue::Indexed { name, index } => {
                        self.write(name.as_str(), place);
                        self.arithmetic_node(index);
                    }
                }
                self.arithmetic_node(value);
            }
        }
    }

    fn condition(&mut self, expression: &ConditionalExpr) {
        match expression {
            ConditionalExpr::Binary(binary) => {
                self.condition(&binary.left);
                self.condition(&binary.right);
                if is_arithmetic(binary.op) {
                    // Both sides are evaluated as arithmetic, names in values included.
                    self.taint.recursive = true;
                } else {
                    self.clear_operand(&binary.left);
                    self.clear_operand(&binary.right);
                }
            }
            ConditionalExpr::Unary(unary) => {
                self.condition(&unary.expr);
                match unary.op {
                    ConditionalUnaryOp::VariableSet | ConditionalUnaryOp::ReferenceVariable => {
                        let place = self.at(unary.expr.span());
                        if let ConditionalExpr::Word(word) = &*unary.expr {
                            self.named_by(word, "it asks whether a variable is set by a computed name", place);
                        }
                    }
                    _ => self.clear_operand(&unary.expr),
                }
            }
            ConditionalExpr::Parenthesized(inner) => self.condition(&inner.expr),
            ConditionalExpr::Word(word) | ConditionalExpr::Regex(word) => self.word(word),
            ConditionalExpr::Pattern(pattern) => self.pattern(pattern),
            ConditionalExpr::VarRef(reference) => {
                if let Some(subscript) = &reference.subscript {
                    self.subscript(subscript);
                }
            }
        }
    }

    /// A text to compare with names nothing.
    fn clear_operand(&mut self, operand: &ConditionalExpr) {
        match operand {
            ConditionalExpr::Word(word) | ConditionalExpr::Regex(word) => self.clear_word(word, Some("[[")),
            _ => {}
        }
    }

    /// A word that names a variable to a builtin: what is computed in it may be any name.
    pub fn named_by(&mut self, word: &Word, reason: &str, place: Place) {
        if syntax::constant(word, self.text).is_some() {
            return;
        }
        // `array[$key]` names the array.
        let slice = &self.text[place.start..place.end];
        let slice = slice.trim_start_matches(['"', '\'']);
        let named = lexical::name_end(slice, 0);
        if named == 0 || !slice[named..].starts_with('[') {
            self.reads_all(format!("{reason} (`{}`)", shorten(&self.text[place.start..place.end])), place);
        } else {
            self.taint.recursive = true;
        }
    }
}

const fn is_arithmetic(op: ConditionalBinaryOp) -> bool {
    matches!(
        op,
        ConditionalBinaryOp::ArithmeticEq
            | ConditionalBinaryOp::ArithmeticNe
            | ConditionalBinaryOp::ArithmeticLe
            | ConditionalBinaryOp::ArithmeticGe
            | ConditionalBinaryOp::ArithmeticLt
            | ConditionalBinaryOp::ArithmeticGt
    )
}

/// A text for a message: its first line, not too much of it.
pub(super) fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let short: String = line.chars().take(60).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}
