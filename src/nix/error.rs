//! What can go wrong between phasesplit and Nix, and what a person does about it.
//!
//! Nix reports everything as text on standard error with exit status 1, so a cause is read from
//! that text. Which wordings were seen on a real run and which are only expected is marked in the
//! tests below. A text nobody here knows stays [`Cause::Failed`] with Nix's own words, which is
//! always safe.

use std::fmt;

/// The oldest Nix that phasesplit was run with; an older one is named as the cause of a failure.
pub const OLDEST_NIX: (u64, u64) = (2, 8);

/// A failed operation on Nix: what was tried, with which command line, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {cause}")]
pub struct NixError {
    /// What phasesplit wanted, as a phrase: `cannot add the state engine to the store`.
    pub operation: String,
    /// The command line, quoted so that it can be pasted into a shell.
    pub command: String,
    /// Why it failed.
    #[source]
    pub cause: Cause,
}

/// Why an operation failed. `detail` fields hold Nix's own words without colour codes.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The program is not on `PATH`.
    #[error("`{program}` is not installed")]
    Missing {
        /// The program's name.
        program: &'static str,
    },
    /// Nix is older than [`OLDEST_NIX`].
    #[error("Nix {found} is too old; {}.{} or newer is needed", OLDEST_NIX.0, OLDEST_NIX.1)]
    TooOld {
        /// The version Nix gave for itself.
        found: String,
    },
    /// The daemon or a remote store does not answer.
    #[error("the Nix store cannot be reached: {detail}")]
    Unreachable {
        /// Nix's words.
        detail: String,
    },
    /// Nothing may be built here, and no builder that Nix knows takes the build.
    #[error("no builder takes the build: {detail}")]
    NoBuilder {
        /// Nix's words.
        detail: String,
    },
    /// A binary cache had something, and then did not give it.
    #[error("a binary cache failed: {detail}")]
    Cache {
        /// Nix's words.
        detail: String,
    },
    /// The user may not write to the store or talk to its daemon.
    #[error("no permission to use the Nix store: {detail}")]
    Denied {
        /// Nix's words.
        detail: String,
    },
    /// Another process holds the database or the store's big lock.
    #[error("Nix's database is locked by another process: {detail}")]
    Locked {
        /// Nix's words, or how long it was silent.
        detail: String,
    },
    /// An experimental feature that the input asks for is off.
    #[error("the experimental feature `{feature}` is off")]
    Feature {
        /// The feature's name as `experimental-features` spells it.
        feature: String,
    },
    /// Root without build users: Nix wants a group that does not exist.
    #[error("Nix has no build users: {detail}")]
    BuildUsers {
        /// Nix's words.
        detail: String,
    },
    /// The sandbox is asked for and the kernel does not give it.
    #[error("builds cannot be sandboxed here: {detail}")]
    Sandbox {
        /// Nix's words.
        detail: String,
    },
    /// The disk is full.
    #[error("the disk is full: {detail}")]
    DiskFull {
        /// Nix's words.
        detail: String,
    },
    /// An option for Nix that Nix does not know.
    #[error("Nix does not take this option: {detail}")]
    Option {
        /// Nix's words.
        detail: String,
    },
    /// The expression is at fault; `detail` is Nix's message with its trace.
    #[error("{detail}")]
    Evaluation {
        /// Nix's words.
        detail: String,
    },
    /// The program could not be run or its files not be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The program ended well but said something unexpected.
    #[error("unexpected answer: {0}")]
    Answer(String),
    /// Any other failure.
    #[error("{detail} ({status})")]
    Failed {
        /// How the program ended: `exit status: 1`.
        status: String,
        /// Nix's words.
        detail: String,
    },
}

impl NixError {
    /// An error outside any command, for example while a file for the store is prepared.
    pub fn io(operation: impl Into<String>, source: std::io::Error) -> Self {
        Self { operation: operation.into(), command: String::new(), cause: Cause::Io(source) }
    }

