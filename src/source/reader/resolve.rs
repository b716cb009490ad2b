//! Follows names, selections and applications to what an expression is.

use rnix::ast::{Apply, AttrSet, BinOpKind, Expr, Select};
use rowan::ast::AstNode;

use super::{Application, HOPS, Member, Reader, Resolved, STEP, strip};
use crate::source::builders::{self, Known};
use crate::source::package::Reason;
use crate::source::scope::{Binding, ident_text, static_path};

impl Reader {
    pub(super) fn resolve(&mut self, mut expr: Expr, mut hops: usize) -> Resolved {
        let unknown = Resolved::Unknown { package: false };
        loop {
            if !self.spend(STEP) {
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
    fn applied(&mut self, apply: &Apply, application: &Application, hops: usize) -> Result<Expr, Resolved> {
        let name = application.name().unwrap_or_default();
        let end = Resolved::Unknown { package: builders::gives_package(&name) };
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
            (Some(application.function.clone()), application.arguments.len())
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

    /// The expression behind a binding of `name`.
    pub(super) fn bound(&mut self, binding: Binding, name: &str, hops: usize) -> Option<Expr> {
        match binding {
            Binding::Value(value) => Some(value),
            Binding::From(from) => self.member(&from, name, hops.checked_sub(1)?),
            Binding::Outside(_) | Binding::Parameter(_) => None,
        }
    }

    /// The value of attribute `name` of a set that the text shows.
    pub(super) fn member(&mut self, set: &Expr, name: &str, hops: usize) -> Option<Expr> {
        let hops = hops.checked_sub(1)?;
        match self.resolve(set.clone(), hops) {
            Resolved::Set(set) => match self.member_of(&set, name, hops) {
                Member::Is(value) => Some(value),
                Member::Absent | Member::Hidden => None,
            },
            _ => None,
        }
    }

    /// As [`Self::member`], of a set or sets merged with `//`.
    fn member_of(&mut self, set: &Expr, name: &str, hops: usize) -> Member {
        match set {
            Expr::AttrSet(set) => {
                let binding = match self.scopes.names_of(set.syntax()).get(name).cloned() {
                    None => return Member::Absent,
                    Some(Binding::Outside(scope)) => {
                        scope.parent().and_then(|outside| self.scopes.resolve(name, &outside))
                    }
                    binding => binding,
                };
                binding.and_then(|binding| self.bound(binding, name, hops)).map_or(Member::Hidden, Member::Is)
            }
            Expr::BinOp(op) => {
                let (Some(hops), Some(left), Some(right)) = (hops.checked_sub(1), op.lhs(), op.rhs()) else {
                    return Member::Hidden;
                };
                match self.right_member(strip(right), name, hops) {
                    Member::Absent => match self.resolve(left, hops) {
                        Resolved::Set(set) => self.member_of(&set, name, hops),
                        _ => Member::Hidden,
                    },
                    member => member,
                }
            }
            _ => Member::Hidden,
        }
    }

    /// The attribute `name` of the right side of `//`.
    fn right_member(&mut self, right: Expr, name: &str, hops: usize) -> Member {
        let Expr::Apply(apply) = &right else {
            return match self.resolve(right, hops) {
                Resolved::Set(set) => self.member_of(&set, name, hops),
                _ => Member::Hidden,
            };
        };
        // An optional attribute may or may not replace the one on the left.
        let optional = Application::of(apply)
            .filter(|application| application.name().as_deref() == Some("optionalAttrs"))
            .and_then(|application| application.arguments.into_iter().next_back());
        match optional.map(|set| self.resolve(set, hops)) {
            Some(Resolved::Set(set)) => match self.member_of(&set, name, hops) {
                Member::Absent => Member::Absent,
                _ => Member::Hidden,
            },
            _ => Member::Hidden,
        }
    }

    /// The value of `name` in `inherit name;` or `inherit (from) name;` written in `set`.
    pub(super) fn inherited(&mut self, set: &AttrSet, from: Option<&Expr>, name: &str) -> Option<Expr> {
        if let Some(from) = from {
            return self.member(from, name, HOPS);
        }
        let outside = set.syntax().parent()?;
        let binding = self.scopes.resolve(name, &outside)?;
        self.bound(binding, name, HOPS)
    }
}
