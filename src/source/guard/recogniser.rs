//! A pushdown automaton for Nix expressions that knows the depth of the tree at each token.
//!
//! The grammar is rnix's, a little stricter where rnix accepts what Nix refuses (a function without
//! parentheses as an argument or in a list). One step a token, no recursion.

#[allow(clippy::enum_glob_use, reason = "the names carry a prefix of their own, and dozens are used")]
use rnix::SyntaxKind::{self, *};

use super::{MAX_DEPTH, MAX_NESTING};

/// Why the automaton stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Unexpected,
    TooDeep { limit: usize },
}

/// What touches a token. Only paths with `${` care.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside {
    /// `${` follows at once.
    pub(super) hole_next: bool,
    /// A space or comment comes before.
    pub(super) space_before: bool,
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
const SIMPLE: After = After { operator: true, apply: true, select: true, or: Or::Name };

/// After something that only an operator or the end of the expression may follow.
const CLOSED: After = After { operator: true, apply: false, select: false, or: Or::No };

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
pub(super) struct Recogniser {
    state: State,
    stack: Vec<Frame>,
    depth: usize,
    nested: usize,
}

impl Recogniser {
    pub(super) fn new() -> Self {
        let mut recogniser = Self { state: State::Expression, stack: Vec::new(), depth: 0, nested: 0 };
        recogniser.stack.push(Frame::new(Open::Paren));
        recogniser
    }

    /// Whether what was seen is a whole expression.
    pub(super) fn complete(&self) -> bool {
        let at_end = matches!(self.state, State::After(_) | State::AfterAttribute(Path::Select | Path::HasAttr));
        match self.stack.len() {
            1 => at_end,
            2 => self.state == State::PathText,
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

    pub(super) fn step(&mut self, kind: SyntaxKind, ahead: &[SyntaxKind], beside: Beside) -> Result<(), Refusal> {
        self.state = self.next(kind, ahead, beside)?;
        if self.depth > MAX_DEPTH {
            return Err(Refusal::TooDeep { limit: MAX_DEPTH });
        }
        if self.nested > MAX_NESTING {
            return Err(Refusal::TooDeep { limit: MAX_NESTING });
        }
        Ok(())
    }

    fn next(&mut self, kind: SyntaxKind, ahead: &[SyntaxKind], beside: Beside) -> Result<State, Refusal> {
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
            State::Items => self.item(kind, beside),
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
            State::Text => self.text(kind),
            State::PathText => match kind {
                TOKEN_PATH_ABS | TOKEN_PATH_REL | TOKEN_PATH_HOME if !beside.space_before => Ok(State::PathText),
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

    fn text(&mut self, kind: SyntaxKind) -> Result<State, Refusal> {
        match kind {
            TOKEN_STRING_CONTENT => Ok(State::Text),
            TOKEN_INTERPOL_START => {
                self.push(Open::Interpolation);
                Ok(State::Expression)
            }
            TOKEN_STRING_END => {
                let open = self.top();
                self.pop();
                Ok(if let Open::StringAttribute(path) = open {
                    State::AfterAttribute(path)
                } else {
                    State::After(SIMPLE)
                })
            }
            _ => Err(Refusal::Unexpected),
        }
    }

    /// An item of a list, or its end.
    fn item(&mut self, kind: SyntaxKind, beside: Beside) -> Result<State, Refusal> {
        if kind == TOKEN_R_BRACK {
            self.pop();
            return Ok(State::After(SIMPLE));
        }
        self.level();
        self.operand(kind, beside)
    }

    fn close_formals(&mut self) -> State {
        let bound = self.top() == Open::Formals { bound: true };
        self.pop();
        State::AfterFormals { bound }
    }

    fn expression(&mut self, kind: SyntaxKind, ahead: &[SyntaxKind], beside: Beside) -> Result<State, Refusal> {
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
                Ok(State::Operand { not: true, minus: true })
            }
            TOKEN_SUB => {
                self.deepen(0);
                Ok(State::Operand { not: false, minus: true })
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
            TOKEN_PATH_ABS | TOKEN_PATH_REL | TOKEN_PATH_HOME | TOKEN_PATH_SEARCH | TOKEN_IDENT | TOKEN_INTEGER
            | TOKEN_FLOAT | TOKEN_URI => Ok(State::After(SIMPLE)),
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
                return Ok(State::After(After { apply: true, ..CLOSED }));
            }
            (TOKEN_OR, Or::Default) => {
                self.deepen(0);
                return Ok(State::Operand { not: false, minus: false });
            }
            _ => {}
        }
        if self.top() == Open::List {
            return self.item(kind, beside);
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
            TOKEN_AND_AND | TOKEN_OR_OR | TOKEN_IMPLICATION | TOKEN_PIPE_LEFT | TOKEN_PIPE_RIGHT => {
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
                    return Ok(State::After(After { operator: false, ..CLOSED }));
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

    fn after_attribute(&mut self, path: Path, kind: SyntaxKind, beside: Beside) -> Result<State, Refusal> {
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
                let selected = After { apply: true, or: Or::Default, ..CLOSED };
                self.after(selected, kind, beside)
            }
            Path::HasAttr => self.after(CLOSED, kind, beside),
        }
    }
}

impl Frame {
    fn new(open: Open) -> Self {
        Self { open, depth: 0, nested: 0, compared: false, equated: false }
    }
}

fn expect(kind: SyntaxKind, wanted: SyntaxKind) -> Result<(), Refusal> {
    if kind == wanted { Ok(()) } else { Err(Refusal::Unexpected) }
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
