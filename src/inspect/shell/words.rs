//! Bash's quoting, read back: the forms that `declare -p`, `printf %q`, `${x@Q}`, `trap -p` and `alias -p` write. Nothing is
//! expanded; what would be is no such form.

/// A place in a text.
pub struct Words<'a> {
    /// The text.
    pub text: &'a [u8],
    /// How far it has been read.
    pub at: usize,
}

impl<'a> Words<'a> {
    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    /// Passes `expected` if that comes next.
    pub fn take(&mut self, expected: &[u8]) -> bool {
        let comes = self.rest().starts_with(expected);
        if comes {
            self.at += expected.len();
        }
        comes
    }

    /// Passes bytes as long as `wanted` holds, and gives them.
    pub fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let end = rest.iter().position(|byte| !wanted(*byte)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// A name of a variable.
    pub fn name(&mut self) -> Option<&'a [u8]> {
        let name = self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (!name.is_empty() && !name[0].is_ascii_digit()).then_some(name)
    }

    /// A word up to a blank, a newline or a closing parenthesis or bracket that is not quoted, without its quotes.
    pub fn word(&mut self) -> Option<Vec<u8>> {
        let mut word = Vec::new();
        loop {
            let rest = self.rest();
            match rest.first() {
                None | Some(b' ' | b'\n' | b')' | b']') => return Some(word),
                Some(b'\'') => {
                    self.at += 1;
                    self.single(&mut word)?;
                }
                Some(b'"') => {
                    self.at += 1;
                    self.double(&mut word)?;
                }
                Some(b'\\') => {
                    word.push(*rest.get(1).filter(|byte| **byte != b'\n')?);
                    self.at += 2;
                }
                Some(b'$') => {
                    if !self.take(b"$'") {
                        return None;
                    }
                    self.ansi(&mut word)?;
                }
                Some(b'`' | b';' | b'&' | b'|' | b'<' | b'>' | b'(') => return None,
                Some(byte) => {
                    word.push(*byte);
                    self.at += 1;
                }
            }
        }
    }

    fn single(&mut self, word: &mut Vec<u8>) -> Option<()> {
        word.extend_from_slice(self.take_while(|byte| byte != b'\''));
        self.take(b"'").then_some(())
    }

    fn double(&mut self, word: &mut Vec<u8>) -> Option<()> {
        loop {
            let rest = self.rest();
            self.at += 1;
            match rest.first()? {
                b'"' => return Some(()),
                b'$' | b'`' => return None,
                b'\\' => {
                    let next = *rest.get(1)?;
                    if !matches!(next, b'$' | b'`' | b'"' | b'\\' | b'\n') {
                        word.push(b'\\');
                    }
                    word.push(next);
                    self.at += 1;
                }
                byte => word.push(*byte),
            }
        }
    }

    /// `$'…'` (bash manual, "ANSI-C Quoting").
    fn ansi(&mut self, word: &mut Vec<u8>) -> Option<()> {
        loop {
            let rest = self.rest();
            self.at += 1;
            match rest.first()? {
                b'\'' => return Some(()),
                b'\\' => {
                    let escape = *rest.get(1)?;
                    self.at += 1;
                    match escape {
                        b'a' => word.push(7),
                        b'b' => word.push(8),
                        b'e' | b'E' => word.push(27),
                        b'f' => word.push(12),
                        b'n' => word.push(b'\n'),
                        b'r' => word.push(b'\r'),
                        b't' => word.push(b'\t'),
                        b'v' => word.push(11),
                        b'\\' | b'\'' | b'"' | b'?' => word.push(escape),
                        b'0'..=b'7' => {
                            self.at -= 1;
                            word.push(u8::try_from(self.number(8, 3)?).ok()?);
                        }
                        b'x' => word.push(u8::try_from(self.number(16, 2)?).ok()?),
                        b'u' => self.character(4, word)?,
                        b'U' => self.character(8, word)?,
                        _ => return None,
                    }
                }
                byte => word.push(*byte),
            }
        }
    }

    fn character(&mut self, most: usize, word: &mut Vec<u8>) -> Option<()> {
        let character = char::from_u32(self.number(16, most)?)?;
        word.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Some(())
    }

    /// As many digits as there are, at most `most`.
    fn number(&mut self, base: u32, most: usize) -> Option<u32> {
        let digits = self.rest().iter().take(most).map_while(|byte| char::from(*byte).to_digit(base));
        let (count, number) =
            digits.fold((0, 0_u32), |(count, number), digit| (count + 1, number.wrapping_mul(base) + digit));
        self.at += count;
        (count > 0).then_some(number)
    }

    /// `([0]="x" [1]="y" )` or `([k]="v" )` or `("x" "y")`: keys are empty in the last form.
    pub fn array(&mut self) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut elements = Vec::new();
        if !self.take(b"(") {
            return None;
        }
        loop {
            while self.take(b" ") {}
            if self.take(b")") {
                return Some(elements);
            }
            let mut key = Vec::new();
            if self.take(b"[") {
                key = self.word()?;
                if !self.take(b"]=") {
                    return None;
                }
            }
            let before = self.at;
            let value = self.word()?;
            // An element is never nothing at all: that would go on for ever.
            if self.at == before {
                return None;
            }
            elements.push((key, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &[u8]) -> Option<Vec<u8>> {
        let mut words = Words { text, at: 0 };
        let word = words.word()?;
        (words.at == text.len()).then_some(word)
    }

    #[test]
    fn every_form_of_quoting() {
        let cases: [(&[u8], &[u8]); 9] = [
            (b"plain/path-1.0", b"plain/path-1.0"),
            (br"with\ blank\$", b"with blank$"),
            (b"'it'\\''s'", b"it's"),
            (br#""a \"b\" \$c \\ \d""#, br#"a "b" $c \ \d"#),
            (br"$'\a\n\t\'\\\001\377\x41'", b"\x07\n\t'\\\x01\xff\x41"),
            ("$'\\u20ac'".as_bytes(), "€".as_bytes()),
            (b"''", b""),
            (b"\"two\nlines\"", b"two\nlines"),
            (b"a'b'$'c'", b"abc"),
        ];
        for (text, expected) in cases {
            assert_eq!(word(text).as_deref(), Some(expected), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn what_bash_would_expand_or_run_is_no_word() {
        for text in [
            &b"$(id)"[..],
            b"`id`",
            b"\"$(id)\"",
            b"\"$HOME\"",
            b"${x}",
            b"a;b",
            b"a&b",
            b"'open",
            b"$'open",
            b"\"",
            b"$'\\q'",
        ] {
            assert_eq!(word(text), None, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn arrays_with_and_without_keys() {
        let array = |text: &[u8]| Words { text, at: 0 }.array();
        let pair = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
        assert_eq!(array(b"([0]=\"a b\" [5]=$'\\n')"), Some(vec![pair(b"0", b"a b"), pair(b"5", b"\n")]));
        assert_eq!(array(b"([\"a]b\"]=\"x\" )"), Some(vec![pair(b"a]b", b"x")]));
        assert_eq!(array(b"( 'a' '' )"), Some(vec![pair(b"", b"a"), pair(b"", b"")]));
        assert_eq!(array(b"()"), Some(vec![]));
        assert_eq!(array(b"([0]=$(id))"), None);
        assert_eq!(array(b"(a]"), None);
        assert_eq!(array(b"(a"), None);
    }
}
