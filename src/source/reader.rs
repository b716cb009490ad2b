//! From a syntax tree to a [`Package`].
//!
//! Owns the search for builder calls and for the value of the text. Works on trees without errors.
//! Follows names through `let`, `rec` and `inherit` where that is certain; says "unknown" otherwise.

use std::collections::HashMap;

use rnix::ast::{
    Apply, Attr, AttrSet, BinOpKind, Entry, Expr, HasEntry, Lambda, Param, Root, Select,
};
use rnix::{SyntaxNode, WalkEvent};
use rowan::ast::AstNode;

use super::builders::{self, Known};
use super::package::{
    Arguments, Attribute, Attributes, Builder, Call, Form, Formal, Formals, NotStdenv, Origin,
    Package, Reason, Returns, SetAttribute, Value,
};
use super::scope::{Binding, Scopes, ident_text, static_name, static_path};
use super::text::{self, span};

/// How many names are followed from one place: enough for people, and an end to cycles.
const HOPS: usize = 16;

/// Work allowed for one text, in bytes looked at. A text in which names multiply each other
/// (`let a = [ b b ]; b = [ c c ]; …`) would otherwise take time exponential in its length.
const BUDGET: usize = 64 << 20;

/// Sets of packages are listed this many levels deep.
const SET_LEVELS: usize = 6;

/// Reads the tree of the text named `file`.
pub(super) fn read(file: &str, root: &Root) -> Package {
    let mut reader = Reader {
        scopes: Scopes::default(),
        calls: Vec::new(),
        by_node: HashMap::new(),
        budget: BUDGET,
    };
    reader.find_calls(root.syntax());
    let (form, main) = match root.expr() {
        Some(expr) => reader.form(expr),
        None => (Form::Derivation, None),
    };
    Package {
        file: file.to_owned(),
        form,
        calls: reader.calls,
        main,
    }
}

struct Reader {
    scopes: Scopes,
    calls: Vec<Call>,
    /// The calls by the outermost node of their application.
    by_node: HashMap<SyntaxNode, usize>,
    budget: usize,
}

/// What an expression is, as far as the text shows.
enum Resolved {
    Call(usize),
    /// A set, or sets merged with `//`.
    Set(Expr),
    Lambda(Lambda),
    Unknown {
        package: bool,
    },
}

/// A function applied to arguments: `f a b` is one of these, not two.
struct Application {
    function: Expr,
    arguments: Vec<Expr>,
}

impl Application {
    /// `None` where the tree has a hole.
    fn of(apply: &Apply) -> Option<Self> {
        let mut arguments = vec![apply.argument()?];
        let mut function = apply.lambda()?;
        loop {
            match function {
                Expr::Apply(inner) => {
                    arguments.push(inner.argument()?);
                    function = inner.lambda()?;
                }
                Expr::Paren(paren) => function = paren.expr()?,
                _ => break,
            }
        }
        arguments.reverse();
        Some(Self {
            function,
            arguments,
        })
    }

    /// The last part of the function's name: `mkDerivation` of `stdenv.mkDerivation`.
    fn name(&self) -> Option<String> {
        match &self.function {
            Expr::Ident(ident) => Some(ident_text(ident)),
            Expr::Select(select) => last_name(select),
            _ => None,
        }
    }
}

fn last_name(select: &Select) -> Option<String> {
    select
        .attrpath()?
        .attrs()
        .last()
        .and_then(|attr| static_name(&attr))
}

/// Parentheses, `let … in`, `with …;` and `assert …;` do not change what a value is.
fn strip(mut expr: Expr) -> Expr {
    loop {
        let inner = match &expr {
            Expr::Paren(paren) => paren.expr(),
            Expr::With(with) => with.body(),
            Expr::LetIn(bindings) => bindings.body(),
            Expr::Assert(assertion) => assertion.body(),
            _ => None,
        };
        match inner {
            Some(inner) => expr = inner,
            None => return expr,
        }
    }
}

impl Reader {
    /// Takes `cost` from the budget; false if there is not enough.
    fn spend(&mut self, cost: usize) -> bool {
        match self.budget.checked_sub(cost) {
            Some(rest) => {
                self.budget = rest;
                true
            }
            None => {
                self.budget = 0;
                false
            }
        }
    }

    // --- calls ---

