//! The log of a stage that is to keep what it leaves when it fails: what its phases write is passed on as it comes, and
//! the end of it stays at hand.
//!
//! The phases must not notice: where the build's log is a terminal, as Nix makes it, they get one too. And nothing may
//! wait for a process that a phase left in the background and that holds the log open: not its end says when to stop,
//! but standard input, which the runtime closes.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, FdFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;

use super::error::{Error, Result};
use super::info::LOG_BYTES;

const LOG: &str = "log";
/// What bash 5.2 says, several times, when a function that stdenv runs ends the shell: it would hide the cause.
pub const BASH_NOISE: &str = "pop_var_context: head of shell_variables not a function context";
/// What is kept while the log runs: more than in the end, because some lines are left out then.
const KEPT: usize = 4 * LOG_BYTES;
/// A terminal hands on what was written to it a moment later.
const SILENCE: Duration = Duration::from_millis(100);
/// Whoever writes after the phases ended is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes to standard output the name of a file to write the log to, and a newline; passes on to standard error what is
/// written there; and, when standard input ends, writes the log's end to the file `tail`.
///
/// # Errors
/// What the system says; that standard error is gone is no failure.
pub fn follow(tail: &Path) -> Result<()> {
    let failed = |source: io::Error| Error::io(LOG, tail, source);
    let log = Log::open().map_err(failed)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", log.name).and_then(|()| out.flush()).map_err(failed)?;
    let end = pass_on(log.reader, io::stdin(), &mut io::stderr().lock()).map_err(failed)?;
    fs::write(tail, end).map_err(failed)
}

/// What a person wants of a log: the last lines, at most [`LOG_BYTES`], without those that Nix takes as its own and
/// bash's about itself.
pub fn tail(log: &[u8]) -> String {
    let log = String::from_utf8_lossy(log);
    let is_noise = |line: &str| line.starts_with("@nix ") || line.trim_end().ends_with(BASH_NOISE);
    let lines: Vec<&str> = log.split_inclusive('\n').filter(|line| !is_noise(line)).collect();
    let mut room = LOG_BYTES;
    let fits = lines.iter().rev().take_while(|line| room.checked_sub(line.len()).map(|left| room = left).is_some());
    let count = fits.count();
    match lines.last() {
        // One endless line: its end.
        Some(last) if count == 0 => last[last.ceil_char_boundary(last.len() - LOG_BYTES)..].to_owned(),
        _ => lines[lines.len() - count..].concat(),
    }
}

/// Where the phases write, and where that can be read.
struct Log {
    reader: File,
    name: String,
    /// Held open, so that the reader sees no end however many writers come and go.
    _writer: OwnedFd,
}

impl Log {
    /// A terminal if standard error is one and there can be another, else a pipe.
    fn open() -> io::Result<Self> {
        match io::stderr().is_terminal().then(Self::terminal) {
            Some(Ok(log)) => Ok(log),
            Some(Err(_)) | None => Self::pipe(),
        }
    }

    fn terminal() -> io::Result<Self> {
        let reader = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        rustix::io::fcntl_setfd(&reader, FdFlags::CLOEXEC)?;
        rustix::pty::grantpt(&reader)?;
        rustix::pty::unlockpt(&reader)?;
        let name = rustix::pty::ptsname(&reader, Vec::new())?;
        let writer = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        // As Nix sets up its own: bytes pass as they are.
        let mut settings = rustix::termios::tcgetattr(&writer)?;
        settings.make_raw();
        rustix::termios::tcsetattr(&writer, OptionalActions::Now, &settings)?;
        let name = name.into_string().map_err(io::Error::other)?;
        Ok(Self { reader: reader.into(), name, _writer: writer })
    }

    fn pipe() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let name = format!("/proc/{}/fd/{}", std::process::id(), writer.as_raw_fd());
        Ok(Self { reader: OwnedFd::from(reader).into(), name, _writer: writer.into() })
    }
}

