//! Finds the calls of builders, and `overrideAttrs` on top of them.

use rnix::ast::{Apply, Expr};
use rnix::{SyntaxNode, WalkEvent};
use rowan::ast::AstNode;

use super::attributes::{Gathered, Mode};
use super::{Application, HOPS, Reader, Resolved, strip};
use crate::source::builders::{self, Known};
use crate::source::package::{Arguments, Builder, Call, NotStdenv, Origin, Reason, Value};
use crate::source::text::span;

impl Reader {
    pub(super) fn find_calls(&mut self, root: &SyntaxNode) {
        let mut overrides = Vec::new();
        let mut enclosing: Vec<usize> = Vec::new();
        for event in root.preorder() {
            let WalkEvent::Enter(node) = event else {
                continue;
            };
            let Some(apply) = Apply::cast(node.clone()) else {
                continue;
            };
            // The inner applications of `f a b` belong to the outermost one.
            let inner = node
                .parent()
                .and_then(Apply::cast)
                .is_some_and(|parent| parent.lambda().is_some_and(|function| *function.syntax() == node));
            if inner {
                continue;
            }
            let Some(application) = Application::of(&apply) else {
                continue;
            };
            let Some(name) = application.name() else {
                continue;
            };
            if matches!(name.as_str(), "overrideAttrs" | "overridePythonAttrs") {
                overrides.push((apply, application));
                continue;
            }
            let Some(known) = builders::known(&name) else {
                continue;
            };
            // A source that is fetched is not a package of the text, unless it is its value.
            if matches!(known, Known::Other(Reason::Fetcher(_))) {
                continue;
            }
            let place = span(&node);
            while enclosing.last().is_some_and(|&end| end <= place.start) {
                enclosing.pop();
            }
            let nested = !enclosing.is_empty();
            self.add_call(&node, &application, known, nested);
            enclosing.push(place.end);
        }
        // Inner ones first, so that the base of an override is there before it.
        for (apply, application) in overrides.into_iter().rev() {
            self.add_override(&apply, &application);
        }
    }

    pub(super) fn add_call(
        &mut self,
        node: &SyntaxNode,
        application: &Application,
        known: Known,
        nested: bool,
    ) -> usize {
        let (kind, reason) = match known {
            Known::Stdenv(kind) => (kind, None),
            Known::Other(reason) => (Builder::Other, Some(reason)),
        };
        let builder_span = span(application.function.syntax());
        let mut call = Call {
            builder: short_text(application.function.syntax()),
            kind,
            builder_span: builder_span.clone(),
            span: span(node),
            arguments: Arguments::Unknown,
            attributes: Vec::new(),
            complete: true,
            nested,
            not_stdenv: None,
        };
        // The set of attributes is the last argument, except where a script follows it.
        let set = match kind {
            Builder::Other => {
                application.arguments.iter().find(|argument| matches!(strip((*argument).clone()), Expr::AttrSet(_)))
            }
            _ => application.arguments.last(),
        };
        if let Some(set) = set {
            let (arguments, body) = arguments_of(set.clone());
            call.arguments = arguments;
            let mut gathered = Gathered::default();
            self.gather(&body, Mode::default(), HOPS, &mut gathered);
            call.complete = gathered.complete();
            call.attributes = gathered.attributes;
            if call.attributes.is_empty() && !call.complete {
                call.arguments = Arguments::Unknown;
            }
        }
        call.not_stdenv = match reason {
            Some(reason) => Some(NotStdenv { reason, span: builder_span }),
            None => not_stdenv(&call),
        };
        let index = self.calls.len();
        self.calls.push(call);
        self.by_node.insert(node.clone(), index);
        index
    }

    /// `x.overrideAttrs (old: { … })`: the call that makes `x`, with the attributes on top.
    fn add_override(&mut self, apply: &Apply, application: &Application) {
        let Expr::Select(select) = &application.function else {
            return;
        };
        let (Some(base), Some(argument)) = (select.expr(), application.arguments.first()) else {
            return;
        };
        let (arguments, body) = match arguments_of(argument.clone()) {
            // The one argument of `overrideAttrs (old: …)` is what was there before.
            (Arguments::FinalAttrs, body) => (Arguments::Overlay, body),
            other => other,
        };
        let mut gathered = Gathered::default();
        let mode = Mode { origin: Origin::Override, ..Mode::default() };
        self.gather(&body, mode, HOPS, &mut gathered);
        let visible = match self.resolve(base.clone(), HOPS) {
            Resolved::Call(index) => self.calls.get(index).cloned(),
            _ => None,
        };
        let complete = gathered.complete();
        let mut call = match visible {
            Some(call) if self.spend(256 * (call.attributes.len() + 1)) => call,
            _ => Call {
                builder: short_text(base.syntax()),
                kind: Builder::Override,
                builder_span: span(base.syntax()),
                span: span(apply.syntax()),
                arguments,
                attributes: Vec::new(),
                complete: false,
                nested: false,
                not_stdenv: None,
            },
        };
        call.complete &= complete;
        call.attributes.extend(gathered.attributes);
        if call.kind != Builder::Other {
            call.not_stdenv = not_stdenv(&call);
        }
        let index = self.calls.len();
        self.calls.push(call);
        self.by_node.insert(apply.syntax().clone(), index);
    }
}

/// The set inside `finalAttrs: …`, `old: …` or nothing around it, and which of these it was.
fn arguments_of(expr: Expr) -> (Arguments, Expr) {
    let expr = strip(expr);
    match &expr {
        Expr::AttrSet(set) if set.rec_token().is_some() => (Arguments::Rec, expr),
        Expr::Lambda(lambda) => match lambda.body().map(strip) {
            Some(Expr::Lambda(inner)) => match inner.body() {
                Some(body) => (Arguments::Overlay, body),
                None => (Arguments::Unknown, expr),
            },
            Some(body) => (Arguments::FinalAttrs, body),
            None => (Arguments::Unknown, expr),
        },
        _ => (Arguments::Set, expr),
    }
}

fn not_stdenv(call: &Call) -> Option<NotStdenv> {
    let certain =
        |name: &str| call.attribute(name).filter(|attribute| !attribute.conditional && attribute.value != Value::Null);
    let found = [
        ("buildCommand", Reason::BuildCommand),
        ("buildCommandPath", Reason::BuildCommand),
        ("outputHash", Reason::FixedOutput),
        ("builder", Reason::OwnBuilder),
    ];
    found
        .into_iter()
        .find_map(|(name, reason)| certain(name).map(|attribute| NotStdenv { reason, span: attribute.key.clone() }))
}

/// The text of a node for messages: one line, not too long.
fn short_text(node: &SyntaxNode) -> String {
    const MOST: usize = 80;
    let mut out = String::new();
    let range = node.text_range();
    for token in node.descendants_with_tokens().filter_map(rnix::NodeOrToken::into_token).take(MOST) {
        if token.text_range().start() >= range.end() || out.len() > MOST {
            break;
        }
        if token.kind().is_trivia() {
            out.push(' ');
        } else {
            out.push_str(token.text());
        }
    }
    if out.chars().count() > MOST {
        out = out.chars().take(MOST - 1).collect();
        out.push('…');
    }
    out
}