    /// What the person can do about it, or nothing where Nix's own words must do.
    pub fn help(&self) -> Option<String> {
        Some(match &self.cause {
            Cause::Missing { .. } => "install Nix (Debian: `apt-get install nix-bin`; elsewhere: \
                https://nixos.org/download) and make sure that its programs are on PATH"
                .to_owned(),
            Cause::TooOld { .. } => format!(
                "upgrade to Nix {}.{} or newer (`nix-store --version` tells what is found on PATH)",
                OLDEST_NIX.0, OLDEST_NIX.1
            ),
            Cause::Unreachable { .. } => "start the daemon (`systemctl start nix-daemon`), or, to work on the store \
                without one, unset NIX_REMOTE and run as the user who owns /nix"
                .to_owned(),
            Cause::NoBuilder { .. } => {
                "see that `ssh HOST nix-store --version` works without a question, as the user who \
                runs Nix (root, where there is a daemon); or build here, with `-- --option max-jobs auto`"
                    .to_owned()
            }
            Cause::Cache { .. } => "run this again when it answers: what it gave is kept; or build here what it does \
                not give, with `-- --option fallback true`"
                .to_owned(),
            Cause::Denied { .. } => "use the daemon (NIX_REMOTE=daemon; on Debian your user must be in the group \
                `nix-users`), or run as the user who owns /nix"
                .to_owned(),
            Cause::Locked { .. } => "wait for the other Nix process (a garbage collection or a build) or end it, then \
                run this again; nothing was changed"
                .to_owned(),
            Cause::Feature { feature } => format!(
                "phasesplit itself needs none; the package does: add `extra-experimental-features = {feature}` to \
                 nix.conf, or pass `-- --option extra-experimental-features {feature}`"
            ),
            Cause::BuildUsers { .. } => "as root without a daemon, put `build-users-group =` (empty) into nix.conf or \
                into NIX_CONFIG"
                .to_owned(),
            Cause::Sandbox { .. } => "enable user namespaces (`sysctl kernel.unprivileged_userns_clone=1`), or pass \
                `-- --option sandbox false` to build without a sandbox"
                .to_owned(),
            Cause::DiskFull { .. } => "free some space, for example with `nix-collect-garbage`".to_owned(),
            Cause::Option { .. } => "options after `--` go to nix-instantiate and nix-build; \
                settings are written `--option NAME VALUE`"
                .to_owned(),
            Cause::Evaluation { .. } | Cause::Io(_) | Cause::Answer(_) | Cause::Failed { .. } => {
                return None;
            }
        })
    }
}

/// What kind of command failed: the same words mean different things to an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// An expression was evaluated: an unknown error is the expression's.
    Evaluation,
    /// The store was asked, written to, or built in.
    Store,
}

