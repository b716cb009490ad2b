//! A rough parser of bash, enough to tell which commands a text runs at its top level and what belongs to them.
//!
//! It never fails: what it does not understand becomes a command like any other, an open quote ends with the text, and
//! nesting beyond [`DEPTH`] is not looked into. Its reader must take more for a command than there is, never less.

use std::ops::Range;

/// How deep compounds and substitutions are followed.
pub const DEPTH: usize = 60;

/// A part of a script.
#[derive(Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// What it is.
    pub kind: Kind<'a>,
    /// The bytes of the script that belong to it, up to the next node, here-documents and comments included.
    pub range: Range<usize>,
}

/// Kinds of nodes.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A command and its arguments.
    Simple(Simple<'a>),
    /// What runs together: `if`, a loop, `case`, a group, a list joined by `&&`, `||` or `|`.
    Compound(Vec<Node<'a>>),
    /// The definition of a function, with its body.
    Function(Vec<Node<'a>>),
}

/// A command as it is written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Simple<'a> {
    /// Its words, quotes and all; assignments in front included.
    pub words: Vec<&'a [u8]>,
    /// The commands in its substitutions.
    pub nested: Vec<Node<'a>>,
    /// Whether it redirects anything.
    pub is_redirected: bool,
}

/// A script as nodes, and where its comments are.
pub struct Script<'a> {
    /// What it does, in order.
    pub nodes: Vec<Node<'a>>,
    /// Where its comments are.
    pub comments: Vec<Range<usize>>,
}

/// Reads a script.
pub fn parse(text: &[u8]) -> Script<'_> {
    let mut parser = Parser::new(text, 0);
    let mut nodes = Vec::new();
    // A stray closing word ends a list: go on behind it.
    while parser.peek() != Token::End {
        nodes.append(&mut parser.list(&[]));
        parser.take();
    }
    Script { nodes, comments: parser.comments }
}

/// Calls `each` for all commands of the nodes, those in compounds, substitutions and functions included.
pub fn each_command<'a, 'n>(nodes: &'n [Node<'a>], each: &mut impl FnMut(&'n Simple<'a>)) {
    for node in nodes {
        match &node.kind {
            Kind::Simple(simple) => {
                each(simple);
                each_command(&simple.nested, each);
            }
            Kind::Compound(nodes) | Kind::Function(nodes) => each_command(nodes, each),
        }
    }
}

/// A word without its quotes and backslashes; expansions stay as they are.
pub fn unquoted(word: &[u8]) -> Vec<u8> {
    word.iter().copied().filter(|byte| !matches!(byte, b'"' | b'\'' | b'\\')).collect()
}

/// The name that a word assigns to, and where its value begins: `X=…`, `X+=…`, `X[…]=…`.
pub fn assignment(word: &[u8]) -> Option<(&[u8], &[u8])> {
    let name = word.iter().take_while(|byte| is_name(**byte)).count();
    if name == 0 || word[0].is_ascii_digit() {
        return None;
    }
    let mut rest = &word[name..];
    if rest.first() == Some(&b'[') {
        rest = &rest[rest.iter().position(|byte| *byte == b']')? + 1..];
    }
    let rest = rest.strip_prefix(b"+").unwrap_or(rest);
    rest.strip_prefix(b"=").map(|value| (&word[..name], value))
}

