//! Refuses, before the parser runs, text that would make it slow or overflow its stack.
//!
//! Owns the limits on a Nix text. The parser (rnix) is recursive, its own depth limit leaves out
//! lists, operator chains and application, and building its tree costs (nodes × depth) time; all
//! that is safe once the depth is known to be small. So this module finds the depth from the tokens
//! alone, with an explicit stack, in one pass. It must not build a tree.
//!
//! Two cases:
//! - A text with few tokens that can deepen a tree ([`FEW`]) is harmless whatever their order.
//! - A longer one is checked by [`Recogniser`], a pushdown automaton for the Nix grammar. It is
//!   stricter than rnix, so that a text it accepts holds no error that could make rnix nest where
//!   the automaton does not (the fuzz tests compare the two). Where it refuses, the one error it
//!   stopped at is reported.

use rnix::SyntaxKind::{self, *};

use super::tokens::{Token, describe};
use crate::diagnostic::Problem;

/// Largest text that is read, in bytes. The largest file of nixpkgs written by hand has 1.5 MB.
pub const MAX_BYTES: usize = 8 << 20;

/// Deepest tree that a long text may make. nixpkgs stays below 100.
pub const MAX_DEPTH: usize = 1000;

/// Deepest nesting of expressions in brackets, functions, `let`, `with`, `if`. rnix stops at 512.
pub const MAX_NESTING: usize = 500;

/// So many deepening tokens can neither overflow the reader's stack nor cost noticeable time, even
/// if each one deepens the tree. About 1,500 lines of ordinary Nix have as many.
const FEW: usize = 6000;

/// Steps the lexer may spend looking ahead. At each token it scans the run of characters that could
/// be a path, so a run of n minus signs costs n² / 2; ordinary text costs about as much as it has bytes.
const MAX_LOOKAHEAD: usize = 64 << 20;

