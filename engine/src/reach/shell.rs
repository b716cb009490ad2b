//! A rough parser of bash, enough to tell which commands a text runs at its top level and what belongs to them.
//!
//! It never fails: what it does not understand becomes a command like any other, an open quote ends with the text, and
//! nesting beyond [`DEPTH`] is not looked into. Its reader must take more for a command than there is, never less.

mod scan;

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
