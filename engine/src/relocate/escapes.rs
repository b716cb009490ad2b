//! A staged path as numbers and escapes in text: hexadecimal, octal and decimal, C, JSON, URL and HTML escapes.
//!
//! Owns these forms. The hash takes at least 64 bytes in any of them, so the search looks at four bytes of forty, and reads on
//! only where digits are.

use super::content::Edit;
use super::encoded::Encoded;
use super::prefix::{HASH_LEN, Mapping};
use std::collections::HashSet;
use std::ops::Range;

/// One of so many bytes is looked at: a hash in hexadecimal has 64, of which the last 16 must hold what is looked for.
const STRIDE: usize = 40;
/// How far (bytes) around a place that tells a mention may reach.
const REACH: usize = 2048;
/// Bytes between two numbers: a comma and a line break with indentation.
const BREAK: usize = 32;
/// Characters of the hash in a row that are no chance.
const PART: usize = 4;
/// In so many bytes (a `\U0000002f` is ten, and may begin behind four others) the first character begins, and its first sign is.
const STARTS: usize = 14;
const NEAR: usize = 16;
/// Characters that are read from a place on.
const AHEAD: usize = 12;
/// Characters of the hash in a row that are refused where the rest is missing.
const STRONG: usize = 8;

/// What a byte may be in such text: a digit, or something between digits. Of four bytes in a row one is a decimal digit: characters of
/// a hash are 0x30 to 0x39 and 0x61 to 0x7a.
const IN_NUMBERS: [bool; 256] = {
    let mut all = [false; 256];
    let bytes = b"0123456789abcdefABCDEF\\%&#;=xXuU{} ,:.-+|()[]<>'\"\t\r\nLo_";
    let mut i = 0;
    while i < bytes.len() {
        all[bytes[i] as usize] = true;
        i += 1;
    }
    all
};

/// How a character is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Two digits after two, spaces allowed.
    Hex,
    /// `\x2f`, `\u002f`, `\U0000002f`, `\u{2f}`, `\057`.
    Backslash,
    /// `\047`, in decimal.
    BackslashDecimal,
    /// `%2f`, `=2f`, `%u002f`.
    Percent,
    /// `&#x2f;`, `&#47;`.
    Entity,
    /// `0x2f`, or `2f` between others.
    NumberHex,
    /// `47`.
    NumberDecimal,
    /// `057`.
    NumberOctal,
}

impl Style {
    const ALL: [Self; 8] = [
        Self::Hex,
        Self::Backslash,
        Self::BackslashDecimal,
        Self::Percent,
        Self::Entity,
        Self::NumberHex,
        Self::NumberDecimal,
        Self::NumberOctal,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Hex | Self::NumberHex => "hexadecimal text",
            Self::Backslash | Self::BackslashDecimal => "text with escapes",
            Self::Percent => "percent-encoded text",
            Self::Entity => "text with character references",
            Self::NumberDecimal => "decimal numbers",
            Self::NumberOctal => "octal numbers",
        }
    }

    /// The character written at `at`: its code, where its digits are, their radix, and where the next may begin.
    fn read(self, bytes: &[u8], at: usize) -> Option<Token> {
        let byte = *bytes.get(at)?;
        let hex = |from, least, most| digits(bytes, from, 16, least, most);
        match self {
            Self::Hex => hex(at, 2, 2),
            Self::Backslash if byte == b'\\' => match bytes.get(at + 1)? {
                b'u' | b'x' if bytes.get(at + 2) == Some(&b'{') => closed(bytes, hex(at + 3, 1, 8)?, b'}'),
                b'x' | b'X' => hex(at + 2, 2, 2),
                b'u' => hex(at + 2, 4, 4),
                b'U' => hex(at + 2, 8, 8),
                _ => digits(bytes, at + 1, 8, 2, 3),
            },
            Self::BackslashDecimal if byte == b'\\' => digits(bytes, at + 1, 10, 2, 3),
            Self::Percent if byte == b'%' && bytes.get(at + 1) == Some(&b'u') => hex(at + 2, 4, 4),
            Self::Percent if byte == b'%' || byte == b'=' => hex(at + 1, 2, 2),
            Self::Entity if byte == b'&' && bytes.get(at + 1) == Some(&b'#') => match bytes.get(at + 2)? {
                b'x' | b'X' => closed(bytes, hex(at + 3, 1, 8)?, b';'),
                _ => closed(bytes, digits(bytes, at + 2, 10, 1, 8)?, b';'),
            },
            Self::NumberHex if byte == b'0' && matches!(bytes.get(at + 1), Some(b'x' | b'X')) => {
                alone(bytes, hex(at + 2, 1, 8)?)
            }
            Self::NumberHex => alone(bytes, hex(at, 2, 2)?),
            Self::NumberDecimal => alone(bytes, digits(bytes, at, 10, 2, 3)?),
            Self::NumberOctal => alone(bytes, digits(bytes, at, 8, 2, 6)?),
            Self::Backslash | Self::BackslashDecimal | Self::Percent | Self::Entity => None,
        }
    }
}