/// What is wrong with a text, or nothing. `tokens` are all tokens of `text`.
pub(super) fn check(file: &str, text: &str, tokens: &[Token<'_>]) -> Result<(), Problem> {
    let deepening = tokens.iter().filter(|token| may_deepen(token.kind)).count();
    if deepening <= FEW {
        return Ok(());
    }
    nesting(file, text, tokens)
}

/// As [`check`], however short the text is. Also used to find the place when rnix gives up.
pub(super) fn nesting(file: &str, text: &str, tokens: &[Token<'_>]) -> Result<(), Problem> {
    match run(tokens) {
        Ok(true) => Ok(()),
        Ok(false) => Err(
            Problem::new("syntax", "the file ends in the middle of an expression")
                .at(file, text.len()..text.len())
                .label("more is expected here")
                .help("look for a bracket, a string or a `let` that is not closed"),
        ),
        Err((token, Refusal::TooDeep { limit })) => Err(Problem::new(
            "syntax/too-deep",
            format!("expressions are nested more than {limit} levels deep"),
        )
        .at(file, token.span())
        .label("the first level too many")
        .help("name parts of the expression with `let` and refer to them")),
        Err((token, Refusal::Unexpected)) => Err(Problem::new(
            "syntax",
            format!("{} is not expected here", describe(token.kind, token.text)),
        )
        .at(file, token.span())
        .label("the first error in this file")
        .help(
            "in a file of this size the errors are shown one at a time: \
             mend this one and run the command again",
        )),
    }
}

/// Where the first token lies that cannot stand where it stands, if there is one.
pub(super) fn first_unexpected(tokens: &[Token<'_>]) -> Option<usize> {
    match run(tokens) {
        Err((token, Refusal::Unexpected)) => Some(token.start),
        _ => None,
    }
}

/// Runs the automaton: whether the tokens are a whole expression, or where it stopped.
fn run<'t, 'a>(tokens: &'t [Token<'a>]) -> Result<bool, (&'t Token<'a>, Refusal)> {
    let mut recogniser = Recogniser::new();
    let mut significant = tokens.iter().filter(|t| !t.kind.is_trivia());
    let mut ahead = Vec::with_capacity(2);
    while let Some(token) = significant.next() {
        ahead.clear();
        if matches!(token.kind, TOKEN_L_BRACE | TOKEN_LET | TOKEN_IDENT) {
            ahead.extend(significant.clone().take(2).map(|t| t.kind));
        }
        let neighbour = |index: Option<usize>| index.and_then(|index| tokens.get(index));
        let beside = Beside {
            hole_next: neighbour(token.index.checked_add(1))
                .is_some_and(|next| next.kind == TOKEN_INTERPOL_START),
            space_before: neighbour(token.index.checked_sub(1))
                .is_some_and(|before| before.kind.is_trivia()),
        };
        recogniser
            .step(token.kind, &ahead, beside)
            .map_err(|refusal| (token, refusal))?;
    }
    Ok(recogniser.complete())
}

/// Splits `text` into tokens, or says why that would take too long.
pub(super) fn tokens<'a>(file: &str, text: &'a str) -> Result<Vec<Token<'a>>, Problem> {
    let mut tokens = Vec::with_capacity(text.len() / 4);
    let mut offset = 0;
    let mut run_end = 0;
    let mut lookahead = 0;
    for (index, (kind, token)) in rnix::tokenize(text).enumerate() {
        // rnix looks ahead for paths at each token that is not the inside of a string.
        if kind != TOKEN_STRING_CONTENT {
            if offset >= run_end {
                let run = text[offset..].bytes().take_while(|&b| in_path(b)).count();
                run_end = offset + run;
            }
            lookahead += run_end - offset;
        }
        tokens.push(Token {
            kind,
            text: token,
            start: offset,
            index,
        });
        offset += token.len();
        if lookahead > MAX_LOOKAHEAD {
            return Err(Problem::new(
                "syntax/too-long",
                "a run of characters without a space is too long to read",
            )
            .at(file, offset..offset)
            .label("in this run")
            .help("break the run with spaces or line ends"));
        }
    }
    Ok(tokens)
}

fn in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/_.+-<".contains(&byte)
}

/// Tokens of which each may add a level to the tree. Names are among them because application
/// (`f a b`) nests once for each argument.
fn may_deepen(kind: SyntaxKind) -> bool {
    !kind.is_trivia()
        && !matches!(
            kind,
            TOKEN_SEMICOLON
                | TOKEN_COMMA
                | TOKEN_ASSIGN
                | TOKEN_R_BRACE
                | TOKEN_R_BRACK
                | TOKEN_R_PAREN
                | TOKEN_INTERPOL_END
                | TOKEN_STRING_CONTENT
                | TOKEN_STRING_END
                | TOKEN_ELLIPSIS
                | TOKEN_IN
                | TOKEN_THEN
                | TOKEN_ELSE
        )
}

/// Why the automaton stopped.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Unexpected,
    TooDeep { limit: usize },
}

/// What touches a token. Only paths with `${` care.
#[derive(Debug, Clone, Copy)]
struct Beside {
    hole_next: bool,
    space_before: bool,
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A whole expression: `let`, `with`, `if`, `assert`, a function, or operators.
    Expression,
    /// An operand. `not`: whether `!` may stand here; `minus`: whether `-` may.
    Operand {
        not: bool,
        minus: bool,
    },
    /// Something that completes or goes on with an expression.
    After(After),
    /// In a list: an item or `]`.
    Items,
    /// In a set or `let`: a binding, `inherit` or the end.
    Bindings,
    /// In `inherit …`: `(` may come, if `first`; a name or `;`.
    InheritNames {
        first: bool,
    },
    /// One name of a path of attributes.
    Attribute(Path),
    /// `.` or what ends a path of attributes.
    AfterAttribute(Path),
    /// `{` after `rec` or `name @`.
    SetOpen,
    PatternOpen,
    /// In `{ a, b ? c, ... }`: a name, `...` or `}`.
    Formals,
    /// After a name: `?`, `,` or `}`.
    AfterFormal,
    /// After `...`.
    FormalsEnd,
    /// After `}` of formals: `@` or `:`. `bound`: a name came before.
    AfterFormals {
        bound: bool,
    },
    /// A name, then `:`.
    BindName,
    Colon,
    /// `@` after a name.
    At,
    /// Inside a string.
    Text,
    /// Inside a path with `${`.
    PathText,
}

