//! What the text says about single values.

use rnix::ast::{Apply, Expr, Lambda};
use rowan::ast::AstNode;

use super::{Reader, STEP, strip};
use crate::source::package::Value;
use crate::source::scope::{Binding, ident_text, static_path};
use crate::source::text;

impl Reader {
    /// What the text says about a value, and the name it was followed through.
    pub(super) fn value(&mut self, expr: &Expr, hops: usize) -> (Value, Option<String>) {
        let expr = strip(expr.clone());
        if !self.spend(STEP + usize::from(expr.syntax().text_range().len())) {
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
                    Err(_) if text.contains(':') => Value::String(text::Text(vec![text::Part::Text(text)])),
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
                    Some(Binding::Value(value)) if hops > 0 => (self.value(&value, hops - 1).0, Some(name)),
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
        let mut holes = string.syntax().children().filter_map(rnix::ast::Interpol::cast);
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
                    Binding::Parameter(lambda) if is_final(&lambda) => self.member(&lambda.body()?, name, hops)?,
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

fn constant(name: &str) -> Value {
    match name {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        _ => Value::Other,
    }
}
