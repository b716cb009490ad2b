//! A person of a team: a checkout, a home, habits, and where root can make it a machine with a host's name and a store.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{nix_config, succeed, text};

/// Enters the machine: its store at `/nix`, its name, the person's umask and id. Its arguments: the store's directory, the
/// name, the umask, the id, the command.
const ENTER: &str = r#"set -e
    mount --bind "$1" /nix
    hostname "$2"
    umask "$3"
    id=$4
    shift 4
    if [ "$id" = 0 ]; then exec "$@"; fi
    exec setpriv --reuid "$id" --regid "$id" --clear-groups "$@""#;

/// What tells one person from another.
pub struct Habits {
    pub name: &'static str,
    pub host: &'static str,
    pub user: u32,
    /// The directory of the checkout, below the home.
    pub checkout: &'static str,
    pub umask: &'static str,
    pub variables: &'static [(&'static str, &'static str)],
    /// More lines of Nix configuration.
    pub settings: &'static str,
}

/// A person; what is theirs goes with this.
pub struct Person {
    pub habits: Habits,
    directory: tempfile::TempDir,
    /// The directory that stands at `/nix`.
    machine: Option<PathBuf>,
}

/// What keeps a person from having a machine here; nothing where nothing does.
pub fn no_machines() -> Option<&'static str> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let mut nix = std::env::split_paths(&search).map(|directory| directory.join("nix-store"));
    let nix = nix.find_map(|program| program.canonicalize().ok());
    if fs::metadata("/proc/self").expect("/proc").uid() != 0 {
        Some("only root can have another store at /nix and another host name")
    } else if nix.is_none_or(|program| program.starts_with("/nix")) {
        Some("Nix itself is in the store that another machine cannot see")
    } else {
        None
    }
}