/// What may follow a complete operand besides a binary operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct After {
    /// A binary operator.
    operator: bool,
    /// An argument.
    apply: bool,
    /// `.name`.
    select: bool,
    /// `or` used as a name, or the default of a selection.
    or: Or,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Or {
    No,
    Name,
    Default,
}

/// After a bracketed or simple operand.
const SIMPLE: After = After {
    operator: true,
    apply: true,
    select: true,
    or: Or::Name,
};

/// After something that only an operator or the end of the expression may follow.
const CLOSED: After = After {
    operator: true,
    apply: false,
    select: false,
    or: Or::No,
};

/// What a path of attributes belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Binding,
    Select,
    HasAttr,
    /// A single name in `inherit`.
    Inherit,
}

/// Something open, with the state to go back to where that is not fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Paren,
    List,
    Set,
    LegacyLet,
    Let,
    Value,
    InheritFrom,
    With,
    Assert,
    If,
    Then,
    Default,
    Formals { bound: bool },
    Dynamic(Path),
    Interpolation,
    PathInterpolation,
    StringOperand,
    StringAttribute(Path),
    PathOperand,
}

#[derive(Debug)]
struct Frame {
    open: Open,
    /// Levels that tokens directly inside have added.
    depth: usize,
    /// Levels of `parse_expr` among them.
    nested: usize,
    /// A comparison, an equality came: they do not chain.
    compared: bool,
    equated: bool,
}

/// A pushdown automaton for Nix expressions that knows the depth of the tree at each token.
struct Recogniser {
    state: State,
    stack: Vec<Frame>,
    depth: usize,
    nested: usize,
}

impl Recogniser {
    fn new() -> Self {
        let mut recogniser = Self {
            state: State::Expression,
            stack: Vec::new(),
            depth: 0,
            nested: 0,
        };
        recogniser.stack.push(Frame::new(Open::Paren));
        recogniser
    }

    /// Whether what was seen is a whole expression.
    fn complete(&self) -> bool {
        match (self.stack.as_slice(), self.state) {
            ([_], State::After(_))
            | ([_], State::AfterAttribute(Path::Select | Path::HasAttr))
            | ([_, _], State::PathText) => true,
            _ => false,
        }
    }

    fn push(&mut self, open: Open) {
        self.depth += 1;
        let mut frame = Frame::new(open);
        frame.depth = 1;
        let nests = !matches!(
            open,
            Open::List
                | Open::Set
                | Open::LegacyLet
                | Open::Let
                | Open::Formals { .. }
                | Open::StringOperand
                | Open::StringAttribute(_)
                | Open::PathOperand
        );
        if nests {
            frame.nested = 1;
            self.nested += 1;
        }
        self.stack.push(frame);
    }

    fn pop(&mut self) {
        if let Some(frame) = self.stack.pop() {
            self.depth -= frame.depth;
            self.nested -= frame.nested;
        }
    }

    /// Adds a level to the innermost frame.
    fn deepen(&mut self, nested: usize) {
        self.depth += 1;
        self.nested += nested;
        if let Some(frame) = self.stack.last_mut() {
            frame.depth += 1;
            frame.nested += nested;
        }
    }

