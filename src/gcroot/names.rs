//! The names that phasesplit gives in its directories: what has another name there is not ours, and nobody touches it.

use super::FAILED;

/// The stages' names. What a package's phases are is nothing this side knows; a test holds it to `phase::Stage`.
const STAGES: [&str; 7] = ["unpack", "patch", "configure", "build", "check", "install", super::FINISH];

/// What a link in a package's directory keeps, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// `build@<hash>`; without the hash from former versions.
    State { stage: String, hash: Option<String> },
    /// `build.failed`.
    Failed { stage: String },
    /// `build@<hash>.drv`, `build.drv`, `build.failed.drv`: the stage as that of the others, with what is behind it.
    Derivation { stage: String },
}

/// Reads a link's name; `None` where phasesplit gives no link this name.
pub(super) fn of_link(name: &str) -> Option<Named> {
    let (kept, is_drv) = name.strip_suffix(".drv").map_or((name, false), |kept| (kept, true));
    let (stage, hash) = kept.split_once('@').map_or((kept, None), |(stage, hash)| (stage, Some(hash)));
    let failed = stage.strip_suffix(FAILED).filter(|_| hash.is_none());
    if !is_stage(failed.unwrap_or(stage)) {
        return None;
    }
    let stage = stage.to_owned();
    Some(match failed {
        _ if is_drv => Named::Derivation { stage },
        Some(stage) => Named::Failed { stage: stage.to_owned() },
        None => Named::State { stage, hash: hash.map(str::to_owned) },
    })
}

/// Whether a stage is called so: `build`, or `build-1` where a part of a cut one is.
pub(super) fn is_stage(name: &str) -> bool {
    let (stage, part) = name.split_once('-').map_or((name, None), |(stage, part)| (stage, Some(part)));
    STAGES.contains(&stage)
        && part.is_none_or(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a package's directory is called so, as [`super::package_key`] makes it.
pub(super) fn is_package_key(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(package, identity)| {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        !package.is_empty() && identity.len() == 12 && identity.bytes().all(is_digit)
    })
}

/// A stage that the user names: `build`, or `build-1`. A policy for a stage that no package can have would be a slip of the
/// hand, and one with `--keep-stage` would give up what was to be kept.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct StageName(pub String);

impl TryFrom<String> for StageName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if is_stage(&name) {
            return Ok(Self(name));
        }
        Err(format!("`{name}` is no stage: write one of {}, or a part of a cut one, as in build-1", STAGES.join(" ")))
    }
}

impl std::str::FromStr for StageName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        name.to_owned().try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_are_those_of_the_chain() {
        assert_eq!(STAGES, crate::phase::Stage::ALL.map(crate::phase::Stage::name));
        assert!(is_stage("build-12") && !is_stage("build-") && !is_stage("build-x") && !is_stage("mine"));
        assert_eq!("build-1".parse(), Ok(StageName("build-1".to_owned())));
        let error = "biuld".parse::<StageName>().expect_err("refused");
        assert!(error.starts_with("`biuld` is no stage: write one of unpack patch "), "{error}");
    }

    #[test]
    fn only_what_phasesplit_calls_so_is_ours() {
        let owned = |name: &str| name.to_owned();
        let state = |name: &str, hash: Option<&str>| Named::State { stage: owned(name), hash: hash.map(str::to_owned) };
        assert_eq!(of_link("build@0a"), Some(state("build", Some("0a"))));
        assert_eq!(of_link("build-2@0a"), Some(state("build-2", Some("0a"))));
        assert_eq!(of_link("unpack"), Some(state("unpack", None)));
        assert_eq!(of_link("build.failed"), Some(Named::Failed { stage: owned("build") }));
        assert_eq!(of_link("finish.drv"), Some(Named::Derivation { stage: owned("finish") }));
        assert_eq!(of_link("build@0a.drv"), Some(Named::Derivation { stage: owned("build") }));
        assert_eq!(of_link("build.failed.drv"), Some(Named::Derivation { stage: owned("build.failed") }));
        for name in ["result", "mine@0a", "mine.drv", "build.failed@0a", ".failed", "", "@", "build .drv"] {
            assert_eq!(of_link(name), None, "{name}");
        }
        let key = super::super::package_key("hello-2.10", b"identity");
        assert!(is_package_key(&key) && is_package_key("p-1.0-0123456789ab"));
        assert!(!is_package_key("hello-2.10") && !is_package_key("-0123456789ab") && !is_package_key("p-0123456789AB"));
    }
}
