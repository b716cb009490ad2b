//! What is shown while a build runs: one moving line on a terminal, plain lines elsewhere.
//!
//! Everything goes to standard error. `NO_COLOR` (any value but empty) and `TERM=dumb` are obeyed.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The display of one build.
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A display that fits what standard error is.
    pub fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let bar = (std::io::stderr().is_terminal() && !dumb).then(|| {
            let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let template =
                if colour { "{spinner:.cyan} {wide_msg} {elapsed:.dim}" } else { "{spinner} {wide_msg} {elapsed}" };
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar }
    }

    /// What is going on now; shown on a terminal only.
    pub fn status(&self, message: impl Into<String>) {
        if let Some(bar) = &self.bar {
            bar.set_message(message.into());
        }
    }

    /// A step; shown where there is no moving line to show it.
    pub fn step(&self, line: &str) {
        if self.bar.is_none() {
            anstream::eprintln!("{line}");
        }
    }

    /// A line that stays, on a terminal and elsewhere.
    pub fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| anstream::eprintln!("{line}")),
            None => anstream::eprintln!("{line}"),
        }
    }

    /// Takes the moving line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
