//! The only place that starts a program of Nix.
//!
//! Uses `nix-instantiate`, `nix-build` and `nix-store`, which need no experimental feature in any
//! version, and `nix` only to read settings, which nothing else tells. Owns the settings that every call gets and turns a failure into a [`NixError`]. Must
//! not know what is evaluated or built.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::error::{Cause, NixError, OLDEST_NIX, Work, classify, parse_version};

/// A question to the store that is not answered after this time waits for somebody's lock: with its
/// database locked, Nix 2.8 said nothing and did not give up for as long as it was watched.
const STORE_PATIENCE: Duration = Duration::from_mins(1);

/// Options of Nix that only `nix-build` knows; an evaluation before it must not get them.
const BUILD_ONLY: [&str; 5] = ["--check", "--repair", "--no-build-output", "-Q", "--keep-going"];

/// A program of Nix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Evaluates and writes `.drv` files.
    Instantiate,
    /// Builds, and links results.
    Build,
    /// Asks and changes the store.
    Store,
    /// Tells Nix's settings.
    Nix,
}

impl Tool {
    fn program(self) -> &'static str {
        match self {
            Self::Instantiate => "nix-instantiate",
            Self::Build => "nix-build",
            Self::Store => "nix-store",
            Self::Nix => "nix",
        }
    }

    fn work(self) -> Work {
        match self {
            Self::Instantiate => Work::Evaluation,
            Self::Build | Self::Store | Self::Nix => Work::Store,
        }
    }
}

/// How to call Nix: the options the user gave after `--`, and the directory to run in.
#[derive(Debug, Clone, Default)]
pub struct Nix {
    options: Vec<OsString>,
    directory: Option<PathBuf>,
}

/// What a finished program said.
#[derive(Debug)]
pub struct Answer {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, as text: warnings, where it ended well.
    pub stderr: String,
}

/// How a program ended.
pub(super) struct Ended {
    /// Its status.
    pub(super) status: ExitStatus,
    /// What it said.
    pub(super) answer: Answer,
    /// The command line, for an error about it.
    pub(super) command: String,
}

impl Nix {
    /// Nix with options that evaluation and build both get, as after `--` on the command line.
    pub fn new(options: impl IntoIterator<Item = OsString>) -> Self {
        Self { options: options.into_iter().collect(), directory: None }
    }

    /// The same with more options.
    #[must_use]
    pub fn with(mut self, options: impl IntoIterator<Item = OsString>) -> Self {
        self.options.extend(options);
        self
    }

    /// The same, run in `directory`: relative paths of an expression on standard input start there.
    #[must_use]
    pub fn in_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// A command for `tool`, with the options it understands, its standard streams unset.
    pub fn command<S: AsRef<OsStr>>(&self, tool: Tool, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(tool.program());
        // Nix's texts are read: keep them in the language that `error` knows.
        command.env("LC_MESSAGES", "C").args(args);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        match tool {
            Tool::Store | Tool::Nix => {}
            Tool::Build => {
                command.args(&self.options);
            }
            Tool::Instantiate => {
                command.args(self.options.iter().filter(|o| !BUILD_ONLY.iter().any(|b| o.as_os_str() == *b)));
            }
        }
        command
    }

