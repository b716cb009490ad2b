//! A build on another machine: what a failed stage left there comes back with `--keep-failed`, and the shell stands in it.
//!
//! The other machine is this one with another store: `sshd` in a mount namespace that has a directory of its own at
//! `/nix`, reached over the loopback interface with keys of the test's. Only root can make that.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::keep_failed::{package, report};
use crate::support::{self, Project, phasesplit, salt, succeed, text};

/// What only builds over there can read, at `/machine`.
const NAME: &str = "the other machine";

/// Starts the daemon where nothing of the machine's store is seen. Its arguments: the machine's directory and sshd, which
/// wants a user and a directory of its own.
const MACHINE: &str = r#"set -e
    mount --bind "$1/nix" /nix
    mount --bind "$1/passwd" /etc/passwd
    mount -t tmpfs none /run
    mkdir /run/sshd
    exec "$2" -D -e -f "$1/sshd_config""#;

/// The other machine; it goes with this.
struct Machine {
    directory: tempfile::TempDir,
    port: u16,
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
    fn start() -> Option<Self> {
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

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Options for `ssh` but for the host's name.
    fn ssh(&self) -> String {
        let (port, d) = (self.port, self.directory.path().display());
        format!(
            "-p {port} -i {d}/user -F none -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no \
                 -o UserKnownHostsFile={d}/known -o LogLevel=ERROR"
        )
    }

    /// `phasesplit` as a user runs it whose Nix builds over there alone, by this protocol.
    fn phasesplit(&self, project: &Project, protocol: &str) -> Command {
        let mut command = phasesplit(project.path());
        let builders = format!("builders = {protocol}://root@127.0.0.1 x86_64-linux - 1 1 - - -");
        command
            .env("NIX_CONFIG", format!("{}\nmax-jobs = 0\n{builders}\n", support::nix_config()))
            .env("NIX_SSHOPTS", self.ssh())
            .env("XDG_STATE_HOME", project.path().join("state"));
        command
    }

    /// Whether its store has this path.
    fn has(&self, path: &str) -> bool {
        let ssh = self.ssh();
        let ask = Command::new("ssh")
            .args(ssh.split_whitespace())
            .args(["root@127.0.0.1", "nix-store", "--check-validity", path])
            .stdin(Stdio::null())
            .output()
            .expect("ssh runs");
        ask.status.success()
    }
}

fn failed_there_and_looked_at_here(protocol: &str) {
    let Some(machine) = Machine::start() else { return };
    let project = Project::new(&package(
        &salt(),
        r#"outputs = [ "out" "doc" ];
        buildPhase = "cp /machine where";
        installPhase = "mkdir -p $out/bin $doc; cp where $out/bin/where; half=done; echo about to fail; exit 4";"#,
    ));
    let run = |words: &[&str]| {
        let mut command = machine.phasesplit(&project, protocol);
        command.args(words).output().expect("phasesplit runs")
    };

    let build = ["build", "pkg.nix", "--pkgs", "host", "--no-link", "--json"];
    let output = run(&[&build[..], &["--keep-failed"]].concat());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}\n{}", machine.log());
    let report = report(&output);
    let failure = &report["failure"];
    assert_eq!(failure["stage"], "install", "{said}");
    let kept = failure["kept"]["path"].as_str().unwrap_or_else(|| panic!("not kept:\n{said}"));
    assert!(said.contains("about to fail") && said.contains("exit code 4"), "{said}");
    let on = format!("{protocol}://root@127.0.0.1");
    assert_eq!((failure["machine"].as_str(), &failure["lost"]), (Some(on.as_str()), &Value::Null), "{failure}");
    assert!(said.contains(&format!("stage install: started on {on}\n")), "{said}");
    assert!(Path::new(kept).join("info.json").is_file(), "it came back");
    assert!(machine.has(kept), "it was made over there:\n{}", machine.log());
    assert!(!machine.has("/nix/store/00000000000000000000000000000000-nothing"), "that question can be answered no");
    for row in report["stages"].as_array().expect("rows") {
        if let Some(path) = row["path"].as_str().filter(|_| row["outcome"] == "built") {
            assert!(machine.has(path), "{row}");
        }
        let ran = ["built", "failed"].iter().any(|outcome| row["outcome"] == *outcome);
        assert_eq!(row["machine"].as_str(), ran.then_some(format!("{protocol}://root@127.0.0.1").as_str()), "{row}");
    }

    let point = "pkg.nix@install";
    let options = ["--pkgs", "host", "--failed"];
    let state = |word: &str, words: &[&str]| {
        let output = run(&[&["state", word, point], &options[..], words].concat());
        assert!(output.status.success(), "state {word}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let names = state("ls", &["--names"]);
    for name in ["where", "outputs/out/bin/where", "outputs/doc"] {
        assert!(names.lines().any(|line| line.ends_with(name)), "no {name} in\n{names}");
    }
    assert!(state("log", &[]).contains("about to fail"));
    let info: Value = serde_json::from_str(&state("info", &["--json"])).expect("JSON");
    assert_eq!(info["path"], kept);

    let script = "cat where; echo; echo \"$half\"; phases; rm -r \"$out\" \"$doc\"
        installPhase='mkdir -p $out; cp where $out/mended'; runPhase installPhase; cat \"$out/mended\"";
    let output = run(&[&["shell", point], &options[..], &["--", script]].concat());
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(said.starts_with(&format!("{NAME}\ndone\n")), "{said}");
    assert!(said.contains("failed installPhase\n") && said.ends_with(NAME), "{said}");
    // The very same failure is not made twice.
    let again = run(&[&build[..], &["--keep-failed"]].concat());
    let again = crate::keep_failed::report(&again);
    assert_eq!(again["failure"]["kept"]["path"], *kept);
    assert_eq!(again["failure"]["kept"]["reused"], true);
}

#[test]
fn what_failed_there_is_looked_at_here() {
    failed_there_and_looked_at_here("ssh-ng");
}

#[test]
fn by_the_older_protocol() {
    failed_there_and_looked_at_here("ssh");
}
