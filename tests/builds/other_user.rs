//! A user without rights, whose Nix is a daemon's: what a session needs of the kernel, it gets without root.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::shell::{LOOK, assert_room, left, shell, small};
use crate::support::{self, Project, text};

/// One that no process has, and not the one that the kernel shows for those it cannot name (bubblewrap confuses them).
const USER: &str = "61234";

/// A daemon for the machine's store, and a user that only it builds for; the daemon goes with this.
pub struct OtherUser<'a> {
    project: &'a Project,
    daemon: Child,
}

impl Drop for OtherUser<'_> {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl<'a> OtherUser<'a> {
    /// Root alone can be another user: else it says that the test is skipped, and why.
    pub fn new(project: &'a Project) -> Option<Self> {
        if fs::metadata("/proc/self").expect("/proc").uid() != 0 {
            eprintln!("SKIPPED: the other tests run without root's rights already");
            return None;
        }
        fs::set_permissions(project.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        fs::copy(env!("CARGO_BIN_EXE_phasesplit"), project.path().join("phasesplit")).expect("a copy");
        let daemon = Command::new("nix-daemon")
            .env("NIX_CONFIG", support::nix_config())
            .env("NIX_DAEMON_SOCKET_PATH", project.path().join("socket"))
            .stderr(Stdio::null())
            .spawn()
            .expect("nix-daemon starts");
        let other = Self { project, daemon };
        for _ in 0..200 {
            if other.socket().exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(other)
    }

    fn socket(&self) -> PathBuf {
        self.project.path().join("socket")
    }

    /// `phasesplit shell` as [`shell`] has it, for this user; `before` is what starts it, with the words that come before a
    /// program's name.
    pub fn shell(&self, before: &[&str], point: &str, options: &[&str], script: &str) -> Command {
        let path = self.project.path();
        let inner = shell(self.project, point, options, &[script]);
        for name in ["home", "sessions"] {
            fs::create_dir_all(path.join(name)).expect("made");
            std::os::unix::fs::chown(path.join(name), USER.parse().ok(), USER.parse().ok()).expect("root may");
        }
        let become_it = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"];
        let mut words = before.iter().chain(&become_it);
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).arg(path.join("phasesplit")).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .current_dir(path)
            .env("HOME", path.join("home"))
            .env("XDG_STATE_HOME", path.join("home"))
            .env("NIX_REMOTE", "daemon")
            .env("NIX_DAEMON_SOCKET_PATH", self.socket());
        command
    }

    /// That user's id.
    pub fn id() -> &'static str {
        USER
    }
}

#[test]
fn a_user_without_rights() {
    let project = small("rights");
    let Some(user) = OtherUser::new(&project) else { return };
    let output = user.shell(&[], "build", &["--to", "install"], LOOK).output().expect("setpriv runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_room(&text(&output.stdout));
    assert_eq!(left(&project), Vec::<PathBuf>::new());
}
