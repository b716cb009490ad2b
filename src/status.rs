//! The exit codes, in one place: scripts rely on them, and `--help` shows them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All went well.
    Success = 0,
    /// The package, or another input, is at fault; or `verify` found that the split package is not the unsplit one.
    Input = 1,
    /// The command line is at fault (the number is clap's).
    Usage = 2,
    /// A phase failed.
    Build = 3,
    /// Nix, the store or the file system is at fault.
    Environment = 4,
}

/// For `--help`.
pub const HELP: &str = "\
Exit codes:
  0  all went well
  1  the package or another input is at fault, or verify found a real difference
  2  the command line is at fault
  3  a build failed
  4  Nix, the store or the file system is at fault";

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}