    /// Runs a command to its end with `input` on standard input, and gives what it said.
    ///
    /// # Errors
    /// A [`NixError`] that says `operation`, whether the program is missing, cannot be run, or fails.
    pub fn run<S: AsRef<OsStr>>(
        &self,
        tool: Tool,
        operation: &str,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<Answer, NixError> {
        self.run_within((tool == Tool::Store).then_some(STORE_PATIENCE), tool, operation, args, input)
    }

    /// As [`Nix::run`], for `patience` at most.
    ///
    /// # Errors
    /// As [`Nix::run`], and [`Cause::Locked`] where the time is over.
    pub fn run_within<S: AsRef<OsStr>>(
        &self,
        patience: Option<Duration>,
        tool: Tool,
        operation: &str,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<Answer, NixError> {
        let ended = Self::end_of(patience, operation, self.command(tool, args), tool, input)?;
        if ended.status.success() {
            return Ok(ended.answer);
        }
        let cause = self.cause_of(tool, &ended.answer.stderr, ended.status);
        Err(NixError { operation: operation.to_owned(), command: ended.command, cause })
    }

    /// Runs a command to its end, which may be a bad one; for `patience` at most.
    pub(super) fn end_of(
        patience: Option<Duration>,
        operation: &str,
        mut command: Command,
        tool: Tool,
        input: &[u8],
    ) -> Result<Ended, NixError> {
        let shown = shell_words(&command);
        let fail = |cause| NixError { operation: operation.to_owned(), command: shown.clone(), cause };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|e| fail(spawn_cause(tool, e)))?;
        let (status, stdout, stderr) = converse(child, input, patience).map_err(|e| match e.kind() {
            io::ErrorKind::TimedOut => fail(Cause::Locked {
                detail: format!("`{}` was silent for {} s", tool.program(), patience.unwrap_or_default().as_secs()),
            }),
            _ => fail(Cause::Io(e)),
        })?;
        let answer = Answer { stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() };
        Ok(Ended { status, answer, command: shown })
    }

    /// The cause of a failed command; an unknown one of an old Nix is blamed on its age.
    pub fn cause_of(&self, tool: Tool, stderr: &str, status: ExitStatus) -> Cause {
        let cause = classify(stderr, status, tool.work());
        if matches!(cause, Cause::Failed { .. } | Cause::Evaluation { .. } | Cause::Option { .. })
            && let Some((version, found)) = Self::version()
            && version < OLDEST_NIX
        {
            return Cause::TooOld { found };
        }
        cause
    }

    /// The version of the Nix on `PATH`, where it can be asked.
    pub fn version() -> Option<((u64, u64), String)> {
        let output = Command::new(Tool::Store.program()).arg("--version").stdin(Stdio::null()).output().ok()?;
        parse_version(&String::from_utf8_lossy(&output.stdout))
    }
}

/// The cause of a program that did not start.
pub fn spawn_cause(tool: Tool, error: io::Error) -> Cause {
    if error.kind() == io::ErrorKind::NotFound { Cause::Missing { program: tool.program() } } else { Cause::Io(error) }
}

/// The command as a line for a shell, quoted where it must be.
pub fn shell_words(command: &Command) -> String {
    let mut line = shell_word(command.get_program());
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&shell_word(arg));
    }
    line
}

/// One word for a shell: as it is, or in single quotes.
pub fn shell_word(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%!".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Feeds and drains a child without deadlock; kills it after `patience` without an end.
fn converse(mut child: Child, input: &[u8], patience: Option<Duration>) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (mut stdin, mut stdout, mut stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(stdin) = &mut stdin {
                // A child that ends without reading its input says why on standard error.
                let _ = stdin.write_all(input);
            }
        });
        let drain = |pipe: Option<&mut dyn Read>| -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            if let Some(pipe) = pipe {
                pipe.read_to_end(&mut bytes)?;
            }
            Ok(bytes)
        };
        let out = scope.spawn(move || drain(stdout.as_mut().map(|p| p as &mut dyn Read)));
        let err = scope.spawn(move || drain(stderr.as_mut().map(|p| p as &mut dyn Read)));
        let status = match patience {
            None => child.wait()?,
            Some(patience) => wait_at_most(&mut child, patience)?,
        };
        let joined = |handle: std::thread::ScopedJoinHandle<'_, io::Result<Vec<u8>>>| {
            handle.join().unwrap_or_else(|_| Err(io::Error::other("a reader thread failed")))
        };
        Ok((status, joined(out)?, joined(err)?))
    })
}

/// Waits with growing naps, so that a quick answer costs next to nothing.
fn wait_at_most(child: &mut Child, patience: Duration) -> io::Result<ExitStatus> {
    let start = Instant::now();
    let mut nap = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > patience {
            child.kill()?;
            child.wait()?;
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(shell_word(OsStr::new("/nix/store/a.drv!out")), "/nix/store/a.drv!out");
        assert_eq!(shell_word(OsStr::new("it's")), r"'it'\''s'");
        assert_eq!(shell_word(OsStr::new("")), "''");
    }

    #[test]
    fn a_build_only_option_does_not_reach_the_evaluation() {
        let nix = Nix::new(["--check".into(), "--cores".into(), "1".into()]);
        assert_eq!(shell_words(&nix.command(Tool::Instantiate, ["-"])), "nix-instantiate - --cores 1");
        assert_eq!(shell_words(&nix.command(Tool::Build, ["x"])), "nix-build x --check --cores 1");
        assert_eq!(shell_words(&nix.command(Tool::Store, ["-q"])), "nix-store -q");
    }

    #[test]
    fn a_silent_child_is_given_up() {
        let child = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sleep runs");
        let error = converse(child, b"", Some(Duration::from_millis(50))).expect_err("it is killed");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