/// Reads the cause of a failure from what Nix wrote on standard error.
pub fn classify(stderr: &str, status: impl fmt::Display, work: Work) -> Cause {
    let text = strip_ansi(stderr);
    let detail = || error_part(&text);
    let line_with = |needles: &[&str]| {
        text.lines().find(|line| needles.iter().any(|n| line.contains(n))).map(|line| clean_line(line).to_owned())
    };
    // What Nix says on the way to it, of locks and groups, is not why.
    if let Some(detail) = line_with(&["annot delete path"]) {
        return Cause::Failed { status: status.to_string(), detail };
    }
    if let Some(feature) = disabled_feature(&text) {
        return Cause::Feature { feature };
    }
    // 2.26 and 2.34 warn of it whenever root uses the store, whatever fails then.
    if let Some(line) = line_with(&["error: the group '"]).filter(|l| l.contains("build-users-group")) {
        return Cause::BuildUsers { detail: line };
    }
    if let Some(line) = line_with(&["daemon-socket", "/nix/var/nix", "/nix/store", ".nix-defexpr", "big-lock"])
        .filter(|l| l.contains("Permission denied") || l.contains("Operation not permitted") || l.contains("Read-only"))
    {
        return Cause::Denied { detail: line };
    }
    if text.contains("some substitutes for the outputs of derivation") {
        let line = line_with(&["unable to download '"]).or_else(|| line_with(&["some substitutes"]));
        return Cause::Cache { detail: line.unwrap_or_else(detail) };
    }
    if let Some(line) = line_with(&["cannot build on '"])
        .or_else(|| line_with(&["unable to start any build", "local builds are disabled"]))
    {
        return Cause::NoBuilder { detail: line };
    }
    if let Some(line) = line_with(&[
        "cannot connect to socket",
        "cannot connect to daemon",
        "cannot connect to 'ssh",
        "failed to start SSH connection",
        "cannot open connection to remote store",
        "Nix daemon disconnected",
    ]) {
        return Cause::Unreachable { detail: line };
    }
    if let Some(line) = line_with(&[
        "database is locked",
        "database is busy",
        "is busy",
        "waiting for the big",
        "waiting for exclusive",
    ])
    .filter(|l| l.contains("database") || l.contains("lock") || l.contains("waiting for exclusive"))
    // Who waited and then failed did not fail for that.
    .filter(|l| !l.contains("waiting for") || !text.contains("error:"))
    {
        return Cause::Locked { detail: line };
    }
    if let Some(line) = line_with(&["No space left on device", "database or disk is full"]) {
        return Cause::DiskFull { detail: line };
    }
    if let Some(line) = line_with(&["namespaces that are required for sandboxing", "unable to start build process"])
        .filter(|l| l.contains("namespace") || l.contains("sandbox") || l.contains("unable to start"))
    {
        return Cause::Sandbox { detail: line };
    }
    if let Some(line) = line_with(&["error: unrecognised flag", "error: unrecognised option", "error: flag '"]) {
        return Cause::Option { detail: line };
    }
    match work {
        Work::Evaluation => Cause::Evaluation { detail: detail() },
        Work::Store => Cause::Failed { status: status.to_string(), detail: detail() },
    }
}

/// The version in `nix-store --version`'s answer, as (major, minor) and as text.
///
/// Forks name themselves before it (`nix-store (Lix, like Nix) 2.91.0`), so it is the last word.
pub fn parse_version(answer: &str) -> Option<((u64, u64), String)> {
    let word = answer.lines().next()?.split_whitespace().next_back()?;
    let mut parts = word.split(|c: char| !c.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    Some(((major, minor), word.to_owned()))
}

/// Removes terminal colour sequences (`ESC [ … letter`), which Nix writes into its JSON too.
pub fn strip_ansi(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            out.push(c);
        } else if chars.peek() == Some(&'[') {
            chars.next();
            for d in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&d) {
                    break;
                }
            }
        }
    }
    out
}

/// From the first `error:` on, or everything: what lies before it is warnings.
fn error_part(text: &str) -> String {
    let start = text.find("error:").map_or(0, |at| at + "error:".len());
    text[start..].trim().to_owned()
}

fn clean_line(line: &str) -> &str {
    line.trim().trim_start_matches("error:").trim_start()
}

