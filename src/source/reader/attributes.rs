//! Gathers the attributes that a call's arguments show.

use rnix::ast::{Attr, AttrSet, BinOpKind, Entry, Expr, HasEntry};
use rowan::ast::AstNode;

use super::{Application, HOPS, Reader, STEP, VALUE_HOPS, strip};
use crate::source::package::{Attribute, Origin, Value};
use crate::source::scope::{Binding, ident_text, static_name, static_path};
use crate::source::text::span;

impl Reader {
    pub(super) fn gather(&mut self, expr: &Expr, mode: Mode<'_>, hops: usize, out: &mut Gathered) {
        let expr = strip(expr.clone());
        if !self.spend(STEP) {
            out.hidden = true;
            return;
        }
        match &expr {
            Expr::AttrSet(set) => self.gather_set(set, mode, out),
            Expr::BinOp(op) if op.operator() == Some(BinOpKind::Update) => match (op.lhs(), op.rhs()) {
                (Some(left), Some(right)) => {
                    self.gather(&left, mode, hops, out);
                    self.gather(&right, mode, hops, out);
                }
                _ => out.hidden = true,
            },
            Expr::Apply(apply) => match Application::of(apply) {
                Some(application)
                    if application.name().as_deref() == Some("optionalAttrs") && application.arguments.len() == 2 =>
                {
                    let mode = Mode { conditional: true, ..mode };
                    self.gather(&application.arguments[1], mode, hops, out);
                }
                _ => out.hidden = true,
            },
            Expr::IfElse(branches) => {
                let mode = Mode { conditional: true, ..mode };
                for branch in [branches.body(), branches.else_body()] {
                    match branch {
                        Some(branch) => self.gather(&branch, mode, hops, out),
                        None => out.hidden = true,
                    }
                }
            }
            Expr::Ident(ident) if hops > 0 => match self.scopes.resolve(&ident_text(ident), ident.syntax()) {
                Some(Binding::Value(value)) => self.gather(&value, mode, hops - 1, out),
                _ => out.hidden = true,
            },
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
                    let (kind, via) = self.value(&value, VALUE_HOPS);
                    let environment = name == "env";
                    if !self.spend(name.len() + STEP) {
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
                        let mode = Mode { prefix: "env.", ..mode };
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
        let bound = self.inherited(set, from, &name);
        let value = bound.map_or(Value::Other, |value| self.value(&value, VALUE_HOPS).0);
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
}

/// How attributes are gathered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode<'a> {
    pub(super) conditional: bool,
    pub(super) origin: Origin,
    pub(super) prefix: &'a str,
}

impl Default for Mode<'_> {
    fn default() -> Self {
        Self { conditional: false, origin: Origin::Written, prefix: "" }
    }
}

#[derive(Default)]
pub(super) struct Gathered {
    pub(super) attributes: Vec<Attribute>,
    /// Something is merged in that the text does not show.
    hidden: bool,
}

impl Gathered {
    pub(super) fn complete(&self) -> bool {
        !self.hidden
    }
}