#[derive(Debug, Clone)]
struct Token {
    code: u32,
    digits: Range<usize>,
    radix: u32,
    end: usize,
}

/// A number of `least` to `most` digits.
fn digits(bytes: &[u8], from: usize, radix: u32, least: usize, most: usize) -> Option<Token> {
    let all = bytes.get(from..bytes.len().min(from + most))?;
    let values = all.iter().map_while(|&byte| char::from(byte).to_digit(radix));
    let (len, code) =
        values.fold((0, 0_u32), |(len, code), digit| (len + 1, code.wrapping_mul(radix).wrapping_add(digit)));
    (len >= least).then_some(Token { code, digits: from..from + len, radix, end: from + len })
}

fn closed(bytes: &[u8], token: Token, by: u8) -> Option<Token> {
    (bytes.get(token.end) == Some(&by)).then_some(Token { end: token.end + 1, ..token })
}

/// A number that ends where it ends.
fn alone(bytes: &[u8], token: Token) -> Option<Token> {
    (!bytes.get(token.end).is_some_and(u8::is_ascii_alphanumeric)).then_some(token)
}

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Escapes {
    mappings: Vec<Mapping>,
    /// Parts of the hashes.
    parts: HashSet<[u8; PART]>,
}

impl Escapes {
    /// A search for the staged hashes of `mappings`.
    #[must_use]
    pub fn new(mappings: Vec<Mapping>) -> Self {
        let parts = mappings.iter().flat_map(|mapping| mapping.staged.hash().windows(PART));
        let parts = parts.filter_map(|part| part.try_into().ok()).collect();
        Self { mappings, parts }
    }

    /// Whether there is anything that [`Self::mentions`] would have to look at.
    #[must_use]
    pub fn is_suspect(&self, bytes: &[u8]) -> bool {
        let mut found = false;
        self.probe(bytes, 0..bytes.len(), |_, _| {
            found = true;
            usize::MAX
        });
        found
    }

    /// All mentions in `bytes[range]`.
    #[must_use]
    pub fn mentions(&self, bytes: &[u8], range: Range<usize>) -> Vec<Encoded> {
        let mut all = Vec::new();
        self.probe(bytes, range.clone(), |at, style| self.read_around(bytes, &range, at, style, &mut all));
        all.sort_by_key(|mention: &Encoded| (mention.at, mention.path, mention.edits.is_none()));
        all.dedup_by_key(|mention| (mention.at, mention.path));
        // What was read in two ways, or in two parts.
        let whole: Vec<(usize, Range<usize>)> = all
            .iter()
            .filter_map(|mention| {
                let edits = mention.edits.as_ref()?;
                Some((mention.path, edits.first()?.at..edits.last()?.at + 1))
            })
            .collect();
        all.retain(|mention| {
            mention.edits.is_some()
                || !whole.iter().any(|(path, range)| *path == mention.path && range.contains(&mention.at))
        });
        all
    }

