//! Bytes to tokens: words with their quotes and expansions, operators, here-documents, comments.

use std::ops::Range;

use super::{DEPTH, Parser, Token, unquoted};

impl Parser<'_> {
    pub(super) fn scan(&mut self) -> Token {
        loop {
            self.began = self.at;
            let Some(byte) = self.byte(self.at) else { return Token::End };
            let next = self.byte(self.at + 1);
            let mut operator = |length: usize, token: Token| {
                self.at += length;
                token
            };
            return match (byte, next) {
                (b' ' | b'\t' | b'\r', _) => {
                    self.at += 1;
                    continue;
                }
                (b'\\', Some(b'\n')) => {
                    self.at += 2;
                    continue;
                }
                (b'#', _) => {
                    let end = memchr::memchr(b'\n', &self.text[self.at..]).map_or(self.text.len(), |at| self.at + at);
                    self.comments.push(self.at..end);
                    self.at = end;
                    continue;
                }
                (b'\n', _) => {
                    self.at += 1;
                    self.skip_documents();
                    Token::Separator
                }
                (b';', Some(b';' | b'&')) => operator(2, Token::EndOfCase),
                (b'&', Some(b'&')) | (b'|', Some(b'|' | b'&')) => operator(2, Token::Joint),
                (b'|', _) => operator(1, Token::Joint),
                (b'&', Some(b'>')) => self.redirection(),
                (b';' | b'&', _) => operator(1, Token::Separator),
                (b'(', _) => operator(1, Token::Open),
                (b')', _) => operator(1, Token::Close),
                (b'<' | b'>', Some(b'(')) => self.scan_word(),
                (b'<' | b'>', _) => self.redirection(),
                _ => self.scan_word(),
            };
        }
    }

    fn skip_documents(&mut self) {
        for delimiter in std::mem::take(&mut self.documents) {
            while self.at < self.text.len() {
                let rest = &self.text[self.at..];
                let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                self.at = (self.at + end + 1).min(self.text.len());
                if rest[..end].trim_ascii() == delimiter {
                    break;
                }
            }
        }
    }

    /// An operator such as `2>&1`, `<<-EOF`, `&>file`, with its target.
    fn redirection(&mut self) -> Token {
        let start = self.at;
        while matches!(self.byte(self.at), Some(b'<' | b'>' | b'&' | b'|' | b'-')) {
            self.at += 1;
        }
        let is_document = self.text[start..self.at].starts_with(b"<<") && self.byte(start + 2) != Some(b'<');
        while matches!(self.byte(self.at), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let from = self.at;
        if !matches!(self.byte(self.at), None | Some(b'\n' | b';' | b'|' | b'(' | b')')) {
            self.scan_word();
        }
        if is_document {
            self.documents.push(unquoted(&self.text[from..self.at]));
        }
        self.began = start;
        Token::Redirection
    }

    fn scan_word(&mut self) -> Token {
        let from = self.at;
        while let Some(byte) = self.byte(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'&' | b'|' | b')' => break,
                b'<' | b'>' if self.byte(self.at + 1) != Some(b'(') => {
                    // `2>`, `{fd}>`: the descriptor belongs to the operator.
                    let word = &self.text[from..self.at];
                    if word.iter().all(u8::is_ascii_digit) || (word.starts_with(b"{") && word.ends_with(b"}")) {
                        return self.redirection();
                    }
                    break;
                }
                b'(' => {
                    let before = self.at.checked_sub(1).and_then(|at| self.byte(at));
                    match before {
                        // An array's values, or a pattern (`+(…)`, `@(…)`).
                        Some(b'=' | b'+' | b'@' | b'?' | b'*' | b'!') if self.at > from => {
                            let inside = self.at + 1;
                            self.at = self.closing(inside, b')', 0);
                            self.substitutions(inside..self.at);
                            self.at = (self.at + 1).min(self.text.len());
                        }
                        _ => break,
                    }
                }
                _ => self.at = self.element(self.at, 0, true),
            }
        }
        if self.at == from {
            // Nothing that begins a word: never stand still.
            self.at += 1;
        }
        Token::Word(from, self.at.min(self.text.len()))
    }

    /// Looks for substitutions in a part of a word.
    pub(super) fn substitutions(&mut self, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            at = self.element(at, 0, true);
        }
    }

    /// The end of what begins at `at`: a byte, an escape, a quoted string, an expansion. Notes substitutions.
    fn element(&mut self, at: usize, depth: usize, notes: bool) -> usize {
        let end = self.text.len();
        let Some(byte) = self.byte(at) else { return end };
        if depth > DEPTH {
            return at + 1;
        }
        match (byte, self.byte(at + 1)) {
            (b'\\', _) => (at + 2).min(end),
            (b'\'', _) => memchr::memchr(b'\'', &self.text[at + 1..]).map_or(end, |length| at + 2 + length),
            (b'$', Some(b'\'')) => {
                let mut at = at + 2;
                while let Some(byte) = self.byte(at) {
                    match byte {
                        b'\\' => at += 2,
                        b'\'' => return at + 1,
                        _ => at += 1,
                    }
                }
                end
            }
            (b'"', _) => {
                let mut at = at + 1;
                loop {
                    match self.byte(at) {
                        None => return end,
                        Some(b'"') => return at + 1,
                        // No quote inside quotes.
                        Some(b'\'') => at += 1,
                        Some(_) => at = self.element(at, depth + 1, notes),
                    }
                }
            }
            (b'$', Some(b'{')) => {
                let mut at = at + 2;
                loop {
                    match self.byte(at) {
                        None => return end,
                        Some(b'}') => return at + 1,
                        // An apostrophe in `${x:-don't}`.
                        Some(b'\'') if depth > 0 => at += 1,
                        Some(_) => at = self.element(at, depth + 1, notes),
                    }
                }
            }
            (b'$' | b'<' | b'>', Some(b'(')) => {
                let close = self.closing(at + 2, b')', depth);
                if notes {
                    self.nested.push(at + 2..close);
                }
                (close + 1).min(end)
            }
            (b'`', _) => {
                let mut close = at + 1;
                while let Some(byte) = self.byte(close) {
                    match byte {
                        b'`' => break,
                        b'\\' => close += 2,
                        _ => close += 1,
                    }
                }
                let close = close.min(end);
                if notes {
                    self.nested.push(at + 1..close);
                }
                (close + 1).min(end)
            }
            _ => at + 1,
        }
    }

    /// Where the bracket closes that opened before `at`.
    pub(super) fn closing(&mut self, mut at: usize, close: u8, depth: usize) -> usize {
        let mut open = 0usize;
        while let Some(byte) = self.byte(at) {
            if byte == close {
                if open == 0 {
                    return at;
                }
                open -= 1;
                at += 1;
            } else if byte == b'(' {
                open += 1;
                at += 1;
            } else if byte == b'#' && matches!(self.byte(at - 1), Some(b' ' | b'\n' | b'\t')) {
                at = memchr::memchr(b'\n', &self.text[at..]).map_or(self.text.len(), |length| at + length);
            } else {
                at = self.element(at, depth + 1, false);
            }
        }
        self.text.len()
    }
}
