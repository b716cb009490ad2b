//! A room like that of Nix's builder: the namespaces a shell runs in.
//!
//! Owns what such a room looks like ([`Room`]), making one ([`start`]) and what to say where the kernel does not let us.
//! Must not know packages, stages or Nix: it gets a list of directories and a command.
//!
//! No code here can be unsafe, so nothing forks: the program starts itself again, twice, by the hidden subcommand
//! [`COMMAND`]. `outer` has the namespaces made and waits; `inner` is their process 1, puts the file system together,
//! starts the command and waits for it. When `inner` ends the kernel ends all that is left in the room, and each of the
//! three dies with the one before it.

mod bubblewrap;
mod files;
mod inner;
mod loopback;
mod outer;
pub mod terminal;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

pub use files::{clear_store_places, store_places};
pub use outer::code;
pub use terminal::{Ended, Sent, Signals};

/// The hidden subcommand by which the program starts itself.
pub const COMMAND: &str = "sandbox-inside";

/// The user that Nix's builder is in its sandbox.
const UID: u32 = 1000;

/// And its group.
const GID: u32 = 100;

/// What a room holds and what is run in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Room {
    /// An empty directory that becomes its `/`; nothing is left in it.
    pub root: PathBuf,
    /// What of the machine is seen in it, in the order of mounting.
    pub binds: Vec<Bind>,
    /// The directory that stands for the store in it, with a place for each of `store_paths`.
    pub store: Bind,
    /// What is seen of the machine's store, read-only.
    pub store_paths: Vec<PathBuf>,
    /// The build directory in it, named in its `/etc/passwd`.
    pub home: PathBuf,
    /// The directory to start in.
    pub directory: PathBuf,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// All of its environment.
    pub environment: Vec<(String, String)>,
    /// Whether the command is a shell with job control: then it gets the terminal.
    pub interactive: bool,
}

/// A file or directory of the machine in the room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bind {
    /// Outside.
    pub from: PathBuf,
    /// Inside, absolute.
    pub to: PathBuf,
    /// Whether it can be written to.
    pub writable: bool,
    /// Whether the room does without it where it is not there.
    pub optional: bool,
}

/// Why there is no room.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel does not let this user make namespaces.
    #[error("this user cannot make a sandbox: {detail}")]
    Forbidden {
        /// What the trial said.
        detail: String,
    },
    /// Something else.
    #[error("cannot {operation}")]
    Io {
        /// What was tried.
        operation: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl SandboxError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        let Self::Forbidden { .. } = self else { return None };
        let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let mut ways = Vec::new();
        for (sysctl, bad, good) in [
            ("kernel.unprivileged_userns_clone", "0", "1"),
            ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
            ("user.max_user_namespaces", "0", "15000"),
        ] {
            if read(&format!("/proc/sys/{}", sysctl.replace('.', "/"))).as_deref() == Some(bad) {
                ways.push(format!("let users make namespaces (as root: sysctl {sysctl}={good})"));
            }
        }
        ways.push("install bubblewrap".to_owned());
        ways.push("or do without, with --no-sandbox: then the paths are not those of the build".to_owned());
        Some(ways.join(", "))
    }
}

/// Who makes the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// This program.
    Own,
    /// `bwrap`, which may where this program may not.
    Bubblewrap,
}

/// Names the maker: `bwrap` for bubblewrap. Anything else is as if it was not set.
const VARIABLE: &str = "PHASESPLIT_SANDBOX";

/// Tries what makes a room: this program first, unless the user has another wish.
///
/// # Errors
/// [`SandboxError::Forbidden`] where neither can.
pub fn maker() -> Result<Maker, SandboxError> {
    if std::env::var_os(VARIABLE).is_some_and(|value| value == bubblewrap::PROGRAM) && bubblewrap::works() {
        return Ok(Maker::Bubblewrap);
    }
    let trial = itself("trial").stdin(Stdio::null()).output().map_err(|source| failed("start this program", source))?;
    if trial.status.success() {
        return Ok(Maker::Own);
    }
    if bubblewrap::works() {
        return Ok(Maker::Bubblewrap);
    }
    Err(SandboxError::Forbidden { detail: String::from_utf8_lossy(&trial.stderr).trim().to_owned() })
}

/// Starts the command in its room. To end it early send the child SIGTERM and wait: then nothing of it is left.
///
/// # Errors
/// Where no process can be started.
pub fn start(room: &Room, maker: Maker) -> Result<Child, SandboxError> {
    match maker {
        Maker::Own => {
            let file = write(room).map_err(|source| failed("write down the sandbox", source))?;
            itself("outer").arg(file).spawn().map_err(|source| failed("start this program", source))
        }
        Maker::Bubblewrap => bubblewrap::start(room),
    }
}

/// The part of this program that runs inside: gives its exit code.
pub fn inside(words: &[OsString]) -> u8 {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let result = match words[..] {
        ["trial"] => outer::trial().map(|()| 0),
        ["outer", file] => outer::run(Path::new(file)),
        ["inner", file] => inner::run(Path::new(file)),
        _ => Err(failed("tell what to do", io::ErrorKind::InvalidInput.into())),
    };
    result.unwrap_or_else(|error| {
        let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
        let _ = writeln!(io::stderr(), "phasesplit: sandbox: {error}{cause}");
        crate::status::Status::Environment as u8
    })
}

/// This program, for its part inside.
fn itself(part: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args([COMMAND, part]);
    command
}

/// Beside the root, so that it goes with it.
fn write(room: &Room) -> io::Result<PathBuf> {
    let file = room.root.with_extension("json");
    fs::write(&file, serde_json::to_vec(room)?)?;
    Ok(file)
}

fn read(file: &Path) -> Result<Room, SandboxError> {
    let room = fs::read(file).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
    room.map_err(|source| failed("read how the sandbox is to be", source))
}

fn failed(operation: impl Into<String>, source: io::Error) -> SandboxError {
    SandboxError::Io { operation: operation.into(), source }
}
