//! Another machine: this one with another store. `sshd` in a mount namespace that has a directory of its own at `/nix`,
//! reached over the loopback interface with keys of the test's. Only root can make that. Must not know what is done there.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{self, succeed};

/// What only builds over there can read, at `/machine`.
pub const NAME: &str = "the other machine";

/// Starts the daemon where nothing of the machine's store is seen. Its arguments: the machine's directory and sshd, which
/// wants a user and a directory of its own.
const MACHINE: &str = r#"set -e
    mount --bind "$1/nix" /nix
    mount --bind "$1/passwd" /etc/passwd
    mount -t tmpfs none /run
    mkdir /run/sshd
    exec "$2" -D -e -f "$1/sshd_config""#;

/// The other machine; it goes with this.
pub struct Machine {
    directory: tempfile::TempDir,
    pub port: u16,
    daemon: Child,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// Where `scripts/setup-debian.sh` puts sshd's files, on a machine that has none.
fn fetched() -> PathBuf {
    support::root().join("target/sshd")
}

/// The first of these that is a file.
fn program(name: &str) -> Option<PathBuf> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let beside = ["/usr/sbin".into(), "/usr/local/sbin".into(), fetched().join("usr/sbin")];
    std::env::split_paths(&search).chain(beside).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// What the machine cannot be made with here; nothing where it can.
fn missing() -> Option<&'static str> {
    let in_store = |name| program(name).is_none_or(|path| path.canonicalize().is_ok_and(|p| p.starts_with("/nix")));
    if fs::metadata("/proc/self").expect("/proc").uid() != 0 {
        Some("only root can have another store at /nix")
    } else if program("sshd").is_none() || program("ssh-keygen").is_none() {
        Some("there is no sshd (Debian: openssh-server), or no ssh-keygen")
    } else if in_store("nix-store") || in_store("bash") {
        Some("Nix itself is in the store that the other machine cannot see")
    } else {
        None
    }
}

impl Machine {
    /// Starts it, or says why this test is skipped.
    pub fn start() -> Option<Self> {
        if let Some(reason) = missing() {
            eprintln!("SKIPPED: {reason}");
            return None;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        for name in ["nix", "etc"] {
            fs::create_dir(path.join(name)).expect("made");
        }
        for key in ["host", "user"] {
            let file = path.join(key);
            succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file));
        }
        fs::write(path.join("name"), NAME).expect("written");
        let config =
            format!("{}\nextra-sandbox-paths = /machine={}\n", support::nix_config(), path.join("name").display());
        fs::write(path.join("etc/nix.conf"), config).expect("written");
        let users = fs::read_to_string("/etc/passwd").expect("users");
        fs::write(path.join("passwd"), format!("{users}sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"))
            .expect("written");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let d = path.display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {d}/host\nAuthorizedKeysFile {d}/user.pub\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nSetEnv NIX_CONF_DIR={d}/etc NIX_REMOTE=local\n"
        );
        fs::write(path.join("sshd_config"), config).expect("written");
        let daemon = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "bash", "-c", MACHINE, "machine"])
            .arg(path)
            .arg(program("sshd").expect("looked for before"))
            .env("LD_LIBRARY_PATH", fetched().join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH)))
            .stdin(Stdio::null())
            .stderr(fs::File::create(path.join("log")).expect("a log"))
            .spawn()
            .expect("unshare starts");
        let mut machine = Self { directory, port, daemon };
        machine.wait();
        Some(machine)
    }

    /// Waits until it answers.
    fn wait(&mut self) {
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            assert!(self.daemon.try_wait().expect("ours").is_none(), "sshd ended: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("sshd does not answer: {}", self.log());
    }

    /// A line more for its Nix.
    pub fn configure(&self, line: &str) {
        let file = self.directory.path().join("etc/nix.conf");
        let before = fs::read_to_string(&file).expect("a configuration");
        fs::write(file, format!("{before}{line}\n")).expect("written");
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Options for `ssh` but for the host's name.
    pub fn ssh(&self) -> String {
        self.ssh_to(self.port, "user")
    }

    /// The same for a port where it may not be, and a key that it may not know: `host` is one.
    pub fn ssh_to(&self, port: u16, key: &str) -> String {
        let d = self.directory.path().display();
        format!(
            "-p {port} -i {d}/{key} -F none -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile={d}/known -o LogLevel=ERROR"
        )
    }

    /// Whether its store has this path.
    pub fn has(&self, path: &str) -> bool {
        let ask = self.command(&["nix-store", "--check-validity", path]).output().expect("ssh runs");
        ask.status.success()
    }

    /// A command over there, as root.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        command.args(self.ssh().split_whitespace()).arg("root@127.0.0.1").args(words).stdin(Stdio::null());
        command
    }
}