    /// Forgets the levels added inside the innermost frame: a new item or binding begins.
    fn level(&mut self) {
        if let Some(frame) = self.stack.last_mut() {
            self.depth -= frame.depth - 1;
            frame.depth = 1;
            self.nested -= frame.nested;
            frame.nested = 0;
        }
    }

    fn top(&self) -> Open {
        self.stack.last().map_or(Open::Paren, |frame| frame.open)
    }

    fn step(
        &mut self,
        kind: SyntaxKind,
        ahead: &[SyntaxKind],
        beside: Beside,
    ) -> Result<(), Refusal> {
        self.state = self.next(kind, ahead, beside)?;
        if self.depth > MAX_DEPTH {
            return Err(Refusal::TooDeep { limit: MAX_DEPTH });
        }
        if self.nested > MAX_NESTING {
            return Err(Refusal::TooDeep { limit: MAX_NESTING });
        }
        Ok(())
    }

    fn next(
        &mut self,
        kind: SyntaxKind,
        ahead: &[SyntaxKind],
        beside: Beside,
    ) -> Result<State, Refusal> {
        match self.state {
            State::Expression => self.expression(kind, ahead, beside),
            State::Operand { not, minus } => match kind {
                TOKEN_INVERT if not => {
                    self.deepen(0);
                    Ok(State::Operand { not, minus })
                }
                TOKEN_SUB if minus => {
                    self.deepen(0);
                    Ok(State::Operand { not: false, minus })
                }
                _ => self.operand(kind, beside),
            },
            State::After(after) => self.after(after, kind, beside),
            State::Items => match kind {
                TOKEN_R_BRACK => {
                    self.pop();
                    Ok(State::After(SIMPLE))
                }
                _ => {
                    self.level();
                    self.operand(kind, beside)
                }
            },
            State::Bindings => self.bindings(kind),
            State::InheritNames { first } => match kind {
                TOKEN_L_PAREN if first => {
                    self.push(Open::InheritFrom);
                    Ok(State::Expression)
                }
                TOKEN_SEMICOLON => Ok(State::Bindings),
                _ => self.attribute(Path::Inherit, kind),
            },
            State::Attribute(path) => self.attribute(path, kind),
            State::AfterAttribute(path) => self.after_attribute(path, kind, beside),
            State::SetOpen => {
                expect(kind, TOKEN_L_BRACE)?;
                self.push(Open::Set);
                Ok(State::Bindings)
            }
            State::PatternOpen => {
                expect(kind, TOKEN_L_BRACE)?;
                self.push(Open::Formals { bound: true });
                Ok(State::Formals)
            }
            State::Formals => match kind {
                TOKEN_R_BRACE => Ok(self.close_formals()),
                TOKEN_ELLIPSIS => Ok(State::FormalsEnd),
                TOKEN_IDENT => Ok(State::AfterFormal),
                _ => Err(Refusal::Unexpected),
            },
            State::AfterFormal if kind == TOKEN_QUESTION => {
                self.push(Open::Default);
                Ok(State::Expression)
            }
            State::AfterFormal => match kind {
                TOKEN_COMMA => Ok(State::Formals),
                TOKEN_R_BRACE => Ok(self.close_formals()),
                _ => Err(Refusal::Unexpected),
            },
            State::FormalsEnd => {
                expect(kind, TOKEN_R_BRACE)?;
                Ok(self.close_formals())
            }
            State::AfterFormals { bound } => match kind {
                TOKEN_AT if !bound => Ok(State::BindName),
                TOKEN_COLON => Ok(State::Expression),
                _ => Err(Refusal::Unexpected),
            },
            State::BindName => expect(kind, TOKEN_IDENT).map(|()| State::Colon),
            State::Colon => expect(kind, TOKEN_COLON).map(|()| State::Expression),
            State::At => expect(kind, TOKEN_AT).map(|()| State::PatternOpen),
            State::Text => match kind {
                TOKEN_STRING_CONTENT => Ok(State::Text),
                TOKEN_INTERPOL_START => {
                    self.push(Open::Interpolation);
                    Ok(State::Expression)
                }
                TOKEN_STRING_END => match self.top() {
                    Open::StringAttribute(path) => {
                        self.pop();
                        Ok(State::AfterAttribute(path))
                    }
                    _ => {
                        self.pop();
                        Ok(State::After(SIMPLE))
                    }
                },
                _ => Err(Refusal::Unexpected),
            },
            State::PathText => match kind {
                TOKEN_PATH_ABS | TOKEN_PATH_REL | TOKEN_PATH_HOME if !beside.space_before => {
                    Ok(State::PathText)
                }
                TOKEN_INTERPOL_START if !beside.space_before => {
                    self.push(Open::PathInterpolation);
                    Ok(State::Expression)
                }
                _ => {
                    self.pop();
                    self.after(SIMPLE, kind, beside)
                }
            },
        }
    }

