//! From what a text says about a call of a builder to what planning needs of it.

use super::{Attribute, Reading};
use crate::source::{self, Arguments, Builder, Call, Value};

impl Reading {
    /// What a builder's call tells.
    ///
    /// A builder on top of `mkDerivation` adds attributes that the text does not show, and so does the package that
    /// `overrideAttrs` changes: such a reading is never complete.
    pub fn of(call: &Call) -> Self {
        let mut attributes: Vec<Attribute> = Vec::new();
        for written in &call.attributes {
            let new = attribute(written);
            match attributes.iter_mut().find(|known| known.name == new.name) {
                Some(known) if written.conditional => {
                    // Either of the two may take effect.
                    known.set = known.set.filter(|set| new.set == Some(*set));
                    known.words = None;
                }
                Some(known) => *known = new,
                None => attributes.push(new),
            }
        }
        let plain = matches!(call.arguments, Arguments::Set | Arguments::Rec | Arguments::FinalAttrs);
        Self { attributes, complete: call.complete && call.kind == Builder::MkDerivation && plain }
    }
}

fn attribute(written: &source::Attribute) -> Attribute {
    Attribute {
        name: written.name.clone(),
        set: if written.conditional { None } else { is_set(&written.value) },
        words: if written.conditional { None } else { words(&written.value) },
    }
}

/// Whether a value is non-empty once Nix has put it into the environment: `true` is "1" and `false` is "", numbers are
/// their digits, a list its items with spaces between, and `mkDerivation` leaves `null` out.
fn is_set(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Null => Some(false),
        Value::Int(_) | Value::Path(_) => Some(true),
        Value::String(text) => match text.known() {
            Some(text) => Some(!text.is_empty()),
            None => text.0.iter().any(|part| matches!(part, source::Part::Text(_))).then_some(true),
        },
        Value::List(items) if items.is_empty() => Some(false),
        Value::List(items) => items.iter().any(|item| is_set(item) == Some(true)).then_some(true),
        Value::Set | Value::Function | Value::Other => None,
    }
}

fn words(value: &Value) -> Option<Vec<String>> {
    let split = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    match value {
        Value::String(text) => text.known().map(split),
        Value::List(items) => {
            let items: Option<Vec<Vec<String>>> = items.iter().map(words).collect();
            items.map(|items| items.concat())
        }
        Value::Null => Some(Vec::new()),
        _ => None,
    }
}
