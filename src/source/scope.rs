//! What a name stands for at a place of a syntax tree, as far as the text shows.
//!
//! Owns Nix's scoping of `let`, `rec` and function arguments. Names that only a `with` could provide
//! are unknown.

use std::collections::HashMap;
use std::rc::Rc;

use rnix::SyntaxNode;
use rnix::ast::{Attr, AttrSet, Attrpath, Entry, Expr, HasEntry, Ident, Lambda, LegacyLet, LetIn, Param};
use rowan::ast::AstNode;

/// What binds a name.
#[derive(Debug, Clone)]
pub(super) enum Binding {
    /// `name = expression;`
    Value(Expr),
    /// `inherit name;`: the same name outside the node.
    Outside(SyntaxNode),
    /// `inherit (expression) name;`
    From(Expr),
    /// An argument of this function.
    Parameter(Lambda),
}

type Names = Rc<HashMap<String, Binding>>;

/// Nodes that all look-ups in one text may climb together. Ordinary texts stay far below; in a deep
/// one with millions of names the climbing would cost minutes.
const MAX_STEPS: usize = 20 << 20;

/// Looks names up; remembers the names of each scope it has seen.
#[derive(Default)]
pub(super) struct Scopes {
    known: HashMap<SyntaxNode, Names>,
    steps: usize,
}

impl Scopes {
    /// The binding of `name` seen from `node`, whose own names count if it is a scope.
    pub(super) fn lookup(&mut self, name: &str, node: &SyntaxNode) -> Option<Binding> {
        let mut scope = Some(node.clone());
        while let Some(node) = scope {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return None;
            }
            if let Some(lambda) = Lambda::cast(node.clone()) {
                if has_parameter(&lambda, name) {
                    return Some(Binding::Parameter(lambda));
                }
            } else if let Some(names) = self.names(&node)
                && let Some(binding) = names.get(name)
            {
                return Some(binding.clone());
            }
            scope = node.parent();
        }
        None
    }

    /// As [`Self::lookup`], following `inherit name;` outwards.
    pub(super) fn resolve(&mut self, name: &str, node: &SyntaxNode) -> Option<Binding> {
        let mut from = node.clone();
        loop {
            match self.lookup(name, &from)? {
                Binding::Outside(scope) => from = scope.parent()?,
                binding => return Some(binding),
            }
        }
    }

    /// The names an attribute set or `let` binds by simple names. Those of any set, `rec` or not.
    pub(super) fn names_of(&mut self, node: &SyntaxNode) -> Names {
        if let Some(names) = self.known.get(node) {
            return Rc::clone(names);
        }
        let names = if let Some(set) = AttrSet::cast(node.clone()) {
            entries(node, set.entries())
        } else if let Some(bindings) = LetIn::cast(node.clone()) {
            entries(node, bindings.entries())
        } else if let Some(bindings) = LegacyLet::cast(node.clone()) {
            entries(node, bindings.entries())
        } else {
            HashMap::new()
        };
        let names = Rc::new(names);
        self.known.insert(node.clone(), Rc::clone(&names));
        names
    }

    fn names(&mut self, node: &SyntaxNode) -> Option<Names> {
        let is_scope = match AttrSet::cast(node.clone()) {
            Some(set) => set.rec_token().is_some(),
            None => LetIn::can_cast(node.kind()) || LegacyLet::can_cast(node.kind()),
        };
        is_scope.then(|| self.names_of(node))
    }
}

fn entries(scope: &SyntaxNode, entries: impl Iterator<Item = Entry>) -> HashMap<String, Binding> {
    let mut names = HashMap::new();
    for entry in entries {
        match entry {
            Entry::AttrpathValue(entry) => {
                let path = entry.attrpath().and_then(|path| static_path(&path));
                if let (Some(path), Some(value)) = (path, entry.value())
                    && let [name] = path.as_slice()
                {
                    names.insert(name.clone(), Binding::Value(value));
                }
            }
            Entry::Inherit(inherit) => {
                let from = inherit.from().map(|from| from.expr());
                for name in inherit.attrs().filter_map(|attr| static_name(&attr)) {
                    let binding = match &from {
                        None => Binding::Outside(scope.clone()),
                        Some(Some(expr)) => Binding::From(expr.clone()),
                        Some(None) => continue,
                    };
                    names.insert(name, binding);
                }
            }
        }
    }
    names
}

fn has_parameter(lambda: &Lambda, name: &str) -> bool {
    match lambda.param() {
        Some(Param::IdentParam(param)) => param.ident().is_some_and(|ident| is(&ident, name)),
        Some(Param::Pattern(pattern)) => {
            pattern.pat_entries().any(|entry| entry.ident().is_some_and(|ident| is(&ident, name)))
                || pattern.pat_bind().and_then(|bind| bind.ident()).is_some_and(|ident| is(&ident, name))
        }
        None => false,
    }
}

fn is(ident: &Ident, name: &str) -> bool {
    ident.syntax().first_token().is_some_and(|token| token.text() == name)
}

/// The text of a name.
pub(super) fn ident_text(ident: &Ident) -> String {
    ident.syntax().first_token().map(|token| token.text().to_owned()).unwrap_or_default()
}

/// The name an attribute has for certain: `a`, `"a"`, `${"a"}`.
pub(super) fn static_name(attr: &Attr) -> Option<String> {
    match attr {
        Attr::Ident(ident) => Some(ident_text(ident)),
        Attr::Str(string) => super::text::of_string(string).literal().map(str::to_owned),
        Attr::Dynamic(dynamic) => match dynamic.expr()? {
            Expr::Str(string) => super::text::of_string(&string).literal().map(str::to_owned),
            _ => None,
        },
    }
}

/// The names of a path of attributes, if all are certain.
pub(super) fn static_path(path: &Attrpath) -> Option<Vec<String>> {
    path.attrs().map(|attr| static_name(&attr)).collect()
}