    fn close_formals(&mut self) -> State {
        let bound = self.top() == Open::Formals { bound: true };
        self.pop();
        State::AfterFormals { bound }
    }

    fn expression(
        &mut self,
        kind: SyntaxKind,
        ahead: &[SyntaxKind],
        beside: Beside,
    ) -> Result<State, Refusal> {
        if let Some(frame) = self.stack.last_mut() {
            frame.compared = false;
            frame.equated = false;
        }
        match kind {
            TOKEN_LET => {
                self.deepen(1);
                if ahead.first() == Some(&TOKEN_L_BRACE) {
                    self.push(Open::LegacyLet);
                    Ok(State::SetOpen)
                } else {
                    self.push(Open::Let);
                    Ok(State::Bindings)
                }
            }
            TOKEN_WITH => {
                self.deepen(1);
                self.push(Open::With);
                Ok(State::Expression)
            }
            TOKEN_ASSERT => {
                self.deepen(1);
                self.push(Open::Assert);
                Ok(State::Expression)
            }
            TOKEN_IF => {
                self.deepen(1);
                self.push(Open::If);
                Ok(State::Expression)
            }
            TOKEN_IDENT if ahead.first() == Some(&TOKEN_COLON) => {
                self.deepen(1);
                Ok(State::Colon)
            }
            TOKEN_IDENT if ahead.first() == Some(&TOKEN_AT) => {
                self.deepen(1);
                Ok(State::At)
            }
            TOKEN_L_BRACE if looks_like_formals(ahead) => {
                self.deepen(1);
                self.push(Open::Formals { bound: false });
                Ok(State::Formals)
            }
            TOKEN_INVERT => {
                self.deepen(0);
                Ok(State::Operand {
                    not: true,
                    minus: true,
                })
            }
            TOKEN_SUB => {
                self.deepen(0);
                Ok(State::Operand {
                    not: false,
                    minus: true,
                })
            }
            _ => self.operand(kind, beside),
        }
    }

    fn operand(&mut self, kind: SyntaxKind, beside: Beside) -> Result<State, Refusal> {
        match kind {
            TOKEN_L_PAREN => {
                self.push(Open::Paren);
                Ok(State::Expression)
            }
            TOKEN_REC => Ok(State::SetOpen),
            TOKEN_L_BRACE => {
                self.push(Open::Set);
                Ok(State::Bindings)
            }
            TOKEN_L_BRACK => {
                self.push(Open::List);
                Ok(State::Items)
            }
            TOKEN_STRING_START => {
                self.push(Open::StringOperand);
                Ok(State::Text)
            }
            TOKEN_PATH_ABS | TOKEN_PATH_REL | TOKEN_PATH_HOME if beside.hole_next => {
                self.push(Open::PathOperand);
                Ok(State::PathText)
            }
            TOKEN_PATH_ABS | TOKEN_PATH_REL | TOKEN_PATH_HOME | TOKEN_PATH_SEARCH | TOKEN_IDENT
            | TOKEN_INTEGER | TOKEN_FLOAT | TOKEN_URI => Ok(State::After(SIMPLE)),
            _ => Err(Refusal::Unexpected),
        }
    }

