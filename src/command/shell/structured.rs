//! Structured attributes as Nix gives them to a builder: `.attrs.json` and `.attrs.sh`.
//!
//! Source: the Nix manual, "Advanced attributes", `__structuredAttrs`.

use std::fmt::Write as _;

use serde_json::Value;

/// `.attrs.sh`: each attribute that bash can hold as a `declare`; others are left out, as Nix leaves them out.
pub fn script(attributes: &Value) -> String {
    let mut text = String::new();
    for (name, value) in attributes.as_object().into_iter().flatten().filter(|(name, _)| is_name(name)) {
        if let Some(word) = simple(value) {
            _ = writeln!(text, "declare {name}={word}");
        } else if let Some(items) = value.as_array() {
            if let Some(words) = items.iter().map(simple).collect::<Option<Vec<_>>>() {
                _ = writeln!(text, "declare -a {name}=({} )", words.join(" "));
            }
        } else if let Some(items) = value.as_object() {
            let pairs = items.iter().map(|(key, value)| Some(format!("[{}]={}", quoted(key), simple(value)?)));
            if let Some(pairs) = pairs.collect::<Option<Vec<_>>>() {
                _ = writeln!(text, "declare -A {name}=({} )", pairs.join(" "));
            }
        }
    }
    text
}

fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

fn simple(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(quoted(text)),
        Value::Null => Some("''".to_owned()),
        Value::Bool(true) => Some("1".to_owned()),
        Value::Bool(false) => Some(String::new()),
        // A float that is a whole number counts as that, any other is left out.
        Value::Number(number) => number.as_i64().map(|number| number.to_string()).or_else(|| {
            let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15)?;
            Some(format!("{float:.0}"))
        }),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// In single quotes for bash.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use serde_json::json;

    #[test]
    fn what_bash_can_hold_is_declared() {
        let attributes = json!({
            "a-b": "no name", "1x": "nor this", "deep": {"a": ["b"]}, "half": 1.5, "mixed": ["a", {}],
            "empty": [], "flag": true, "list": ["a b", "it's", 3], "map": {"k y": "v"}, "no": false, "nothing": null, "whole": 2.0
        });
        let expected = "declare -a empty=( )\ndeclare flag=1\ndeclare -a list=('a b' 'it'\\''s' 3 )\n\
                        declare -A map=(['k y']='v' )\ndeclare no=\ndeclare nothing=''\ndeclare whole=2\n";
        assert_eq!(script(&attributes), expected);
    }
}