impl Person {
    pub fn new(habits: Habits) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        // Another user may not look into the folder that the tests are built in.
        fs::copy(env!("CARGO_BIN_EXE_phasesplit"), directory.path().join("phasesplit")).expect("a copy");
        if let Some(engine) = std::env::var_os("PHASESPLIT_STATE") {
            fs::copy(engine, directory.path().join("phasesplit-state")).expect("a copy");
        }
        let machine = no_machines().is_none().then(|| directory.path().join("nix"));
        for path in [&directory.path().join(habits.name), &directory.path().join("temporary")] {
            fs::create_dir(path).expect("made");
        }
        if let Some(machine) = &machine {
            fs::create_dir(machine).expect("made");
        }
        let person = Self { habits, directory, machine };
        person.own();
        person
    }

    /// Makes all that is the person's theirs, as far as there are other users here.
    pub fn own(&self) {
        if self.machine.is_some() {
            let user = format!("{0}:{0}", self.habits.user);
            succeed(Command::new("chown").args(["-R", &user]).arg(self.directory.path()));
        }
    }

    pub fn home(&self) -> PathBuf {
        self.directory.path().join(self.habits.name)
    }

    pub fn checkout(&self) -> PathBuf {
        self.home().join(self.habits.checkout)
    }

    /// Where the file at a store path is seen from outside the machine.
    pub fn outside(&self, path: &str) -> PathBuf {
        match &self.machine {
            Some(machine) => machine.join(path.trim_start_matches("/nix/")),
            None => path.into(),
        }
    }

    /// `phasesplit` with the person's settings, in their checkout.
    pub fn phasesplit(&self, words: &[&str]) -> Command {
        let Habits { name, host, user, umask, variables, settings, .. } = self.habits;
        let mut command = if let Some(machine) = &self.machine {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--uts", "--propagation", "private", "bash", "-c", ENTER, "machine"]);
            command.arg(machine).args([host, umask, &user.to_string()]);
            command
        } else {
            let mut command = Command::new("bash");
            command.args(["-c", "umask \"$1\"; shift; exec \"$@\"", "habits", umask]);
            command
        };
        command.arg(self.directory.path().join("phasesplit"));
        command
            .args(words)
            .current_dir(self.checkout())
            .env_remove("NIX_PATH")
            .env_remove("PHASESPLIT_STATE")
            .env("NIX_CONFIG", format!("{}\n{settings}\n", nix_config()))
            .env("NO_COLOR", "1")
            .env("HOME", self.home())
            .env("XDG_STATE_HOME", self.home().join("state"))
            .env("XDG_CACHE_HOME", self.home().join("cache"))
            .env("TMPDIR", self.directory.path().join("temporary"))
            .env("USER", name)
            .env("LOGNAME", name)
            .env("HOSTNAME", host)
            .envs(variables.iter().copied());
        if self.machine.is_some() {
            command.env("NIX_REMOTE", "local");
        }
        command
    }

    /// The stages of a package, in order: name, path of the state, derivation.
    pub fn plan(&self, package: &str) -> Vec<[String; 3]> {
        let output = succeed(&mut self.phasesplit(&["plan", package, "--pkgs", "host", "--offline", "--json"]));
        let plan: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let stages = plan["stages"].as_array().expect("stages").iter();
        stages
            .map(|stage| ["stage", "path", "drv"].map(|key| stage[key].as_str().expect("a word").to_owned()))
            .collect()
    }

    /// The text that `gen` writes beside the package.
    pub fn split(&self, package: &str) -> String {
        let file = Path::new(package).with_file_name("split.nix");
        let name = file.to_str().expect("text");
        succeed(&mut self.phasesplit(&["gen", package, "--pkgs", "host", "-o", name]));
        let file = self.checkout().join(file);
        let split = fs::read_to_string(&file).expect("the file");
        fs::remove_file(file).expect("ours");
        split
    }

    /// All that the derivations are made from, by its path: their texts, those of the derivations that they need, and the files
    /// of the sources.
    pub fn made_from(&self, drvs: impl IntoIterator<Item = String>) -> BTreeMap<String, Vec<u8>> {
        let mut contents = BTreeMap::new();
        let mut todo: Vec<String> = drvs.into_iter().collect();
        while let Some(path) = todo.pop() {
            let outside = self.outside(&path);
            if contents.contains_key(&path) || !outside.exists() {
                continue;
            }
            let mut content = Vec::new();
            read_all(&outside, &mut content);
            if Path::new(&path).extension().is_some_and(|extension| extension == "drv") {
                let derivation = text(&content);
                let named = derivation.split('"').filter(|word| word.starts_with("/nix/store/"));
                // A file in a source, too, is in the source.
                todo.extend(named.map(|word| word.split('/').take(4).collect::<Vec<_>>().join("/")));
            }
            contents.insert(path, content);
        }
        contents
    }

    /// What a package's derivations, and all that they are made from, have in them that is only this person's.
    pub fn leaks(&self, package: &str) -> Vec<String> {
        let plan = self.plan(package);
        let contents = self.made_from(plan.iter().map(|[_, _, drv]| drv.clone()));
        assert!(plan.iter().all(|[_, _, drv]| contents.contains_key(drv)), "all derivations are there");
        assert!(contents.len() > plan.len() + 2, "with what they are made from: {:?}", contents.keys());
        let mut leaks = Vec::new();
        for secret in self.secrets() {
            let has = |content: &[u8]| memchr::memmem::find(content, secret.as_bytes()).is_some();
            leaks.extend(
                contents.iter().filter(|(_, content)| has(content)).map(|(path, _)| format!("{secret} in {path}")),
            );
            if self.split(package).contains(&secret) {
                leaks.push(format!("{secret} in split.nix"));
            }
        }
        leaks
    }

    /// What none of this person's derivations may have in it.
    fn secrets(&self) -> Vec<String> {
        let path = |path: &Path| path.display().to_string();
        let mut secrets = vec![
            self.habits.name.to_owned(),
            self.habits.host.to_owned(),
            path(&self.home()),
            path(&self.checkout()),
            path(self.directory.path()),
        ];
        secrets.extend(self.habits.variables.iter().map(|(_, value)| (*value).to_owned()));
        secrets.extend(std::env::var("USER").ok().filter(|user| user.len() > 4));
        secrets
    }
}

/// The bytes of a file or of all files in a directory, and the names of these.
fn read_all(path: &Path, content: &mut Vec<u8>) {
    let kind = path.symlink_metadata().expect("it is there").file_type();
    if kind.is_dir() {
        for entry in fs::read_dir(path).expect("a directory").flatten() {
            content.extend_from_slice(entry.file_name().as_encoded_bytes());
            read_all(&entry.path(), content);
        }
    } else if kind.is_symlink() {
        content.extend_from_slice(fs::read_link(path).expect("a link").as_os_str().as_encoded_bytes());
    } else {
        content.extend(fs::read(path).expect("a file"));
    }
}