/// Whether a byte can be part of a variable's name.
pub fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// From, to.
    Word(usize, usize),
    /// `;`, `&` or the end of a line.
    Separator,
    /// `;;`, `;&`, `;;&`.
    EndOfCase,
    /// `&&`, `||`, `|`, `|&`.
    Joint,
    Open,
    Close,
    /// Has taken its target with it.
    Redirection,
    End,
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    peeked: Option<(Token, usize)>,
    /// Where the last token taken began.
    began: usize,
    /// Substitutions in the words since they were last taken.
    nested: Vec<Range<usize>>,
    /// Delimiters of here-documents whose text begins on the next line.
    documents: Vec<Vec<u8>>,
    comments: Vec<Range<usize>>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a [u8], depth: usize) -> Self {
        Self {
            text,
            at: 0,
            peeked: None,
            began: 0,
            nested: Vec::new(),
            documents: Vec::new(),
            comments: Vec::new(),
            depth,
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    fn peek(&mut self) -> Token {
        if self.peeked.is_none() {
            let token = self.scan();
            self.peeked = Some((token, self.began));
        }
        self.peeked.map_or(Token::End, |(token, _)| token)
    }

    fn take(&mut self) -> Token {
        let token = self.peek();
        if let Some((_, began)) = self.peeked.take() {
            self.began = began;
        }
        token
    }

    /// Where the next token begins.
    fn next_start(&mut self) -> usize {
        self.peek();
        self.peeked.map_or(self.at, |(_, began)| began)
    }

    fn word(&self, token: Token) -> Option<&'a [u8]> {
        match token {
            Token::Word(from, to) => Some(&self.text[from..to]),
            _ => None,
        }
    }

    fn scan(&mut self) -> Token {
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
    fn substitutions(&mut self, range: Range<usize>) {
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
    fn closing(&mut self, mut at: usize, close: u8, depth: usize) -> usize {
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

    /// Nodes up to one of the closing words, which is the next token then, or a closing bracket, or the end.
    fn list(&mut self, closers: &[&[u8]]) -> Vec<Node<'a>> {
        let mut nodes: Vec<Node<'a>> = Vec::new();
        loop {
            let token = self.peek();
            match token {
                Token::End | Token::Close | Token::EndOfCase => break,
                Token::Separator | Token::Joint => {
                    self.take();
                    continue;
                }
                _ => {}
            }
            if let Some(word) = self.word(token) {
                if closers.contains(&word) {
                    break;
                }
                if matches!(
                    word,
                    b"then" | b"else" | b"elif" | b"do" | b"fi" | b"done" | b"esac" | b"}" | b"!" | b"time"
                ) {
                    self.take();
                    continue;
                }
            }
            let start = self.next_start();
            let first = self.command();
            let mut joined = vec![first];
            while self.peek() == Token::Joint {
                self.take();
                while self.peek() == Token::Separator {
                    self.take();
                }
                if self.peek() == Token::End {
                    break;
                }
                joined.push(self.command());
            }
            let range = start..self.next_start();
            nodes.push(match joined.len() {
                1 => Node { range, ..joined.remove(0) },
                _ => Node { kind: Kind::Compound(joined), range },
            });
        }
        nodes
    }

    fn command(&mut self) -> Node<'a> {
        let start = self.next_start();
        let token = self.peek();
        self.depth += 1;
        let kind = if self.depth > DEPTH { self.simple() } else { self.compound(token) };
        self.depth -= 1;
        Node { kind, range: start..self.next_start() }
    }

    fn compound(&mut self, token: Token) -> Kind<'a> {
        let closer: &[u8] = match self.word(token) {
            Some(b"if") => b"fi",
            Some(b"while" | b"until" | b"for" | b"select") => b"done",
            Some(b"{") => b"}",
            Some(b"case") => return self.case(),
            Some(b"[[") => return self.test(),
            Some(b"!" | b"time" | b"coproc") => {
                self.take();
                return self.command().kind;
            }
            Some(b"function") => {
                self.take();
                self.take();
                return self.function();
            }
            None if token == Token::Open => {
                // `((` is arithmetic.
                if self.byte(self.at) == Some(b'(') {
                    return self.arithmetic();
                }
                self.take();
                let nodes = self.list(&[]);
                self.take();
                return Kind::Compound(nodes);
            }
            _ => return self.simple(),
        };
        let is_for = matches!(self.word(token), Some(b"for" | b"select"));
        let mut nodes = Vec::new();
        if is_for {
            nodes.push(self.header(&[b"do", b"{"]));
            let token = self.peek();
            if self.word(token) == Some(b"{") {
                self.take();
                nodes.append(&mut self.list(&[b"}"]));
                self.take();
                return Kind::Compound(nodes);
            }
        } else {
            self.take();
        }
        loop {
            nodes.append(&mut self.list(&[closer]));
            match self.take() {
                // A bracket or `;;` that does not belong here.
                Token::Close | Token::EndOfCase => {}
                _ => return Kind::Compound(nodes),
            }
        }
    }

    /// Everything up to one of the words as one command: the head of a `for` or `case`.
    fn header(&mut self, until: &[&[u8]]) -> Node<'a> {
        let start = self.next_start();
        let mut words = Vec::new();
        loop {
            let token = self.peek();
            if token == Token::End {
                break;
            }
            if let Some(word) = self.word(token) {
                if !words.is_empty() && until.contains(&word) {
                    break;
                }
                words.push(word);
            }
            self.take();
        }
        let nested = self.take_nested();
        Node { kind: Kind::Simple(Simple { words, nested, is_redirected: false }), range: start..self.next_start() }
    }

    fn case(&mut self) -> Kind<'a> {
        let mut nodes = vec![self.header(&[b"in"])];
        self.take();
        loop {
            match self.peek() {
                Token::End => break,
                Token::Separator | Token::EndOfCase => {
                    self.take();
                }
                token if self.word(token) == Some(b"esac") => {
                    self.take();
                    break;
                }
                _ => {
                    // The pattern, which may have an opening bracket of its own.
                    while !matches!(self.take(), Token::Close | Token::End) {}
                    nodes.append(&mut self.list(&[b"esac"]));
                    while self.peek() == Token::Close {
                        self.take();
                        nodes.append(&mut self.list(&[b"esac"]));
                    }
                }
            }
        }
        Kind::Compound(nodes)
    }

    fn test(&mut self) -> Kind<'a> {
        let mut words = Vec::new();
        loop {
            let token = self.take();
            if token == Token::End {
                break;
            }
            let Some(word) = self.word(token) else { continue };
            words.push(word);
            if word == b"]]" {
                break;
            }
        }
        let nested = self.take_nested();
        Kind::Simple(Simple { words, nested, is_redirected: false })
    }

    fn arithmetic(&mut self) -> Kind<'a> {
        let from = self.next_start();
        let close = self.closing(from + 2, b')', 0);
        self.substitutions(from + 2..close);
        self.at = (close + 2).min(self.text.len());
        self.peeked = None;
        let nested = self.take_nested();
        Kind::Simple(Simple { words: vec![&self.text[from..self.at]], nested, is_redirected: false })
    }

    fn simple(&mut self) -> Kind<'a> {
        let mut simple = Simple::default();
        loop {
            let token = self.peek();
            match token {
                Token::Word(..) => simple.words.extend(self.word(token)),
                Token::Redirection => simple.is_redirected = true,
                Token::Open => {
                    self.take();
                    if simple.words.len() == 1 && self.peek() == Token::Close {
                        return self.function();
                    }
                    continue;
                }
                _ => break,
            }
            self.take();
        }
        simple.nested = self.take_nested();
        Kind::Simple(simple)
    }

    /// Behind the name of a function: brackets, if any, and the body.
    fn function(&mut self) -> Kind<'a> {
        while matches!(self.peek(), Token::Open | Token::Close | Token::Separator) {
            // A body in round brackets.
            if self.peek() == Token::Open && self.byte(self.at) != Some(b')') {
                break;
            }
            self.take();
        }
        self.take_nested();
        if self.peek() == Token::End {
            return Kind::Function(Vec::new());
        }
        let body = self.command();
        // Redirections of the body.
        while self.peek() == Token::Redirection {
            self.take();
        }
        Kind::Function(vec![body])
    }

    fn take_nested(&mut self) -> Vec<Node<'a>> {
        let ranges = std::mem::take(&mut self.nested);
        if self.depth > DEPTH {
            return Vec::new();
        }
        let mut nodes = Vec::new();
        for range in ranges {
            let mut inner = Parser::new(&self.text[range], self.depth + 1);
            while inner.peek() != Token::End {
                nodes.append(&mut inner.list(&[]));
                inner.take();
            }
        }
        nodes
    }
}
