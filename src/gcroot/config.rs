//! The user's policies: `$XDG_CONFIG_HOME/phasesplit/config.toml`.
//!
//! ```toml
//! [roots]
//! after-build = false        # only `phasesplit roots prune` gives up states
//!
//! [[roots.policy]]           # as many as wanted, applied in this order
//! keep-last = 3              # each as the option of `roots prune`
//! older-than = "14d"
//! max-size = "20G"
//! keep-stage = ["build"]
//! package = ["linux"]
//! stage = ["install"]
//! ```
//!
//! Without a file, or without a policy in it, the last [`KEEP_LAST`] states of each stage are kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::names::StageName;
use super::policy::Policy;

/// How many states of each stage are kept where the user says nothing.
pub const KEEP_LAST: usize = 3;

/// What the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The policies, in their order.
    pub policies: Vec<Policy>,
    /// Whether they are applied after each build.
    pub after_build: bool,
    /// The file that says so, where there is one.
    pub file: Option<PathBuf>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The system refused.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It says something that is not understood.
    #[error("{path}: {why}")]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        why: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)] // a policy under another name would be none, and the default gives up more
struct File {
    #[serde(default)]
    roots: RootsTable,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RootsTable {
    after_build: Option<bool>,
    #[serde(default)]
    policy: Vec<PolicyTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PolicyTable {
    keep_last: Option<usize>,
    older_than: Option<Age>,
    max_size: Option<Size>,
    #[serde(default)]
    keep_stage: Vec<StageName>,
    #[serde(default)]
    package: Vec<String>,
    #[serde(default)]
    stage: Vec<StageName>,
}

/// `14d`: a number with `s`, `min`, `h`, `d` or `w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Age(pub Duration);

/// `20G`: a number of bytes with `K`, `M`, `G` or `T` in powers of 1024, alone or with `iB`; `KB` and so on in powers of 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Size(pub u64);

impl TryFrom<String> for Age {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        let seconds = match unit {
            "s" => 1,
            "min" | "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return Err(format!("`{text}` is no age: write a number and s, min, h, d or w, as in 14d")),
        };
        let number: u64 = number.parse().map_err(|_| format!("`{text}` is no age: `{number}` is no whole number"))?;
        let seconds = number.checked_mul(seconds).ok_or_else(|| format!("`{text}` is longer than time has been"))?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const UNITS: [&str; 4] = ["K", "M", "G", "T"];
        let (number, unit) = split(text);
        let wrong = || format!("`{text}` is no size: write a number of bytes, or one with K, M, G or T, as in 20G");
        let factor = if unit.is_empty() || unit == "B" {
            1.0
        } else {
            let power =
                UNITS.iter().position(|known| unit.to_ascii_uppercase().starts_with(known)).ok_or_else(wrong)?;
            let base: f64 = match &unit[1..] {
                "" | "iB" => 1024.0,
                "B" => 1000.0,
                _ => return Err(wrong()),
            };
            base.powi(i32::try_from(power).unwrap_or(0) + 1)
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        // Sizes that a number of this kind does not hold to the byte are beyond any disk.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(Self((number * factor) as u64))
    }
}

/// A number and what is behind it.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

impl From<PolicyTable> for Policy {
    fn from(table: PolicyTable) -> Self {
        Self {
            keep_last: table.keep_last,
            older_than: table.older_than.map(|age| age.0),
            max_size: table.max_size.map(|size| size.0),
            keep_stages: table.keep_stage.into_iter().map(|stage| stage.0).collect(),
            packages: table.package,
            stages: table.stage.into_iter().map(|stage| stage.0).collect(),
        }
    }
}

impl Config {
    /// The user's.
    ///
    /// # Errors
    /// Where the file is there and cannot be used.
    pub fn of_user() -> Result<Self, ConfigError> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let directory = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
        match directory {
            None => Ok(Self::parse("", None).unwrap_or_else(|_| Self::by_default())),
            Some(directory) => Self::read(&directory.join("phasesplit/config.toml")),
        }
    }

    fn by_default() -> Self {
        let policy = Policy { keep_last: Some(KEEP_LAST), ..Policy::default() };
        Self { policies: vec![policy], after_build: true, file: None }
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        match fs::read_to_string(path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Self::by_default())
            }
            Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
            Ok(text) => Self::parse(&text, Some(path)).map_err(|why| ConfigError::Text { path: path.to_owned(), why }),
        }
    }

    fn parse(text: &str, path: Option<&Path>) -> Result<Self, String> {
        let File { roots } = basic_toml::from_str(text).map_err(|error| error.to_string())?;
        let after_build = roots.after_build.unwrap_or(true);
        let policies: Vec<Policy> = roots.policy.into_iter().map(Policy::from).collect();
        if let Some(at) = policies.iter().position(Policy::is_empty) {
            let number = at + 1;
            return Err(format!("policy {number} says neither what to keep nor what to give up: it would give up all"));
        }
        if policies.is_empty() {
            return Ok(Self { after_build, ..Self::by_default() });
        }
        Ok(Self { policies, after_build, file: path.map(Path::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes() {
        let age = |text: &str| text.parse::<Age>().map(|age| age.0.as_secs());
        assert_eq!([age("14d"), age("2 w"), age("90min"), age("0s")], [Ok(1_209_600), Ok(1_209_600), Ok(5400), Ok(0)]);
        assert!(age("14").is_err() && age("d").is_err() && age("1.5h").is_err() && age("99999999999999999w").is_err());
        let size = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(
            [size("20G"), size("1.5 MiB"), size("10kB"), size("7")],
            [Ok(20 << 30), Ok(1_572_864), Ok(10_000), Ok(7)]
        );
        assert!(size("G").is_err() && size("20X").is_err() && size("-1").is_err() && size("1Gb").is_err());
    }

    #[test]
    fn the_file_says_what_the_options_say() {
        let text = "[roots]\nafter-build = false\n[[roots.policy]]\nkeep-last = 2\nolder-than = \"14d\"\n\
                    [[roots.policy]]\nmax-size = \"20G\"\npackage = [\"linux\"]\n";
        let config = Config::parse(text, None).expect("read");
        let first = Policy { keep_last: Some(2), older_than: Some(Duration::from_hours(336)), ..Policy::default() };
        let second = Policy { max_size: Some(20 << 30), packages: vec!["linux".to_owned()], ..Policy::default() };
        assert_eq!((config.policies, config.after_build), (vec![first, second], false));
        assert_eq!(Config::parse("", None), Ok(Config::by_default()));
        let scratch = tempfile::tempdir().expect("a directory");
        assert_eq!(Config::read(&scratch.path().join("none")).expect("none"), Config::by_default());
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        let why = |text: &str| Config::parse(text, None).expect_err("refused");
        assert!(why("[[roots.policy]]\nkeep-lest = 3\n").contains("keep-lest"));
        assert!(why("[[roots.policy]]\nkeep-last = 1\nolder-than = \"14\"\n").contains("`14` is no age"));
        assert!(why("[[roots.policy]]\npackage = [\"x\"]\n").contains("would give up all"));
        assert!(why("[[root.policy]]\nkeep-last = 9\n").contains("root"));
        assert!(why("roots = [").contains("line 1"));
        assert!(why("[[roots.policy]]\nkeep-stage = [\"biuld\"]\n").contains("`biuld` is no stage"));
    }
}