    fn find_calls(&mut self, root: &SyntaxNode) {
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
            let inner = node.parent().and_then(Apply::cast).is_some_and(|parent| {
                parent
                    .lambda()
                    .is_some_and(|function| *function.syntax() == node)
            });
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

    fn add_call(
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
            Builder::Other => application
                .arguments
                .iter()
                .find(|argument| matches!(strip((*argument).clone()), Expr::AttrSet(_))),
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
            Some(reason) => Some(NotStdenv {
                reason,
                span: builder_span,
            }),
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
        let mode = Mode {
            origin: Origin::Override,
            ..Mode::default()
        };
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

    // --- attributes of a call ---

    fn gather(&mut self, expr: &Expr, mode: Mode<'_>, hops: usize, out: &mut Gathered) {
        let expr = strip(expr.clone());
        if !self.spend(64) {
            out.hidden = true;
            return;
        }
        match &expr {
            Expr::AttrSet(set) => self.gather_set(set, mode, out),
            Expr::BinOp(op) if op.operator() == Some(BinOpKind::Update) => {
                match (op.lhs(), op.rhs()) {
                    (Some(left), Some(right)) => {
                        self.gather(&left, mode, hops, out);
                        self.gather(&right, mode, hops, out);
                    }
                    _ => out.hidden = true,
                }
            }
            Expr::Apply(apply) => match Application::of(apply) {
                Some(application)
                    if application.name().as_deref() == Some("optionalAttrs")
                        && application.arguments.len() == 2 =>
                {
                    let mode = Mode {
                        conditional: true,
                        ..mode
                    };
                    self.gather(&application.arguments[1], mode, hops, out);
                }
                _ => out.hidden = true,
            },
            Expr::IfElse(branches) => {
                let mode = Mode {
                    conditional: true,
                    ..mode
                };
                for branch in [branches.body(), branches.else_body()] {
                    match branch {
                        Some(branch) => self.gather(&branch, mode, hops, out),
                        None => out.hidden = true,
                    }
                }
            }
            Expr::Ident(ident) if hops > 0 => {
                match self.scopes.resolve(&ident_text(ident), ident.syntax()) {
                    Some(Binding::Value(value)) => self.gather(&value, mode, hops - 1, out),
                    _ => out.hidden = true,
                }
            }
            _ => out.hidden = true,
        }
    }

    fn gather_set(&mut self, set: &AttrSet, mode: Mode<'_>, out: &mut Gathered) {
        for entry in set.entries() {
            match entry {
                Entry::AttrpathValue(entry) => {
                    let (Some(path), Some(value)) = (entry.attrpath(), entry.value()) else {
                        continue;
                    };
                    let Some(names) = static_path(&path) else {
                        out.hidden = true;
                        continue;
                    };
                    let name = format!("{}{}", mode.prefix, names.join("."));
                    let (kind, via) = self.value(&value, HOPS);
                    let environment = name == "env";
                    if !self.spend(name.len() + 64) {
                        out.hidden = true;
                        return;
                    }
                    out.attributes.push(Attribute {
                        name,
                        key: span(path.syntax()),
                        span: span(value.syntax()),
                        value: kind,
                        via,
                        conditional: mode.conditional,
                        origin: mode.origin,
                    });
                    // stdenv exports what is in `env`, as it does other attributes.
                    if environment {
                        let mode = Mode {
                            prefix: "env.",
                            ..mode
                        };
                        let mut inner = Gathered::default();
                        self.gather(&value, mode, HOPS, &mut inner);
                        out.attributes.append(&mut inner.attributes);
                    }
                }
                Entry::Inherit(inherit) => {
                    let from = inherit.from().and_then(|from| from.expr());
                    for attr in inherit.attrs() {
                        self.gather_inherited(set, from.as_ref(), &attr, mode, out);
                    }
                }
            }
        }
    }

    fn gather_inherited(
        &mut self,
        set: &AttrSet,
        from: Option<&Expr>,
        attr: &Attr,
        mode: Mode<'_>,
        out: &mut Gathered,
    ) {
        let Some(name) = static_name(attr) else {
            out.hidden = true;
            return;
        };
        let bound = match from {
            None => set
                .syntax()
                .parent()
                .and_then(|outside| self.scopes.resolve(&name, &outside))
                .and_then(|binding| self.bound(binding, &name, HOPS)),
            Some(from) => self.member(from, &name, HOPS),
        };
        let value = bound.map_or(Value::Other, |value| self.value(&value, HOPS).0);
        let place = span(attr.syntax());
        out.attributes.push(Attribute {
            name: format!("{}{name}", mode.prefix),
            key: place.clone(),
            span: place,
            value,
            via: Some(name),
            conditional: mode.conditional,
            origin: match mode.origin {
                Origin::Override => Origin::Override,
                _ => Origin::Inherited,
            },
        });
    }

    /// The expression behind a binding of `name`.
    fn bound(&mut self, binding: Binding, name: &str, hops: usize) -> Option<Expr> {
        match binding {
            Binding::Value(value) => Some(value),
            Binding::From(from) => self.member(&from, name, hops.checked_sub(1)?),
            Binding::Outside(_) | Binding::Parameter(_) => None,
        }
    }

    /// The value of attribute `name` of a set that the text shows.
    fn member(&mut self, set: &Expr, name: &str, hops: usize) -> Option<Expr> {
        let hops = hops.checked_sub(1)?;
        match self.resolve(set.clone(), hops) {
            Resolved::Set(set) => self.member_of(&set, name, hops)?,
            _ => None,
        }
    }

    /// As [`Self::member`], of a set or sets merged with `//`. `Some(None)`: it has no such
    /// attribute. `None`: the text does not show whether it has.
    fn member_of(&mut self, set: &Expr, name: &str, hops: usize) -> Option<Option<Expr>> {
        match set {
            Expr::AttrSet(set) => match self.scopes.names_of(set.syntax()).get(name).cloned() {
                None => Some(None),
                Some(Binding::Outside(scope)) => {
                    let binding = self.scopes.resolve(name, &scope.parent()?)?;
                    self.bound(binding, name, hops).map(Some)
                }
                Some(binding) => self.bound(binding, name, hops).map(Some),
            },
            Expr::BinOp(op) => {
                let hops = hops.checked_sub(1)?;
                let right = match strip(op.rhs()?) {
                    // An optional attribute may or may not replace the one on the left.
                    Expr::Apply(apply) => {
                        let application = Application::of(&apply)?;
                        let optional = application.name().as_deref() == Some("optionalAttrs");
                        let set = application.arguments.last().filter(|_| optional)?.clone();
                        match self.resolve(set, hops) {
                            Resolved::Set(set) => match self.member_of(&set, name, hops)? {
                                Some(_) => return None,
                                None => None,
                            },
                            _ => return None,
                        }
                    }
                    right => match self.resolve(right, hops) {
                        Resolved::Set(set) => self.member_of(&set, name, hops)?,
                        _ => return None,
                    },
                };
                if right.is_some() {
                    return Some(right);
                }
                match self.resolve(op.lhs()?, hops) {
                    Resolved::Set(set) => self.member_of(&set, name, hops),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    // --- values ---

    /// What the text says about a value, and the name it was followed through.
    fn value(&mut self, expr: &Expr, hops: usize) -> (Value, Option<String>) {
        let expr = strip(expr.clone());
        if !self.spend(16 + usize::from(expr.syntax().text_range().len())) {
            return (Value::Other, None);
        }
        let value = match &expr {
            Expr::Str(string) => Value::String(self.text(string, hops)),
            Expr::List(list) => {
                let items: Vec<Expr> = list.items().collect();
                Value::List(items.iter().map(|item| self.value(item, hops).0).collect())
            }
            Expr::Literal(_) => {
                let text = expr.syntax().text().to_string();
                match text.parse() {
                    Ok(number) => Value::Int(number),
                    // A bare URL is a string.
                    Err(_) if text.contains(':') => {
                        Value::String(text::Text(vec![text::Part::Text(text)]))
                    }
                    Err(_) => Value::Other,
                }
            }
            Expr::PathAbs(_) | Expr::PathRel(_) | Expr::PathHome(_) | Expr::PathSearch(_) => {
                Value::Path(expr.syntax().text().to_string())
            }
            Expr::UnaryOp(_) => match expr.syntax().text().to_string().parse() {
                Ok(number) => Value::Int(number),
                Err(_) => Value::Other,
            },
            Expr::AttrSet(_) => Value::Set,
            Expr::Lambda(_) => Value::Function,
            Expr::Ident(ident) => {
                let name = ident_text(ident);
                return match self.scopes.resolve(&name, ident.syntax()) {
                    Some(Binding::Value(value)) if hops > 0 => {
                        (self.value(&value, hops - 1).0, Some(name))
                    }
                    Some(Binding::From(from)) if hops > 0 => {
                        let value = self.member(&from, &name, hops - 1);
                        let value = value.map_or(Value::Other, |v| self.value(&v, hops - 1).0);
                        (value, Some(name))
                    }
                    Some(_) => (Value::Other, None),
                    None => (constant(&name), None),
                };
            }
            _ => Value::Other,
        };
        (value, None)
    }

    /// A string, the holes filled in where they are names of strings.
    fn text(&mut self, string: &rnix::ast::Str, hops: usize) -> text::Text {
        let mut text = text::of_string(string);
        let mut holes = string
            .syntax()
            .children()
            .filter_map(rnix::ast::Interpol::cast);
        for part in &mut text.0 {
            if let text::Part::Hole { value, .. } = part
                && let Some(expr) = holes.next().and_then(|hole| hole.expr())
            {
                *value = self.hole(&expr, hops);
            }
        }
        text
    }

    fn hole(&mut self, expr: &Expr, hops: usize) -> Option<String> {
        let hops = hops.checked_sub(1)?;
        let target = match strip(expr.clone()) {
            Expr::Ident(ident) => {
                let name = ident_text(&ident);
                let binding = self.scopes.resolve(&name, ident.syntax())?;
                self.bound(binding, &name, hops)?
            }
            // `finalAttrs.version` inside `finalAttrs: { version = …; }`.
            Expr::Select(select) => {
                let Expr::Ident(ident) = select.expr()? else {
                    return None;
                };
                let path = static_path(&select.attrpath()?)?;
                let [name] = path.as_slice() else {
                    return None;
                };
                match self.scopes.resolve(&ident_text(&ident), ident.syntax())? {
                    Binding::Parameter(lambda) if is_final(&lambda) => {
                        self.member(&lambda.body()?, name, hops)?
                    }
                    Binding::Value(value) => self.member(&value, name, hops)?,
                    _ => return None,
                }
            }
            _ => return None,
        };
        match self.value(&target, hops).0 {
            Value::String(text) => text.known(),
            _ => None,
        }
    }

    // --- the value of the text ---

    fn resolve(&mut self, mut expr: Expr, mut hops: usize) -> Resolved {
        let unknown = Resolved::Unknown { package: false };
        loop {
            if !self.spend(64) {
                return unknown;
            }
            expr = strip(expr);
            match &expr {
                Expr::AttrSet(_) => return Resolved::Set(expr),
                Expr::Lambda(lambda) => return Resolved::Lambda(lambda.clone()),
                _ => {}
            }
            let Some(left) = hops.checked_sub(1) else {
                return unknown;
            };
            hops = left;
            let next = match &expr {
                Expr::BinOp(op) if op.operator() == Some(BinOpKind::Update) => {
                    let Some(left) = op.lhs() else { return unknown };
                    // `package // { … }` is still the package.
                    return match self.resolve(left, hops) {
                        Resolved::Set(_) => Resolved::Set(expr),
                        resolved => resolved,
                    };
                }
                Expr::Ident(ident) => {
                    let name = ident_text(ident);
                    match self.scopes.resolve(&name, ident.syntax()) {
                        Some(Binding::Value(value)) => Some(value),
                        Some(Binding::From(from)) => self.member(&from, &name, hops),
                        _ => None,
                    }
                }
                Expr::Select(select) => self.selected(select, hops),
                Expr::Apply(apply) => {
                    if let Some(&index) = self.by_node.get(apply.syntax()) {
                        return Resolved::Call(index);
                    }
                    let Some(application) = Application::of(apply) else {
                        return unknown;
                    };
                    match self.applied(apply, &application, hops) {
                        Ok(next) => Some(next),
                        Err(resolved) => return resolved,
                    }
                }
                _ => None,
            };
            match next {
                Some(next) => expr = next,
                None => return unknown,
            }
        }
    }

    /// `set.a.b`, where the text shows the sets.
    fn selected(&mut self, select: &Select, hops: usize) -> Option<Expr> {
        let path = static_path(&select.attrpath()?)?;
        let mut expr = select.expr()?;
        for name in &path {
            expr = self.member(&expr, name, hops)?;
        }
        Some(expr)
    }

    /// What an application that is not a known call of a builder gives: an expression to go on with,
    /// or the end.
    fn applied(
        &mut self,
        apply: &Apply,
        application: &Application,
        hops: usize,
    ) -> Result<Expr, Resolved> {
        let name = application.name().unwrap_or_default();
        let end = Resolved::Unknown {
            package: builders::gives_package(&name),
        };
        if let Some(known @ Known::Other(Reason::Fetcher(_))) = builders::known(&name) {
            let index = self.add_call(apply.syntax(), application, known, false);
            return Err(Resolved::Call(index));
        }
        if name == "override"
            && let Expr::Select(select) = &application.function
        {
            return select.expr().ok_or(end);
        }
        if builders::passes_through(&name) == Some(application.arguments.len()) {
            return application.arguments.last().cloned().ok_or(end);
        }
        let (function, count) = if matches!(name.as_str(), "callPackage" | "callPackages") {
            (application.arguments.first().cloned(), 1)
        } else {
            (
                Some(application.function.clone()),
                application.arguments.len(),
            )
        };
        let Some(mut function) = function else {
            return Err(end);
        };
        for _ in 0..count {
            match self.resolve(function, hops) {
                Resolved::Lambda(lambda) => match lambda.body() {
                    Some(body) => function = body,
                    None => return Err(end),
                },
                _ => return Err(end),
            }
        }
        Ok(function)
    }

    fn form(&mut self, expr: Expr) -> (Form, Option<usize>) {
        let lambda = match self.resolve(expr, HOPS) {
            Resolved::Call(index) => return (Form::Derivation, Some(index)),
            Resolved::Set(set) => return (Form::AttributeSet(self.attributes(&set)), None),
            Resolved::Unknown { .. } => return (Form::Derivation, None),
            Resolved::Lambda(lambda) => lambda,
        };
        let (returns, main) = self.returns(&lambda);
        let form = match lambda.param() {
            Some(Param::Pattern(pattern)) => {
                let names: Vec<Formal> = pattern
                    .pat_entries()
                    .filter_map(|entry| {
                        let ident = entry.ident()?;
                        Some(Formal {
                            name: ident_text(&ident),
                            span: span(ident.syntax()),
                            has_default: entry.question_token().is_some(),
                        })
                    })
                    .collect();
                let formals = Formals {
                    ellipsis: pattern.ellipsis_token().is_some(),
                    bound: pattern
                        .pat_bind()
                        .and_then(|bind| bind.ident())
                        .map(|ident| ident_text(&ident)),
                    names,
                    returns,
                };
                if formals.required().next().is_some() {
                    Form::CallPackage(formals)
                } else {
                    Form::Function(formals)
                }
            }
            Some(Param::IdentParam(param)) => Form::PlainFunction {
                parameter: param.ident().map(|i| ident_text(&i)).unwrap_or_default(),
                returns,
            },
            None => Form::Derivation,
        };
        (form, main)
    }

    fn returns(&mut self, lambda: &Lambda) -> (Returns, Option<usize>) {
        let mut curried = false;
        let mut body = lambda.body();
        while let Some(expr) = body {
            match self.resolve(expr, HOPS) {
                Resolved::Call(index) if curried => return (Returns::Function, Some(index)),
                Resolved::Call(index) => return (Returns::Value, Some(index)),
                Resolved::Set(set) if !curried => {
                    return (Returns::Attributes(self.attributes(&set)), None);
                }
                Resolved::Lambda(inner) => {
                    curried = true;
                    if !self.spend(64) {
                        break;
                    }
                    body = inner.body();
                }
                _ => break,
            }
        }
        let returns = if curried {
            Returns::Function
        } else {
            Returns::Value
        };
        (returns, None)
    }

    // --- sets of packages ---

    fn attributes(&mut self, set: &Expr) -> Attributes {
        let mut attributes = Attributes {
            list: Vec::new(),
            complete: true,
        };
        self.list(set, &[], &mut attributes);
        attributes
    }

    fn list(&mut self, expr: &Expr, prefix: &[String], out: &mut Attributes) {
        if prefix.len() >= SET_LEVELS || !self.spend(64) {
            out.complete = false;
            return;
        }
        match strip(expr.clone()) {
            Expr::AttrSet(set) => self.list_set(&set, prefix, out),
            Expr::BinOp(op) if op.operator() == Some(BinOpKind::Update) => {
                for side in [op.lhs(), op.rhs()] {
                    match side.map(|side| self.resolve(side, HOPS)) {
                        Some(Resolved::Set(side)) => self.list(&side, prefix, out),
                        _ => out.complete = false,
                    }
                }
            }
            _ => out.complete = false,
        }
    }

    fn list_set(&mut self, set: &AttrSet, prefix: &[String], out: &mut Attributes) {
        for entry in set.entries() {
            match entry {
                Entry::AttrpathValue(entry) => {
                    let names = entry.attrpath().and_then(|path| static_path(&path));
                    let (Some(names), Some(path), Some(value)) =
                        (names, entry.attrpath(), entry.value())
                    else {
                        out.complete = false;
                        continue;
                    };
                    let path_names = [prefix, &names].concat();
                    self.list_one(path_names, span(path.syntax()), Some(value), out);
                }
                Entry::Inherit(inherit) => {
                    let from = inherit.from().and_then(|from| from.expr());
                    for attr in inherit.attrs() {
                        let Some(name) = static_name(&attr) else {
                            out.complete = false;
                            continue;
                        };
                        let value = match &from {
                            Some(from) => self.member(from, &name, HOPS),
                            None => {
                                let outside = set.syntax().parent();
                                match outside.and_then(|node| self.scopes.resolve(&name, &node)) {
                                    Some(Binding::Value(value)) => Some(value),
                                    _ => None,
                                }
                            }
                        };
                        let path = [prefix, &[name]].concat();
                        self.list_one(path, span(attr.syntax()), value, out);
                    }
                }
            }
        }
    }

    fn list_one(
        &mut self,
        path: Vec<String>,
        place: crate::diagnostic::Span,
        value: Option<Expr>,
        out: &mut Attributes,
    ) {
        let resolved = value.map_or(Resolved::Unknown { package: false }, |value| {
            self.resolve(value, HOPS)
        });
        let mut attribute = SetAttribute {
            path,
            span: place,
            looks_like_package: false,
            is_set: false,
            call: None,
        };
        let mut below = None;
        match resolved {
            Resolved::Call(index) => {
                attribute.looks_like_package = true;
                attribute.call = Some(index);
            }
            Resolved::Set(set) => {
                attribute.is_set = true;
                below = Some((set, attribute.path.clone()));
            }
            Resolved::Lambda(_) => {}
            Resolved::Unknown { package } => attribute.looks_like_package = package,
        }
        out.list.push(attribute);
        if let Some((set, path)) = below {
            self.list(&set, &path, out);
        }
    }
}

/// How attributes are gathered.
#[derive(Debug, Clone, Copy)]
struct Mode<'a> {
    conditional: bool,
    origin: Origin,
    prefix: &'a str,
}

impl Default for Mode<'_> {
    fn default() -> Self {
        Self {
            conditional: false,
            origin: Origin::Written,
            prefix: "",
        }
    }
}

#[derive(Default)]
struct Gathered {
    attributes: Vec<Attribute>,
    /// Something is merged in that the text does not show.
    hidden: bool,
}

impl Gathered {
    fn complete(&self) -> bool {
        !self.hidden
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

/// Whether a function is given, as its first argument, the attributes it returns:
/// `finalAttrs: { … }` as an argument of a builder. Of `final: prev: { … }` only the outer one.
fn is_final(lambda: &Lambda) -> bool {
    let mut node = lambda.syntax().parent();
    while let Some(parent) = node {
        if Apply::can_cast(parent.kind()) {
            return true;
        }
        if !matches!(
            parent.kind(),
            rnix::SyntaxKind::NODE_PAREN
                | rnix::SyntaxKind::NODE_LET_IN
                | rnix::SyntaxKind::NODE_WITH
                | rnix::SyntaxKind::NODE_ASSERT
        ) {
            return false;
        }
        node = parent.parent();
    }
    false
}

fn not_stdenv(call: &Call) -> Option<NotStdenv> {
    let certain = |name: &str| {
        call.attribute(name)
            .filter(|attribute| !attribute.conditional && attribute.value != Value::Null)
    };
    let found = [
        ("buildCommand", Reason::BuildCommand),
        ("buildCommandPath", Reason::BuildCommand),
        ("outputHash", Reason::FixedOutput),
        ("builder", Reason::OwnBuilder),
    ];
    found.into_iter().find_map(|(name, reason)| {
        certain(name).map(|attribute| NotStdenv {
            reason,
            span: attribute.key.clone(),
        })
    })
}

fn constant(name: &str) -> Value {
    match name {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        _ => Value::Other,
    }
}

/// The text of a node for messages: one line, not too long.
fn short_text(node: &SyntaxNode) -> String {
    const MOST: usize = 80;
    let mut out = String::new();
    let range = node.text_range();
    for token in node
        .descendants_with_tokens()
        .filter_map(rnix::NodeOrToken::into_token)
        .take(MOST)
    {
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
