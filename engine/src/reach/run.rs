//! What of a text is run as code: the variables whose values it executes, the commands whose names it puts together, and
//! the words that it only says.
//!
//! Owns the flow inside one text, from what is run back to where that came from; what functions do with their arguments it
//! asks its caller.

use std::collections::HashSet;
use std::ops::Range;

use super::names::{self, Computed};
use super::shell::{self, Script, Simple};
use super::{setup, words};

/// Commands that run what their arguments say.
const RUNS: &[&[u8]] = &[b"eval", b"source", b".", b"trap", b"bash", b"sh", b"xargs"];

/// Commands that run what they read, or a file that a message may have been written to.
const FEEDS: &[&[u8]] = &[b"source", b".", b"bash", b"sh", b"xargs"];

/// What a text runs.
#[derive(Debug, Default)]
pub struct Run<'a> {
    /// The words in what is run, and in what is assigned to such a word.
    words: HashSet<&'a [u8]>,
    /// What is run, as written.
    pieces: Vec<&'a [u8]>,
    /// Whether the arguments (`$1`, `$@`) are among it.
    arguments: bool,
    /// Whether it comes from where this does not look: it is read from a file.
    all: bool,
    /// Where commands have words, and whether these are only said; the innermost command's last.
    spans: Vec<(Range<usize>, bool)>,
    feeds: bool,
}

/// Finds what a text runs. `runs_arguments` is asked for the names of commands.
pub fn of<'a>(text: &'a [u8], script: &Script<'a>, mut runs_arguments: impl FnMut(&[u8]) -> bool) -> Run<'a> {
    let mut run = Run::default();
    let mut commands: Vec<&Simple<'a>> = Vec::new();
    shell::each_command(&script.nodes, &mut |command| commands.push(command));
    for command in &commands {
        run.spans(text, command);
        let Some((name, arguments)) = names::split(command) else { continue };
        if RUNS.contains(&&name[..]) || runs_arguments(&name) {
            run.feeds |= FEEDS.contains(&&name[..]);
            for word in arguments {
                run.add(word);
            }
        } else if name.contains(&b'$') || name.contains(&b'`') {
            let first = command.words.len() - arguments.len() - 1;
            run.add(command.words[first]);
        }
    }
    loop {
        let before = (run.words.len(), run.arguments, run.all);
        for command in &commands {
            run.trace(command);
        }
        if before == (run.words.len(), run.arguments, run.all) {
            return run;
        }
    }
}

impl<'a> Run<'a> {
    /// Whether the value of a variable may be run.
    pub fn has(&self, variable: &[u8]) -> bool {
        self.all || self.words.contains(variable)
    }

    /// Whether a function with this text runs what it is given.
    pub fn runs_arguments(&self) -> bool {
        self.all || self.arguments
    }

    /// The names of commands that are put together: `"do_$1"`.
    pub fn computed(&self) -> Vec<Computed> {
        self.pieces.iter().flat_map(|piece| names::computed(piece)).collect()
    }

    /// Whether the name at this place is only part of a message.
    pub fn is_said(&self, at: usize, name: &[u8]) -> bool {
        let innermost = || self.spans.iter().rev().find(|(range, _)| range.contains(&at));
        !self.feeds && !self.has(name) && innermost().is_some_and(|(_, is_said)| *is_said)
    }

    fn add(&mut self, piece: &'a [u8]) {
        if self.pieces.contains(&piece) {
            return;
        }
        self.pieces.push(piece);
        self.words.extend(words(piece));
        self.arguments |= piece.iter().enumerate().filter(|(_, byte)| **byte == b'$').any(|(at, _)| {
            let rest = &piece[at + 1..];
            let rest = rest.strip_prefix(b"{").unwrap_or(rest);
            let rest = rest.strip_prefix(b"!").unwrap_or(rest);
            matches!(rest.first(), Some(b'1'..=b'9' | b'@' | b'*'))
        });
    }

    /// Adds what a command puts into a variable that is run.
    fn trace(&mut self, command: &Simple<'a>) {
        for word in &command.words {
            if let Some((name, value)) = shell::assignment(word)
                && self.words.contains(name)
            {
                self.add(value);
            }
        }
        let Some((name, arguments)) = names::split(command) else { return };
        let is_target = |word: &&&'a [u8]| self.words.contains(&shell::unquoted(word)[..]);
        match &name[..] {
            b"for" | b"select" if arguments.first().as_ref().is_some_and(is_target) => {
                // Without `in` it goes through the arguments.
                self.arguments |= arguments.len() < 2;
                for word in &arguments[1..] {
                    self.add(word);
                }
            }
            b"appendToVar" | b"prependToVar" | b"concatTo" if arguments.first().as_ref().is_some_and(is_target) => {
                for word in &arguments[1..] {
                    self.add(word);
                }
            }
            b"read" | b"mapfile" | b"readarray" | b"printf" if arguments.iter().any(|word| is_target(&word)) => {
                self.all |= &name[..] != b"printf" || arguments[0].starts_with(b"-v");
            }
            _ => {}
        }
    }

    fn spans(&mut self, text: &[u8], command: &Simple<'a>) {
        let is_talk = names::split(command)
            .is_some_and(|(name, _)| setup::TALK.contains(&&name[..]) || matches!(&name[..], b"printf"));
        for word in &command.words {
            // The words are parts of the text.
            let from = word.as_ptr().addr().saturating_sub(text.as_ptr().addr());
            self.spans.push((from..from + word.len(), is_talk));
        }
    }
}
