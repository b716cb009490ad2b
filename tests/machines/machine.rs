//! Machines to build on: this system, or one that `scripts/machines.sh` made, with a store and users of their own.
//!
//! A machine is a process that `start.sh` made the first of its namespaces; killing it kills all that runs there, as a power
//! cut does. They reach each other over the loopback interface by `ssh NAME`, as root and without a password. Every one builds
//! with the toolchain of this system. Must not know what is built.

use std::ffi::OsStr;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{root, succeed, text};

/// The system of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// This one, with its Nix.
    Here,
    /// Nix 2.26.
    Trixie,
    /// Nix 2.34.
    Sid,
}

impl System {
    fn root(self) -> PathBuf {
        match self {
            Self::Here => "/".into(),
            Self::Trixie => root().join("target/machines/trixie"),
            Self::Sid => root().join("target/machines/sid"),
        }
    }
}

/// Machines that can reach each other.
pub struct Machines {
    machines: Vec<Machine>,
}

/// One machine; it goes with this.
pub struct Machine {
    pub name: &'static str,
    system: System,
    own: tempfile::TempDir,
    port: u16,
    hidden: Vec<PathBuf>,
    /// `unshare`, whose end is the machine's.
    process: Option<Child>,
}

/// Why there can be no machines here.
fn missing() -> Option<String> {
    if fs::metadata("/proc/self").expect("/proc").uid() != 0 {
        return Some("only root can have machines".to_owned());
    }
    let unmade = [System::Trixie, System::Sid].into_iter().find(|system| !system.root().is_dir())?;
    Some(format!("{} is not made; as root: scripts/machines.sh", unmade.root().display()))
}

