//! From a syntax tree to a [`Package`].
//!
//! Owns the search for builder calls and for the value of the text. Works on trees without errors.
//! Follows names through `let`, `rec` and `inherit` where that is certain; says "unknown" otherwise.

mod attributes;
mod calls;
mod resolve;
mod sets;
mod values;

use std::collections::HashMap;

use rnix::SyntaxNode;
use rnix::ast::{Apply, Expr, Lambda, Param, Root, Select};
use rowan::ast::AstNode;

use super::package::{Call, Form, Formal, Formals, Package, Returns};
use super::scope::{Scopes, ident_text, static_name};
use super::text::span;

/// How many names are followed from one place: enough for people, and an end to cycles.
const HOPS: usize = 16;

/// Work allowed for one text, in bytes looked at. A text in which names multiply each other
/// (`let a = [ b b ]; b = [ c c ]; …`) would otherwise take time exponential in its length.
const BUDGET: usize = 32 << 20;

/// What looking at one expression costs at least: an end to texts of many small ones.
const STEP: usize = 128;

/// How many names are followed to find what a value is.
const VALUE_HOPS: usize = 4;

/// Sets of packages are listed this many levels deep.
const SET_LEVELS: usize = 6;

/// Reads the tree of the text named `file`.
pub(super) fn read(file: &str, root: &Root) -> Package {
    let mut reader = Reader { scopes: Scopes::default(), calls: Vec::new(), by_node: HashMap::new(), budget: BUDGET };
    reader.find_calls(root.syntax());
    let (form, main) = match root.expr() {
        Some(expr) => reader.form(expr),
        None => (Form::Derivation, None),
    };
    Package { file: file.to_owned(), form, calls: reader.calls, main }
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

/// An attribute of a set.
enum Member {
    /// It has this value.
    Is(Expr),
    /// The set has no such attribute.
    Absent,
    /// The text does not show it.
    Hidden,
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
        Some(Self { function, arguments })
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
    select.attrpath()?.attrs().last().and_then(|attr| static_name(&attr))
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
        let enough = cost <= self.budget;
        self.budget = self.budget.saturating_sub(cost);
        enough
    }
}

impl Reader {
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
                    bound: pattern.pat_bind().and_then(|bind| bind.ident()).map(|ident| ident_text(&ident)),
                    names,
                    returns,
                };
                if formals.required().next().is_some() { Form::CallPackage(formals) } else { Form::Function(formals) }
            }
            Some(Param::IdentParam(param)) => {
                Form::PlainFunction { parameter: param.ident().map(|i| ident_text(&i)).unwrap_or_default(), returns }
            }
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
                    if !self.spend(STEP) {
                        break;
                    }
                    body = inner.body();
                }
                _ => break,
            }
        }
        let returns = if curried { Returns::Function } else { Returns::Value };
        (returns, None)
    }
}