    fn after(&mut self, after: After, kind: SyntaxKind, beside: Beside) -> Result<State, Refusal> {
        match (kind, after.or) {
            (TOKEN_DOT, _) if after.select => {
                self.deepen(0);
                return Ok(State::Attribute(Path::Select));
            }
            (TOKEN_OR, Or::Name) => {
                self.deepen(0);
                return Ok(State::After(After {
                    apply: true,
                    ..CLOSED
                }));
            }
            (TOKEN_OR, Or::Default) => {
                self.deepen(0);
                return Ok(State::Operand {
                    not: false,
                    minus: false,
                });
            }
            _ => {}
        }
        if self.top() == Open::List {
            return if kind == TOKEN_R_BRACK {
                self.pop();
                Ok(State::After(SIMPLE))
            } else {
                self.level();
                self.operand(kind, beside)
            };
        }
        if after.apply && kind.is_fn_arg() {
            self.deepen(0);
            return self.operand(kind, beside);
        }
        if after.operator
            && let Some(state) = self.operator(kind)?
        {
            return Ok(state);
        }
        self.close(kind)
    }

    /// A binary operator, or none.
    fn operator(&mut self, kind: SyntaxKind) -> Result<Option<State>, Refusal> {
        let Some(frame) = self.stack.last_mut() else {
            return Err(Refusal::Unexpected);
        };
        // `!` binds weaker than arithmetic, `++`: there it may not begin the right side.
        let not = match kind {
            TOKEN_QUESTION => {
                self.deepen(0);
                return Ok(Some(State::Attribute(Path::HasAttr)));
            }
            TOKEN_ADD | TOKEN_SUB | TOKEN_MUL | TOKEN_DIV | TOKEN_CONCAT => false,
            TOKEN_UPDATE => true,
            TOKEN_LESS | TOKEN_LESS_OR_EQ | TOKEN_MORE | TOKEN_MORE_OR_EQ => {
                if std::mem::replace(&mut frame.compared, true) {
                    return Err(Refusal::Unexpected);
                }
                true
            }
            TOKEN_EQUAL | TOKEN_NOT_EQUAL => {
                frame.compared = false;
                if std::mem::replace(&mut frame.equated, true) {
                    return Err(Refusal::Unexpected);
                }
                true
            }
            TOKEN_AND_AND | TOKEN_OR_OR | TOKEN_IMPLICATION | TOKEN_PIPE_LEFT
            | TOKEN_PIPE_RIGHT => {
                frame.compared = false;
                frame.equated = false;
                true
            }
            _ => return Ok(None),
        };
        self.deepen(0);
        Ok(Some(State::Operand { not, minus: true }))
    }

    /// The token that ends an expression.
    fn close(&mut self, kind: SyntaxKind) -> Result<State, Refusal> {
        // The outermost frame is nobody's bracket.
        if self.stack.len() == 1 {
            return Err(Refusal::Unexpected);
        }
        let open = self.top();
        let (wanted, state) = match open {
            Open::Paren => (TOKEN_R_PAREN, State::After(SIMPLE)),
            Open::Value => (TOKEN_SEMICOLON, State::Bindings),
            Open::InheritFrom => (TOKEN_R_PAREN, State::InheritNames { first: false }),
            Open::With | Open::Assert => (TOKEN_SEMICOLON, State::Expression),
            Open::If => (TOKEN_THEN, State::Expression),
            Open::Then => (TOKEN_ELSE, State::Expression),
            Open::Dynamic(path) => (TOKEN_INTERPOL_END, State::AfterAttribute(path)),
            Open::Interpolation => (TOKEN_INTERPOL_END, State::Text),
            Open::PathInterpolation => (TOKEN_INTERPOL_END, State::PathText),
            Open::Default => {
                self.pop();
                return match kind {
                    TOKEN_COMMA => Ok(State::Formals),
                    TOKEN_R_BRACE => Ok(self.close_formals()),
                    _ => Err(Refusal::Unexpected),
                };
            }
            _ => return Err(Refusal::Unexpected),
        };
        expect(kind, wanted)?;
        self.pop();
        if open == Open::If {
            self.push(Open::Then);
        }
        Ok(state)
    }