    /// Calls `seen` with each place and style in which a part of a hash is; it returns from where to go on.
    fn probe(&self, bytes: &[u8], range: Range<usize>, mut seen: impl FnMut(usize, Style) -> usize) {
        let mut at = range.start;
        while let Some(four) = bytes.get(at..range.end).and_then(|rest| rest.first_chunk::<4>()) {
            let mut next = at + STRIDE;
            let has_digit = four.iter().fold(false, |has, byte| has | byte.is_ascii_digit());
            if has_digit && four.iter().all(|byte| IN_NUMBERS[usize::from(*byte)]) {
                let near = &bytes[at..range.end.min(at + NEAR)];
                let has = |any: &[u8]| near.iter().any(|byte| any.contains(byte));
                let mut starts = (at..at + STARTS).filter(|&at| !is_within_number(bytes, at));
                let has_number = starts.any(|at| {
                    let is = |at: usize, also: &[u8]| {
                        bytes.get(at).is_some_and(|byte| byte.is_ascii_hexdigit() || also.contains(byte))
                    };
                    is(at, b"") && is(at + 1, b"xX")
                });
                for style in Style::ALL {
                    let may_be = match style {
                        Style::Hex => true,
                        Style::Backslash | Style::BackslashDecimal => has(b"\\"),
                        Style::Percent => has(b"%="),
                        Style::Entity => has(b"&"),
                        Style::NumberHex | Style::NumberDecimal | Style::NumberOctal => has_number,
                    };
                    if may_be && self.has_part(&bytes[..range.end], at, style) {
                        next = next.max(seen(at, style));
                    }
                }
            }
            at = next;
        }
    }

    /// Whether the characters from `at` on hold a part of a hash.
    fn has_part(&self, bytes: &[u8], at: usize, style: Style) -> bool {
        // The two ways to pair digits, after a line's end; of the others, the first place at which one can be read.
        let starts = if style == Style::Hex { at..at + 3 } else { at..at + STARTS };
        for start in starts {
            if style != Style::Hex && is_within_number(bytes, start) {
                continue;
            }
            let mut next = style.read(bytes, start);
            let is_first = next.is_some();
            let mut part = [0; PART];
            for count in 1..=AHEAD {
                let Some(token) = next else { break };
                part.rotate_left(1);
                part[PART - 1] = u8::try_from(token.code).unwrap_or(0);
                if count >= PART && self.parts.contains(&part) {
                    return true;
                }
                // Of what is no text at all, the first character tells.
                next = (part[PART - 1].is_ascii_graphic()).then(|| following(bytes, token.end, style)).flatten();
            }
            if is_first && style != Style::Hex {
                return false;
            }
        }
        false
    }

    /// Reads all characters around `at` and adds the mentions among them; returns where the reading ended.
    fn read_around(
        &self,
        bytes: &[u8],
        range: &Range<usize>,
        at: usize,
        style: Style,
        all: &mut Vec<Encoded>,
    ) -> usize {
        let from = at.saturating_sub(REACH).max(range.start);
        let to = range.end.min(at + REACH);
        let parities = if style == Style::Hex { 0..2 } else { 0..1 };
        for parity in parities {
            let tokens = match style {
                Style::Hex => pairs(bytes, from..to, parity),
                _ => tokens(&bytes[..to], from, style),
            };
            for run in &tokens {
                self.add(bytes, run, style, all);
            }
        }
        // What lies beyond is read with what is around it.
        to.saturating_sub(REACH / 2).max(at + STRIDE)
    }

    fn add(&self, bytes: &[u8], tokens: &[Token], style: Style, all: &mut Vec<Encoded>) {
        let text: Vec<u8> = tokens.iter().map(|token| u8::try_from(token.code).unwrap_or(0)).collect();
        for (path, mapping) in self.mappings.iter().enumerate() {
            let hash = mapping.staged.hash();
            let mut from = 0;
            while let Some(found) = longest(&text[from..], hash) {
                let place = from + found.start..from + found.end;
                let edits = (found.len() == HASH_LEN)
                    .then(|| rewritten(bytes, &tokens[place.clone()], mapping.real.hash()))
                    .flatten();
                all.push(Encoded { at: tokens[place.start].digits.start, path, form: style.name(), edits });
                from = place.end;
            }
        }
    }
}

