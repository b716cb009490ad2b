//! Lists the attributes of a set of packages.

use rnix::ast::{AttrSet, BinOpKind, Entry, Expr, HasEntry};
use rowan::ast::AstNode;

use super::{HOPS, Reader, Resolved, SET_LEVELS, STEP, strip};
use crate::diagnostic::Span;
use crate::source::package::{Attributes, SetAttribute};
use crate::source::scope::{static_name, static_path};
use crate::source::text::span;

impl Reader {
    pub(super) fn attributes(&mut self, set: &Expr) -> Attributes {
        let mut attributes = Attributes { list: Vec::new(), complete: true };
        self.list(set, &[], &mut attributes);
        attributes
    }

    fn list(&mut self, expr: &Expr, prefix: &[String], out: &mut Attributes) {
        if prefix.len() >= SET_LEVELS || !self.spend(STEP) {
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
                    let (Some(names), Some(path), Some(value)) = (names, entry.attrpath(), entry.value()) else {
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
                        let value = self.inherited(set, from.as_ref(), &name);
                        let path = [prefix, &[name]].concat();
                        self.list_one(path, span(attr.syntax()), value, out);
                    }
                }
            }
        }
    }

    fn list_one(&mut self, path: Vec<String>, place: Span, value: Option<Expr>, out: &mut Attributes) {
        let resolved = value.map_or(Resolved::Unknown { package: false }, |value| self.resolve(value, HOPS));
        let mut attribute = SetAttribute { path, span: place, looks_like_package: false, is_set: false, call: None };
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