/// Copies until `stop` has something to say or ends, and what was written by then; gives the last [`KEPT`] bytes.
fn pass_on(mut log: File, stop: impl std::os::fd::AsFd, to: &mut impl Write) -> io::Result<Vec<u8>> {
    let mut end = VecDeque::with_capacity(KEPT);
    let mut block = [0; 16 * 1024];
    let mut copy = |log: &mut File| -> io::Result<()> {
        let count = log.read(&mut block)?;
        let block = &block[..count];
        // The log may be gone; the phases are to run on all the same.
        let _ = to.write_all(block).and_then(|()| to.flush());
        end.extend(block);
        end.drain(..end.len().saturating_sub(KEPT));
        Ok(())
    };
    let mut stopped: Option<Instant> = None;
    loop {
        let mut both = [PollFd::new(&log, PollFlags::IN), PollFd::new(&stop, PollFlags::IN)];
        let silence = Timespec::try_from(SILENCE).ok();
        let ready = match &stopped {
            None => poll(&mut both, None),
            Some(since) if since.elapsed() > PATIENCE => Ok(0),
            Some(_) => poll(&mut both[..1], silence.as_ref()),
        };
        match ready {
            Err(Errno::INTR) => continue,
            ready => ready?,
        };
        let [written, ended] = both.map(|fd| !fd.revents().is_empty());
        if written {
            copy(&mut log)?;
        } else if stopped.is_some() {
            return Ok(end.into());
        }
        if ended {
            stopped.get_or_insert_with(Instant::now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_passed_on_and_the_end_is_kept_whoever_holds_the_log_open() {
        let log = Log::pipe().expect("a pipe");
        let (stop, stopper) = io::pipe().expect("a pipe");
        let name = log.name.clone();
        let writer = std::thread::spawn(move || {
            let mut out = File::options().write(true).open(name).expect("the log");
            for number in 0..20_000 {
                writeln!(out, "line {number}").expect("written");
            }
            drop(stopper);
            // Still open when the end is known.
            out
        });
        let mut passed = Vec::new();
        let end = pass_on(log.reader, stop, &mut passed).expect("passed on");
        drop(writer.join().expect("it wrote"));
        let lines: Vec<String> = (0..20_000).map(|number| format!("line {number}\n")).collect();
        let whole = lines.concat();
        assert!(passed == whole.as_bytes(), "{} of {} bytes", passed.len(), whole.len());
        assert_eq!(end, &whole.as_bytes()[whole.len() - KEPT..]);
    }

    #[test]
    fn a_terminal_passes_bytes_as_they_are() {
        let Ok(log) = Log::terminal() else { return };
        let (stop, stopper) = io::pipe().expect("a pipe");
        let mut out = File::options().write(true).open(&log.name).expect("the terminal");
        assert!(out.is_terminal());
        out.write_all(b"one\ntwo\r\n\x04\x03\xff").expect("written");
        drop(stopper);
        let mut passed = Vec::new();
        pass_on(log.reader, stop, &mut passed).expect("passed on");
        assert_eq!(passed, b"one\ntwo\r\n\x04\x03\xff");
    }

    #[test]
    fn a_tail_is_whole_lines_without_nixs_own() {
        assert_eq!(tail(b"a\n@nix { \"action\": \"setPhase\" }\nb\xff"), "a\nb\u{fffd}");
        assert_eq!(tail(format!("x: line 1: {BASH_NOISE}\r\nb\n").as_bytes()), "b\n");
        assert_eq!(tail(b""), "");
        let lines = "0123456789abcde\n".repeat(2000);
        let end = tail(format!("{lines}last\n").as_bytes());
        assert!(end.len() <= LOG_BYTES && end.len() > LOG_BYTES - 16 && end.starts_with("0123"), "{}", end.len());
        assert!(end.ends_with("e\nlast\n"));
        let endless = "ä".repeat(LOG_BYTES);
        let end = tail(endless.as_bytes());
        assert!(end.len() <= LOG_BYTES && end.len() > LOG_BYTES - 2 && end.starts_with('ä'));
    }
}