/// Whether a number that may begin at `at` goes on from before.
fn is_within_number(bytes: &[u8], at: usize) -> bool {
    let is_part = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    is_part(at.checked_sub(1)) && is_part(Some(at))
}

/// The next character, after what may be between two.
fn following(bytes: &[u8], from: usize, style: Style) -> Option<Token> {
    let is_between = |byte: u8| match style {
        Style::Hex => byte.is_ascii_whitespace(),
        _ => !byte.is_ascii_alphanumeric() && byte.is_ascii(),
    };
    for at in from..bytes.len().min(from + BREAK) {
        if let Some(token) = style.read(bytes, at)
            && (style == Style::Hex || !is_within_number(bytes, at))
        {
            return Some(token);
        }
        if !is_between(bytes[at]) {
            return None;
        }
    }
    None
}

/// The pairs of digits in `bytes[range]`, in rows that only spaces interrupt, the first `skip` digits of each left out.
fn pairs(bytes: &[u8], range: Range<usize>, skip: usize) -> Vec<Vec<Token>> {
    let mut rows: Vec<Vec<Token>> = Vec::new();
    let mut digits: Vec<usize> = Vec::new();
    for at in range.start..=range.end {
        let byte = if at < range.end { bytes[at] } else { b'.' };
        if byte.is_ascii_hexdigit() {
            digits.push(at);
        } else if !byte.is_ascii_whitespace() {
            rows.push(Vec::new());
            for pair in digits.get(skip..).unwrap_or_default().chunks_exact(2) {
                match (Style::Hex.read(bytes, pair[0]), rows.last_mut()) {
                    (Some(token), Some(row)) if pair[1] == pair[0] + 1 => row.push(token),
                    _ => rows.push(Vec::new()),
                }
            }
            digits.clear();
        }
    }
    rows
}

/// The characters from `from` on, in rows that nothing else interrupts.
fn tokens(bytes: &[u8], from: usize, style: Style) -> Vec<Vec<Token>> {
    let mut rows: Vec<Vec<Token>> = Vec::new();
    let mut row: Vec<Token> = Vec::new();
    let mut at = from;
    while at < bytes.len() {
        let token = if row.is_empty() {
            style.read(bytes, at).filter(|_| !is_within_number(bytes, at))
        } else {
            following(bytes, at, style)
        };
        match token {
            Some(token) => {
                at = token.end;
                row.push(token);
            }
            None if row.is_empty() => at += 1,
            None => rows.push(std::mem::take(&mut row)),
        }
    }
    rows.push(row);
    rows
}

/// The first place where at least [`STRONG`] characters in a row are a part of `hash`.
fn longest(text: &[u8], hash: &[u8]) -> Option<Range<usize>> {
    for start in 0..text.len().saturating_sub(STRONG - 1) {
        for from in 0..=hash.len() - STRONG {
            let len = text[start..].iter().zip(&hash[from..]).take_while(|(a, b)| a == b).count();
            if len >= STRONG {
                return Some(start..start + len);
            }
        }
    }
    None
}

/// The edits that make the characters those of `hash`, if each has room for its new number.
fn rewritten(bytes: &[u8], tokens: &[Token], hash: &[u8]) -> Option<Vec<Edit>> {
    let upper = tokens.iter().any(|token| bytes[token.digits.clone()].iter().any(u8::is_ascii_uppercase));
    let edit = |(token, &byte): (&Token, &u8)| {
        let width = token.digits.len();
        let text = match token.radix {
            16 if upper => format!("{byte:0width$X}"),
            16 => format!("{byte:0width$x}"),
            8 => format!("{byte:0width$o}"),
            _ => format!("{byte:0width$}"),
        };
        // A decimal number with a zero before it is one in octal elsewhere.
        let is_padded = |text: &[u8]| token.radix == 10 && text.starts_with(b"0");
        let fits = text.len() == width && (!is_padded(text.as_bytes()) || is_padded(&bytes[token.digits.clone()]));
        fits.then(|| Edit { at: token.digits.start, bytes: text.into_bytes() })
    };
    tokens.iter().zip(hash).map(edit).collect()
}