impl Machines {
    /// Starts machines, or says why the test is skipped.
    pub fn start(wanted: &[(&'static str, System)]) -> Option<Self> {
        Self::start_without(wanted, &[])
    }

    /// As [`Machines::start`], and of each name what that machine's toolchain lacks.
    pub fn start_without(wanted: &[(&'static str, System)], hidden: &[(&str, &[PathBuf])]) -> Option<Self> {
        if let Some(reason) = missing() {
            eprintln!("SKIPPED: {reason}");
            return None;
        }
        let mut machines: Vec<Machine> = wanted.iter().map(|&(name, system)| Machine::new(name, system)).collect();
        for (name, files) in hidden {
            let machine = machines.iter_mut().find(|machine| machine.name == *name).expect("a machine of that name");
            machine.hidden = files.to_vec();
        }
        let key = tempfile::tempdir().expect("a directory");
        let key = key.path().join("id_ed25519");
        succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        let others: Vec<String> = machines
            .iter()
            .map(|machine| format!("Host {}\n  HostName 127.0.0.1\n  Port {}\n", machine.name, machine.port))
            .collect();
        let others = others.concat();
        for machine in &mut machines {
            machine.furnish(&key, &others);
            machine.boot();
        }
        Some(Self { machines })
    }

    pub fn get(&self, name: &str) -> &Machine {
        self.machines.iter().find(|machine| machine.name == name).expect("a machine of that name")
    }

    /// Takes one out of them, to kill it.
    pub fn take(&mut self, name: &str) -> Machine {
        let at = self.machines.iter().position(|machine| machine.name == name).expect("a machine of that name");
        self.machines.remove(at)
    }
}

impl Machine {
    fn new(name: &'static str, system: System) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let own = tempfile::tempdir().expect("a directory");
        Self { name, system, own, port, hidden: Vec::new(), process: None }
    }

    /// Fills what is the machine's own: an empty store, its configuration, its users' keys.
    fn furnish(&self, key: &Path, others: &str) {
        for directory in ["system", "home", "nix", "root/.ssh", "srv", "tools"] {
            fs::create_dir_all(self.own(directory)).expect("made");
        }
        // To others than root too: users look in here.
        fs::set_permissions(self.own.path(), fs::Permissions::from_mode(0o755)).expect("set");
        succeed(Command::new("cp").arg("-a").arg(self.system.root().join("etc")).arg(self.own("etc")));
        self.write("etc/hostname", self.name);
        fs::create_dir_all(self.own("etc/nix")).expect("made");
        let toolchain: Vec<String> = ["bin", "lib", "lib64", "usr", "etc/alternatives"]
            .iter()
            .filter(|path| Path::new("/").join(path).exists())
            .map(|path| format!("/{path}=/run/toolchain/{path}"))
            .collect();
        self.write(
            "etc/nix/nix.conf",
            &format!(
                "sandbox = true\nsandbox-fallback = false\nsandbox-paths = {}\nbuild-users-group =\n\
                 substituters =\nexperimental-features = nix-command\nconnect-timeout = 5\n",
                toolchain.join(" ")
            ),
        );
        let secret = self.own("root/.ssh/id_ed25519");
        fs::copy(key, &secret).expect("copied");
        fs::copy(key.with_extension("pub"), self.own("root/.ssh/authorized_keys")).expect("copied");
        // Debian's own configuration reads this directory.
        fs::create_dir_all(self.own("etc/ssh/ssh_config.d")).expect("made");
        self.write(
            "etc/ssh/ssh_config.d/machines.conf",
            &format!("{others}Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n  BatchMode yes\n"),
        );
        if self.system != System::Here {
            self.write(
                "etc/ssh/machine",
                &format!(
                    "Port {}\nListenAddress 127.0.0.1\nHostKey /root/.ssh/id_ed25519\nPidFile none\nStrictModes no\n\
                     UsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n",
                    self.port
                ),
            );
        }
        let mut programs = vec![("phasesplit", PathBuf::from(env!("CARGO_BIN_EXE_phasesplit")))];
        // Copied: what is linked to may lie where the machine has something else.
        programs.extend(std::env::var_os("PHASESPLIT_STATE").map(|engine| ("phasesplit-state", engine.into())));
        for (name, program) in programs {
            fs::copy(program, self.own("tools").join(name)).expect("copied");
        }
        succeed(Command::new("cp").arg("-a").arg(root().join("tests/nix")).arg(self.own("srv/packages")));
    }

    /// Starts it.
    pub fn boot(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.own("log")).expect("a log");
        // However this process ends, the machine ends with it.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"])
            .args(["--propagation", "private", "bash"])
            .arg(root().join("tests/machines/start.sh"))
            .args([&self.system.root(), self.own.path(), &self.own("tools")])
            .args(&self.hidden)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("setpriv starts");
        self.process = Some(process);
        for _ in 0..400 {
            let ready = self.first().is_some_and(|first| Path::new(&format!("/proc/{first}/root/run/ready")).exists());
            if ready && (self.system == System::Here || TcpStream::connect(("127.0.0.1", self.port)).is_ok()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("{} does not start: {}", self.name, self.log());
    }

    /// Cuts its power: nothing that runs there goes on, and it answers no more.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// The machine's first process, as this system numbers it.
    fn first(&self) -> Option<u32> {
        let parent = self.process.as_ref()?.id();
        fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?.trim().parse().ok()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.own("log")).unwrap_or_default()
    }

    /// Where a path of the machine's own lies: `nix`, `etc`, `home`, `root`, `srv`.
    pub fn own(&self, path: &str) -> PathBuf {
        self.own.path().join(path.trim_start_matches('/'))
    }

    /// Makes a pair of keys for a cache and gives the public one; the secret one is `/root/NAME.sec`.
    pub fn key(&self, name: &str) -> String {
        let files = ["sec", "pub"].map(|kind| format!("/root/{name}.{kind}"));
        self.run(&["nix-store", "--generate-binary-cache-key", name, &files[0], &files[1]]);
        fs::read_to_string(self.own(&files[1])).expect("the public key").trim().to_owned()
    }

    /// Has its Nix fetch from this cache what was signed with this key.
    pub fn trust(&self, url: &str, key: &str) {
        self.configure(&format!("extra-substituters = {url}\nextra-trusted-public-keys = {key}"));
    }

    /// Writes a file of the machine's own.
    pub fn write(&self, path: &str, content: &str) {
        let file = self.own(path);
        fs::create_dir_all(file.parent().expect("in a directory")).expect("made");
        fs::write(file, content).expect("written");
    }

    /// A line more for its Nix.
    pub fn configure(&self, line: &str) {
        let file = self.own("etc/nix/nix.conf");
        let before = fs::read_to_string(&file).expect("a configuration");
        fs::write(file, format!("{before}{line}\n")).expect("written");
    }

    /// A command there, in root's home.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let first = self.first().unwrap_or_else(|| panic!("{} is not on", self.name));
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target",
                &first.to_string(),
                "--mount",
                "--pid",
                "--uts",
                "--ipc",
                "--root",
                "--wd",
                "env",
                "-i",
                "--chdir=/root",
            ])
            .args(["HOME=/root", "USER=root", "NO_COLOR=1", "PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
        if std::env::var_os("PHASESPLIT_STATE").is_some() {
            command.arg("PHASESPLIT_STATE=/run/bin/phasesplit-state");
        }
        command.arg(program).stdin(Stdio::null());
        command
    }

    /// A command there that must succeed: what it writes.
    pub fn run(&self, words: &[&str]) -> String {
        text(&succeed(self.command(words[0]).args(&words[1..])).stdout)
    }

    /// `phasesplit build --json` there: how it ended, the report, and the talk.
    pub fn build(&self, words: &[&str]) -> Built {
        self.build_with("", words)
    }

    /// As [`Machine::build`], with more lines of Nix configuration.
    pub fn build_with(&self, configuration: &str, words: &[&str]) -> Built {
        Built::of(&self.build_command(configuration, words).output().expect("nsenter runs"))
    }

    /// As [`Machine::build_with`]; `meanwhile` runs once the talk has `words`.
    pub fn build_until(&self, configuration: &str, words: &[&str], said: &str, meanwhile: impl FnOnce()) -> Built {
        let mut command = self.build_command(configuration, words);
        let talk = tempfile::NamedTempFile::new().expect("a file");
        let child =
            command.stdout(Stdio::piped()).stderr(talk.reopen().expect("that file")).spawn().expect("nsenter runs");
        let talk = || fs::read_to_string(talk.path()).unwrap_or_default();
        let mut waits = 0;
        while !talk().contains(said) {
            assert!(waits < 1200, "never said: {said}\n{}", talk());
            waits += 1;
            std::thread::sleep(Duration::from_millis(50));
        }
        meanwhile();
        let mut output = child.wait_with_output().expect("it ends");
        output.stderr = talk().into_bytes();
        Built::of(&output)
    }

    fn build_command(&self, configuration: &str, words: &[&str]) -> Command {
        let mut command = self.command("env");
        command.arg(format!("NIX_CONFIG={configuration}")).args([
            "phasesplit",
            "build",
            "--pkgs",
            "host",
            "--no-link",
            "--json",
        ]);
        command.args(words);
        command
    }

    /// Its store must be whole: each valid path is there and has the bytes it was registered with.
    pub fn assert_whole(&self) {
        let said = succeed(self.command("nix-store").args(["--verify", "--check-contents"]));
        let said = text(&said.stderr);
        assert!(!said.contains("error") && !said.contains("disappeared"), "{said}");
    }

    /// Whether its store has this path.
    pub fn has(&self, path: &str) -> bool {
        self.command("nix-store").args(["--check-validity", path]).output().expect("nsenter runs").status.success()
    }

    /// A file as this system sees it: `/nix/store/…` of the machine.
    pub fn in_store(&self, path: &str) -> PathBuf {
        self.own("nix").join(path.strip_prefix("/nix/").expect("a store path"))
    }

    /// The derivations that were built on it, by their names: those it has logs of.
    pub fn logs(&self) -> Vec<String> {
        let list = |directory: &Path| fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut names: Vec<String> = list(&self.own("nix/var/log/nix/drvs"))
            .flat_map(|directory| list(&directory).collect::<Vec<_>>())
            .filter_map(|log| Some(log.file_name()?.to_str()?.split_once('-')?.1.split(".drv").next()?.to_owned()))
            .collect();
        names.sort();
        names
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- what {} said\n{}", self.name, self.log());
        }
    }
}

/// What came of a build.
pub struct Built {
    pub code: Option<i32>,
    /// Null where it did not come to one.
    pub report: Value,
    pub talk: String,
}

impl Built {
    pub fn of(output: &Output) -> Self {
        let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Self { code: output.status.code(), report, talk: text(&output.stderr) }
    }

    /// It must have succeeded.
    pub fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.talk, self.report);
        self
    }

    fn stages(&self) -> &[Value] {
        self.report["stages"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The stages that were built now, each with its machine; `here` for that of the client.
    pub fn built(&self) -> Vec<(&str, &str)> {
        let built = self.stages().iter().filter(|row| row["outcome"] == "built");
        built.map(|row| (row["stage"].as_str().expect("a name"), row["machine"].as_str().unwrap_or("here"))).collect()
    }

    /// The names of the stages with this outcome.
    pub fn with(&self, outcome: &str) -> Vec<&str> {
        let rows = self.stages().iter().filter(|row| row["outcome"] == outcome);
        rows.map(|row| row["stage"].as_str().expect("a name")).collect()
    }

    /// The path of a stage's state.
    pub fn path(&self, stage: &str) -> &str {
        let row = self.stages().iter().find(|row| row["stage"] == stage);
        row.and_then(|row| row["path"].as_str()).unwrap_or_else(|| panic!("no stage {stage}: {}", self.report))
    }

    /// The paths of all stages' states, in order.
    pub fn paths(&self) -> Vec<&str> {
        self.stages().iter().map(|row| row["path"].as_str().expect("a path")).collect()
    }
}