/// `experimental Nix feature 'flakes' is disabled` (all versions; 2.8 is the oldest seen).
fn disabled_feature(text: &str) -> Option<String> {
    let at = text.find("experimental Nix feature '").or_else(|| text.find("experimental feature '"))?;
    let rest = &text[at..];
    let name = rest.split('\'').nth(1)?;
    rest.contains("disabled").then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(text: &str) -> Cause {
        classify(text, "exit status: 1", Work::Store)
    }

    #[test]
    fn each_known_text_has_its_cause() {
        // Seen on real runs of Nix 2.8: both socket texts, the profiles text and the unknown flag; of 2.26
        // and 2.34: the build users. Expected but not yet seen here: database, namespaces, full disk.
        assert!(matches!(
            store("error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': No such file or directory"),
            Cause::Unreachable { .. }
        ));
        assert!(matches!(
            store("error: getting status of /nix/var/nix/daemon-socket/socket: Permission denied"),
            Cause::Denied { .. }
        ));
        assert!(matches!(
            store(
                "\u{1b}[31;1merror:\u{1b}[0m could not set permissions on '/nix/var/nix/profiles/per-user' to 755: Operation not permitted"
            ),
            Cause::Denied { .. }
        ));
        assert!(matches!(store("error: SQLite database '/nix/var/nix/db/db.sqlite' is busy"), Cause::Locked { .. }));
        let waiting = "waiting for the big garbage collector lock...";
        assert!(matches!(store(waiting), Cause::Locked { .. }));
        let alive = format!(
            "{waiting}\nwarning: the group 'nixbld' specified in 'build-users-group' does not exist\n\
             error: Cannot delete path '/nix/store/0-x' since it is still alive. To find out why, use: nix-store --query --roots"
        );
        let Cause::Failed { detail, .. } = store(&alive) else { panic!("{:?}", store(&alive)) };
        assert!(detail.starts_with("Cannot delete path '/nix/store/0-x' since"), "{detail}");
        let other = format!("{waiting}\nerror: path '/nix/store/0-x' is not valid");
        assert!(matches!(store(&other), Cause::Failed { .. }), "{:?}", store(&other));
        assert!(matches!(
            store("error: executing SQLite statement 'pragma': database is locked"),
            Cause::Locked { .. }
        ));
        assert!(matches!(
            store("error: the group 'nixbld' specified in 'build-users-group' does not exist"),
            Cause::BuildUsers { .. }
        ));
        assert!(matches!(
            store(
                "error: this system does not support the kernel namespaces that are required for sandboxing; use '--no-sandbox'"
            ),
            Cause::Sandbox { .. }
        ));
        assert!(matches!(store("error: writing to file: No space left on device"), Cause::DiskFull { .. }));
        assert!(matches!(store("error: unrecognised flag '--frob'"), Cause::Option { .. }));
        assert!(matches!(store("error: operation 'addToStore' is not supported"), Cause::Failed { .. }));
    }

    #[test]
    fn a_cache_that_goes_away_is_not_the_package() {
        let text = "error: unable to download 'http://c/nar/1.nar.xz': HTTP error 200 (curl error: Transferred a partial file)\nerror: some substitutes for the outputs of derivation '/nix/store/a-x.drv' failed (usually happens due to networking issues); try '--fallback' to build derivation from source";
        let Cause::Cache { detail } = store(text) else { panic!("not a cache") };
        assert!(detail.starts_with("unable to download 'http://c/nar/1.nar.xz'"), "{detail}");
    }

    #[test]
    fn a_builder_that_is_off_is_not_the_store() {
        // Seen with 2.8.
        let text = "Failed to find a machine for remote build!\nerror: cannot build on 'ssh-ng://root@one': error: cannot open connection to remote store 'ssh-ng://root@one': error: unexpected end-of-file";
        let Cause::NoBuilder { detail } = store(text) else { panic!("not a builder") };
        assert!(detail.starts_with("cannot build on 'ssh-ng://root@one'"), "{detail}");
    }

    #[test]
    fn a_warning_of_build_users_is_not_the_cause() {
        let text = "warning: the group 'nixbld' specified in 'build-users-group' does not exist\nerror: undefined variable 'foo'";
        assert!(matches!(classify(text, "1", Work::Evaluation), Cause::Evaluation { .. }));
    }

    #[test]
    fn a_disabled_feature_is_named() {
        let text = "error: experimental Nix feature 'nix-command' is disabled; use '--extra-experimental-features nix-command' to override";
        let Cause::Feature { feature } = store(text) else { panic!("not a feature") };
        assert_eq!(feature, "nix-command");
    }

    #[test]
    fn an_unknown_evaluation_error_is_the_expressions() {
        let text = "warning: x\nerror: undefined variable 'foo'\n\n       at (string):1:1:";
        let Cause::Evaluation { detail } = classify(text, "1", Work::Evaluation) else { panic!("not evaluation") };
        assert_eq!(detail, "undefined variable 'foo'\n\n       at (string):1:1:");
    }

    #[test]
    fn versions_of_nix_and_its_forks() {
        assert_eq!(parse_version("nix-store (Nix) 2.8.0\n"), Some(((2, 8), "2.8.0".to_owned())));
        assert_eq!(parse_version("nix-store (Lix, like Nix) 2.91.1"), Some(((2, 91), "2.91.1".to_owned())));
        assert_eq!(parse_version("nix (Nix) 2.34pre20250101"), Some(((2, 34), "2.34pre20250101".to_owned())));
        assert_eq!(parse_version(""), None);
    }
}