    fn bindings(&mut self, kind: SyntaxKind) -> Result<State, Refusal> {
        match (kind, self.top()) {
            (TOKEN_R_BRACE, Open::Set) => {
                self.pop();
                if self.top() == Open::LegacyLet {
                    self.pop();
                    // rnix lets nothing follow: `let { … }` is a whole expression.
                    return Ok(State::After(After {
                        operator: false,
                        ..CLOSED
                    }));
                }
                Ok(State::After(SIMPLE))
            }
            (TOKEN_IN, Open::Let) => {
                self.pop();
                Ok(State::Expression)
            }
            (TOKEN_INHERIT, _) => Ok(State::InheritNames { first: true }),
            _ => self.attribute(Path::Binding, kind),
        }
    }

    fn attribute(&mut self, path: Path, kind: SyntaxKind) -> Result<State, Refusal> {
        match kind {
            TOKEN_IDENT | TOKEN_OR => Ok(State::AfterAttribute(path)),
            TOKEN_STRING_START => {
                self.push(Open::StringAttribute(path));
                Ok(State::Text)
            }
            TOKEN_INTERPOL_START => {
                self.push(Open::Dynamic(path));
                Ok(State::Expression)
            }
            _ => Err(Refusal::Unexpected),
        }
    }

    fn after_attribute(
        &mut self,
        path: Path,
        kind: SyntaxKind,
        beside: Beside,
    ) -> Result<State, Refusal> {
        if kind == TOKEN_DOT && path != Path::Inherit {
            return Ok(State::Attribute(path));
        }
        match path {
            Path::Inherit if kind == TOKEN_SEMICOLON => Ok(State::Bindings),
            Path::Inherit => self.attribute(path, kind),
            Path::Binding => {
                expect(kind, TOKEN_ASSIGN)?;
                self.push(Open::Value);
                Ok(State::Expression)
            }
            Path::Select => {
                let selected = After {
                    apply: true,
                    or: Or::Default,
                    ..CLOSED
                };
                self.after(selected, kind, beside)
            }
            Path::HasAttr => self.after(CLOSED, kind, beside),
        }
    }
}

impl Frame {
    fn new(open: Open) -> Self {
        Self {
            open,
            depth: 0,
            nested: 0,
            compared: false,
            equated: false,
        }
    }
}

fn expect(kind: SyntaxKind, wanted: SyntaxKind) -> Result<(), Refusal> {
    if kind == wanted {
        Ok(())
    } else {
        Err(Refusal::Unexpected)
    }
}

