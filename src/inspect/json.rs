//! Bytes in JSON, which knows text only.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};

/// Puts bytes into an object: as the text `key`, with what is no UTF-8 replaced; then also exact, in hexadecimal, as
/// `keyBytes`.
pub fn put(object: &mut Map<String, Value>, key: &str, bytes: &[u8]) {
    object.insert(key.to_owned(), String::from_utf8_lossy(bytes).into());
    if std::str::from_utf8(bytes).is_err() {
        object.insert(format!("{key}Bytes"), hexadecimal(bytes).into());
    }
}

/// Bytes as two hexadecimal digits each, in lower case.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
        text
    })
}

/// Bytes where a value stands alone: text, or `{"bytes": "hexadecimal"}` where they are none.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(self.0) {
            return serializer.serialize_str(text);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("bytes", &hexadecimal(self.0))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_there_twice() {
        let mut object = Map::new();
        put(&mut object, "path", b"a\xff/b");
        put(&mut object, "link", "ü".as_bytes());
        assert_eq!(
            Value::from(object),
            serde_json::json!({ "path": "a\u{fffd}/b", "pathBytes": "61ff2f62", "link": "ü" })
        );
        assert_eq!(serde_json::json!([Bytes(b"x"), Bytes(b"\xff")]), serde_json::json!(["x", { "bytes": "ff" }]));
    }
}
