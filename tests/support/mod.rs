//! What the tests that build share: a project directory, Nix with the settings of `scripts/nix-env.sh`, and the list of
//! derivations a build really built.
#![allow(dead_code, missing_docs, clippy::missing_panics_doc)] // each test binary uses its part

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The `NIX_CONFIG` that `scripts/nix-env.sh` sets: sandbox on, no substituters, nothing of the user's touched.
pub fn nix_config() -> &'static str {
    static CONFIG: OnceLock<String> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let output = Command::new("bash")
            .args(["-c", ". scripts/nix-env.sh >/dev/null && printf %s \"$NIX_CONFIG\""])
            .current_dir(root())
            .output()
            .expect("bash runs");
        assert!(output.status.success(), "scripts/nix-env.sh failed: {}", text(&output.stderr));
        text(&output.stdout)
    })
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A word no earlier run used, so that this run's derivations are not in the store yet.
pub fn salt() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    format!("{}-{}", now.as_nanos(), std::process::id())
}

/// A command with the tests' Nix settings.
pub fn command(program: impl AsRef<std::ffi::OsStr>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(directory)
        .env("NIX_CONFIG", nix_config())
        .stdin(Stdio::null())
        .env_remove("NIX_PATH")
        .env("NO_COLOR", "1");
    command
}

/// `phasesplit` as a user runs it.
pub fn phasesplit(directory: &Path) -> Command {
    command(env!("CARGO_BIN_EXE_phasesplit"), directory)
}

/// Runs a command that must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} did not start: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed\n--- stdout\n{}\n--- stderr\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

/// A phase that waits until the test lets it go on, however slow the machine is. Builds see the gate's directory at `/gate`.
pub struct Gate(tempfile::TempDir);

impl Gate {
    /// What the phase runs. It ends by itself after ten minutes, so that a test which failed leaves nothing behind.
    pub const WAIT: &str = "for ((i = 0; i < 6000; i++)); do [ ! -e /gate/open ] || break; sleep 0.1; done";

    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Has the builds that this command starts see the gate.
    pub fn shown_to<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("NIX_CONFIG", format!("{}\nextra-sandbox-paths = /gate={}", nix_config(), self.0.path().display()))
    }

    pub fn open(&self) {
        fs::write(self.0.path().join("open"), "").expect("written");
    }
}

/// A directory with a `pkg.nix`, its `split.nix`, and what it depends on beside them.
pub struct Project {
    directory: tempfile::TempDir,
    /// More lines of Nix configuration for the builds, such as `sandbox = false`.
    pub settings: String,
}

impl Project {
    /// Writes `pkg.nix` with this text.
    pub fn new(package: &str) -> Self {
        let project = Self { directory: tempfile::tempdir().expect("a temporary directory"), settings: String::new() };
        project.write(package);
        project
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn write(&self, package: &str) {
        fs::write(self.path().join("pkg.nix"), package).expect("pkg.nix is written");
    }

    fn nix(&self, program: &str) -> Command {
        let mut command = command(program, self.path());
        command.env("NIX_CONFIG", format!("{}\n{}", nix_config(), self.settings));
        command
    }

    /// `phasesplit gen` into split.nix.
    pub fn generate(&self, options: &[&str]) {
        let output = succeed(phasesplit(self.path()).args(["gen", "pkg.nix", "--pkgs", "host"]).args(options));
        fs::write(self.path().join("split.nix"), output.stdout).expect("split.nix is written");
    }

    /// The chain's derivations in order: stage name and `.drv` path.
    pub fn chain(&self) -> Vec<(String, String)> {
        let output = succeed(self.nix("nix-instantiate").args(["split.nix", "-A", "chain"]));
        // A derivation whose first output is not `out` is printed with that output's name.
        let drvs = text(&output.stdout);
        drvs.lines()
            .map(|line| line.split('!').next().unwrap_or(line))
            .map(|line| (stage_of(line).to_owned(), line.to_owned()))
            .collect()
    }

    /// Builds an attribute of split.nix: the names of the stages that were really built, in the order of the chain,
    /// and the log.
    pub fn build(&self, attribute: &str) -> (Vec<String>, String) {
        let chain = self.chain();
        let drv = succeed(self.nix("nix-instantiate").args(["split.nix", "-A", attribute]));
        let drv = text(&drv.stdout).trim().to_owned();
        let output = succeed(self.nix("nix-store").args(["--realise", &drv]));
        let log = text(&output.stderr);
        let built: Vec<&str> =
            log.lines().filter_map(|line| line.strip_prefix("building '")?.strip_suffix("'...")).collect();
        let stages =
            chain.iter().filter(|(_, path)| built.contains(&path.as_str())).map(|(stage, _)| stage.clone()).collect();
        (stages, log)
    }

    /// A build that must fail: its log.
    pub fn build_fails(&self, attribute: &str) -> String {
        let output = self
            .nix("nix-build")
            .args(["split.nix", "-A", attribute, "--no-out-link"])
            .output()
            .expect("nix-build starts");
        assert!(!output.status.success(), "the build of {attribute} should fail");
        text(&output.stderr)
    }

    /// The outputs of an attribute of split.nix, built if they are not: name and path.
    pub fn outputs(&self, attribute: &str) -> Vec<(String, PathBuf)> {
        let names = succeed(self.nix("nix-instantiate").args([
            "--eval",
            "--strict",
            "--json",
            "split.nix",
            "-A",
            &format!("{attribute}.outputs"),
        ]));
        let names: Vec<String> = serde_json::from_slice(&names.stdout).expect("a list of outputs");
        names
            .into_iter()
            .map(|name| {
                let path = succeed(self.nix("nix-build").args([
                    "split.nix",
                    "-A",
                    &format!("{attribute}.{name}"),
                    "--no-out-link",
                ]));
                let path = PathBuf::from(text(&path.stdout).trim());
                (name, path)
            })
            .collect()
    }

    /// Builds split and unsplit and compares them; prints what was excused.
    pub fn assert_equal(&self) {
        let report = phasesplit::compare::compare_packages(&self.outputs("phases.finish"), &self.outputs("unsplit"))
            .expect("both can be read");
        eprintln!("{report}");
        assert!(report.is_equal(), "split and unsplit differ:\n{report}");
    }
}

/// "…-phase-build.drv" -> "build"; the package's own name -> "finish".
fn stage_of(drv: &str) -> &str {
    drv.trim_end_matches(".drv").rsplit_once("-phase-").map_or("finish", |(_, stage)| stage)
}

/// The packages of `tests/nix/packages`, as text for a `pkg.nix` elsewhere.
pub fn package(name: &str, arguments: &str) -> String {
    format!("{{ callPackage }}: callPackage {}/tests/nix/packages/{name}.nix {{ {arguments} }}\n", root().display())
}

/// Values by stage, for messages.
pub fn by_stage(chain: &[(String, String)]) -> BTreeMap<&str, &str> {
    chain.iter().map(|(stage, drv)| (stage.as_str(), drv.as_str())).collect()
}
