//! What is told while Nix moves paths: one line for each.

use crate::nix::events::Event;
use crate::report::progress::Progress;

/// Tells of paths that move.
pub struct Moves<'a> {
    progress: &'a Progress,
    verb: &'static str,
    /// The path told of last: Nix says first that it gets one, then that it copies it.
    last: String,
}

impl<'a> Moves<'a> {
    /// On a display; `verb` is what is done with paths.
    pub fn new(progress: &'a Progress, verb: &'static str) -> Self {
        Self { progress, verb, last: String::new() }
    }

    /// Tells of a path that begins to move, and what Nix warns of.
    pub fn tell(&mut self, event: &Event) {
        match event {
            Event::FetchStarted { path, .. } if *path != self.last => {
                let line = format!("{} {path}", self.verb);
                self.progress.status(line.clone());
                self.progress.step(&line);
                self.last.clone_from(path);
            }
            Event::Message { level: 1, text } => self.progress.line(text),
            _ => {}
        }
    }
}
