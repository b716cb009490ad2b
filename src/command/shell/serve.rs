//! `phasesplit-diff` in a session: the request comes through a named pipe, and this program, outside, answers.
//!
//! The pipes are opened before the session begins and the answer's file is made anew each time, so that nothing in the
//! session can lead this elsewhere. The other side is in `nix-lib/shell/shell.sh`.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::changed::{self, Which};
use super::session::{self, Session};
use super::{ShellError, diff};

/// The line that ends the service: no option can be this.
const END: &str = "\u{1}";

/// A session that is served.
#[derive(Debug)]
pub struct Served {
    request: File,
    thread: thread::JoinHandle<()>,
}

impl Served {
    /// Begins to serve.
    pub fn begin(session: &Session) -> Result<Self, ShellError> {
        let control = session.path("control");
        let making = || ShellError::io("make the session's pipes");
        let [request, answer] = ["request", "answer"].map(|name| {
            mknodat(CWD, control.join(name), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
            // For both sides, so that opening does not wait and the last writer's end is no end.
            OpenOptions::new().read(true).write(true).custom_flags(nofollow()).open(control.join(name))
        });
        let (request, answer) = (request.map_err(making())?, answer.map_err(making())?);
        let lines = BufReader::new(request.try_clone().map_err(making())?);
        let directory = session.directory().to_owned();
        let thread = thread::spawn(move || serve(lines, &answer, &directory));
        Ok(Self { request, thread })
    }

    /// Ends it.
    pub fn end(mut self) {
        if writeln!(self.request, "{END}").is_ok() {
            let _ = self.thread.join();
        }
    }
}

#[allow(clippy::cast_possible_wrap, reason = "flags are bits")]
fn nofollow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits() as i32
}

fn serve(mut lines: BufReader<File>, mut answer: &File, directory: &Path) {
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
        if line.trim_end_matches('\n') == END {
            return;
        }
        let (code, text) = answered(line.trim(), directory);
        let file = directory.join("control/diff");
        if replaced(&file, &text).and_then(|()| writeln!(answer, "{code}")).is_err() {
            return;
        }
        line.clear();
    }
}

fn answered(option: &str, directory: &Path) -> (u8, Vec<u8>) {
    let all = match option {
        "" => false,
        "--all" => true,
        _ => return (2, b"usage: phasesplit-diff [--all]".to_vec()),
    };
    let about = match session::read(directory) {
        Ok(about) => about,
        Err(error) => return (4, error.to_string().into_bytes()),
    };
    match changed::patch(&about, if all { Which::All } else { Which::Source }) {
        Err(error) => (4, error.to_string().into_bytes()),
        Ok(patch) if patch.text.is_empty() => (0, diff::left_out(&patch, all).into_bytes()),
        // Lines before the first `---` are a comment to `patch`.
        Ok(patch) => (0, [diff::left_out(&patch, all).into_bytes(), patch.text].concat()),
    }
}

fn replaced(file: &PathBuf, text: &[u8]) -> std::io::Result<()> {
    let _ = fs::remove_file(file);
    OpenOptions::new().write(true).create_new(true).open(file)?.write_all(text)
}