/// Whether `{` begins the formals of a function: the rule rnix uses, on the next two tokens.
fn looks_like_formals(ahead: &[SyntaxKind]) -> bool {
    matches!(
        ahead,
        [TOKEN_IDENT, TOKEN_COMMA | TOKEN_QUESTION | TOKEN_R_BRACE]
            | [TOKEN_ELLIPSIS, TOKEN_R_BRACE]
            | [TOKEN_R_BRACE, TOKEN_COLON | TOKEN_AT]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rnix::Root;

    fn refuses(text: &str) -> Option<Problem> {
        let tokens = tokens("f", text).expect("tokens");
        nesting("f", text, &tokens).err()
    }

    /// Texts in which the automaton must agree with rnix that there is no error.
    const GOOD: &[&str] = &[
        "{ stdenv, lib ? null, ... }@args: stdenv.mkDerivation rec { a = 1; }",
        "args@{ a, b, }: c",
        "{ }: x",
        "{ }@a: x",
        "{ ... }: x",
        "a: b: c",
        "let a = 1; b.c = 2; inherit (x) y \"z\"; in a + b",
        "let { body = 1; }",
        "with a; assert b; if c then d else e",
        "[ a b.c (d e) { } rec { } \"s\" ''t'' 1 1.5 ./x <y> (x: y) a.b or c d ]",
        "a ? b.c && !d || e -> f",
        "!a == b",
        "-a + -b * c / d ++ e // f // g",
        "a.b or c d.e or f",
        "f a b.c { } [ ] \"x\" rec { } (y)",
        "\"a ${b + \"${c}\"} d\"",
        "''a ${b} '''${c} ''${d}''",
        "./a${b}/c${d} e",
        "[ ./a${b} ./c ]",
        "{ \"a b\" = 1; ${c}.d.\"e\" = 2; inherit; inherit a; or = 1; }",
        "a or b",
        "a.\"b\".${c} or (d)",
        "a < b == c > d",
        "a |> b |> c",
        "http://example.org/x",
        "__curPos",
        "a: { b }: c",
        "f: with f; let x = 1; in { inherit x; }",
        "assert a; b: c",
    ];

    #[test]
    fn agrees_on_good_texts() {
        for text in GOOD {
            assert_eq!(Root::parse(text).errors(), [], "{text}");
            assert_eq!(refuses(text), None, "{text}");
        }
    }

    #[test]
    fn names_the_first_level_too_many() {
        let text = format!("{}1{}", "(".repeat(20_000), ")".repeat(20_000));
        let problem = refuses(&text).expect("too deep");
        assert_eq!(problem.code, "syntax/too-deep");
        assert_eq!(
            problem.place.expect("place").span,
            MAX_NESTING..MAX_NESTING + 1
        );
    }

    fn word() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "a",
            "b",
            "c.d",
            "1",
            "\"s\"",
            "''t''",
            "\"x${",
            "}y\"",
            "./p",
            "./p${",
            "}",
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            "rec {",
            "let",
            "in",
            "with",
            "if",
            "then",
            "else",
            "assert",
            "inherit",
            "=",
            ";",
            ",",
            ":",
            "@",
            "?",
            ".",
            "or",
            "...",
            "!",
            "-",
            "+",
            "++",
            "//",
            "==",
            "<",
            "&&",
            "||",
            "->",
            "|>",
            "<|",
            "${",
            "a =",
            "b = 1;",
            "{ a, b }:",
            "{ }:",
            "x:",
            "args@{",
            "{ a ? 1 }:",
            "inherit a;",
            "#c\n",
            "a ? b",
            "a.b or",
            "{ a = 1; }",
            "(x: y)",
            "[ 1 2 ]",
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        /// What the automaton accepts has no error for rnix: else rnix could nest unseen.
        #[test]
        fn is_at_least_as_strict_as_the_parser(
            words in proptest::collection::vec((word(), any::<bool>()), 0..14),
        ) {
            let mut text = String::new();
            for (word, space) in words {
                text.push_str(word);
                if space {
                    text.push(' ');
                }
            }
            if refuses(&text).is_none() {
                let parsed = Root::parse(&text);
                prop_assert!(parsed.errors().is_empty(), "{text:?}: {:?}", parsed.errors());
            }
        }

        /// Mutations of good texts, where near misses live.
        #[test]
        fn stays_as_strict_near_good_texts(
            text in prop::sample::select(GOOD.to_vec()),
            at in 0usize..80, cut in 0usize..4, word in word(),
        ) {
            let mut text = text.to_owned();
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            text.replace_range(at..end, word);
            if refuses(&text).is_none() {
                let parsed = Root::parse(&text);
                prop_assert!(parsed.errors().is_empty(), "{text:?}: {:?}", parsed.errors());
            }
        }
    }
}
