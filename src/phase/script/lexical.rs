//! What the characters alone tell, whatever the parser makes of them: names, `$name`, and the ways to all variables.

use super::{Finding, Place, Use};

/// Whether a byte may begin a name.
pub(super) const fn begins_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// Whether a byte may continue a name.
pub(super) const fn continues_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The end of the name that begins at `start`; `start` itself where none does.
pub(super) fn name_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    if !bytes.get(start).copied().is_some_and(begins_name) {
        return start;
    }
    let rest = bytes[start..].iter().take_while(|byte| continues_name(**byte)).count();
    start + rest
}

/// Whether the whole of a text is a name.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && name_end(text, 0) == text.len()
}

/// All names in a text: the longest runs of a name's characters that begin as one.
pub(super) fn names(text: &str) -> impl Iterator<Item = Place> + '_ {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let start = at;
            while at < bytes.len() && continues_name(bytes[at]) {
                at += 1;
            }
            if at == start {
                at += 1;
            } else if begins_name(bytes[start]) {
                return Some(Place { start, end: at });
            } else if let Some(letter) = (start..at).find(|at| begins_name(bytes[*at])) {
                // `2x`: no name for bash, but what stands in front may be part of a construct.
                return Some(Place { start: letter, end: at });
            }
        }
        None
    })
}

/// Names that a backslash at a line's end joins of two parts.
pub(super) fn joined_names(text: &str) -> impl Iterator<Item = Use> + '_ {
    let bytes = text.as_bytes();
    text.match_indices("\\\n").filter_map(move |(at, _)| {
        let before = bytes[..at].iter().rev().take_while(|byte| continues_name(**byte)).count();
        let after = bytes[at + 2..].iter().take_while(|byte| continues_name(**byte)).count();
        let name = [&text[at - before..at], &text[at + 2..at + 2 + after]].concat();
        let span = Place { start: at - before, end: at + 2 + after };
        (before > 0 && after > 0 && is_name(&name)).then_some(Use { name, span })
    })
}

/// The result of [`expansions`].
#[derive(Default)]
pub(super) struct Expansions {
    /// `$name`, `${name`, `${#name` and `${!name`.
    pub reads: Vec<Use>,
    /// `$(name)`, which make reads its environment by.
    pub may_read: Vec<Use>,
    /// The first way to variables that are not named.
    pub reads_all: Option<Finding>,
    /// Names that a `${!name}` reads another variable by, where stdenv's way of naming outputs is meant.
    pub outputs: Vec<Use>,
}

/// Searches the text for expansions, outside `comments` (sorted).
pub(super) fn expansions(text: &str, comments: &[Place]) -> Expansions {
    let bytes = text.as_bytes();
    let mut found = Expansions::default();
    let mut push = |list: fn(&mut Expansions) -> &mut Vec<Use>, start: usize| {
        let end = name_end(text, start);
        if end > start && &text[start..end] != "_" {
            list(&mut found).push(Use { name: text[start..end].to_owned(), span: Place { start, end } });
        }
        end
    };
    let mut all = Vec::new();
    let mut at = 0;
    let mut comment = comments.iter().peekable();
    while let Some(dollar) = memchr::memchr(b'$', &bytes[at..]).map(|next| at + next) {
        while comment.next_if(|one| one.end <= dollar).is_some() {}
        at = match comment.peek() {
            Some(one) if one.start <= dollar => one.end,
            _ => dollar + 1,
        };
        if at != dollar + 1 {
            continue;
        }
        match bytes.get(at) {
            Some(b'{') => match bytes.get(at + 1) {
                Some(b'!') => {
                    let end = name_end(text, at + 2);
                    let rest = &text[end..];
                    push(|found| &mut found.reads, at + 2);
                    if end == at + 2 {
                        // `${!}` is a process; `${!1}` and `${!#}` read by an argument's name.
                        if !rest.starts_with('}') && !rest.starts_with([':', '-', '+', '?', '=']) {
                            all.push((dollar, end, "a variable by a computed name"));
                        }
                    } else if rest.starts_with("[@]}") || rest.starts_with("[*]}") {
                        // The keys of an array that is named.
                    } else if rest.starts_with("@}") || rest.starts_with("*}") {
                        all.push((dollar, end, "all variables of a prefix"));
                    } else if text[at + 2..end].starts_with("output") && !rest.starts_with(['[', '@', '*']) {
                        push(|found| &mut found.outputs, at + 2);
                    } else {
                        all.push((dollar, end, "a variable by a computed name"));
                    }
                }
                Some(b'#') => {
                    push(|found| &mut found.reads, at + 2);
                }
                _ => {
                    push(|found| &mut found.reads, at + 1);
                }
            },
            Some(b'(') => {
                let end = name_end(text, at + 1);
                if bytes.get(end) == Some(&b')') {
                    push(|found| &mut found.may_read, at + 1);
                }
            }
            _ => {
                push(|found| &mut found.reads, at);
            }
        }
    }
    for needle in ["NIX_ATTRS_JSON_FILE", "NIX_ATTRS_SH_FILE", ".attrs.json", ".attrs.sh"] {
        let outside = |at: &usize| !comments.iter().any(|one| one.start <= *at && *at < one.end);
        if let Some(at) = text.match_indices(needle).map(|(at, _)| at).find(outside) {
            all.push((at, at + needle.len(), "the file that holds all attributes"));
        }
    }
    found.reads_all = all.into_iter().min().map(|(start, end, what)| {
        let place = super::syntax::place(text, start, end);
        Finding { reason: format!("it reads {what} (`{}`)", &text[place.start..place.end]), span: place }
    });
    found
}

/// Whether an expansion begins somewhere in this text: what a parser that understood it would not leave as text.
pub(super) fn hides_expansion(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'`' => return true,
            b'$' if bytes.get(at + 1).is_some_and(|next| begins_name(*next) || b"{([".contains(next)) => return true,
            _ => {}
        }
        at += 1;
    }
    false
}

/// Reserved words, which stand in a script without being anybody's name.
pub(super) fn is_reserved(word: &str) -> bool {
    matches!(
        word,
        "if" | "then"
            | "elif"
            | "else"
            | "fi"
            | "for"
            | "in"
            | "do"
            | "done"
            | "while"
            | "until"
            | "case"
            | "esac"
            | "select"
            | "function"
            | "time"
            | "coproc"
    )
}
