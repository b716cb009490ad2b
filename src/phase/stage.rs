//! The stages: one derivation of the chain each. The one definition of their names on the Rust side; the Nix side reads
//! them from the chain in `split.nix` and from the keys of `nix-lib/scopes.nix`.

use std::fmt;
use std::str::FromStr;

/// A stage of the chain, in the order in which stages follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Ends with `unpackPhase`.
    Unpack,
    /// Ends with `patchPhase`.
    Patch,
    /// Ends with `configurePhase`.
    Configure,
    /// Ends with `buildPhase`.
    Build,
    /// Ends with `checkPhase`.
    Check,
    /// Ends with `installPhase`.
    Install,
    /// `fixupPhase`, `installCheckPhase`, `distPhase` and all that follows; has the package's outputs.
    Finish,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 7] =
        [Self::Unpack, Self::Patch, Self::Configure, Self::Build, Self::Check, Self::Install, Self::Finish];

    /// The name, as `split.nix`, the command line and the scopes table spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unpack => "unpack",
            Self::Patch => "patch",
            Self::Configure => "configure",
            Self::Build => "build",
            Self::Check => "check",
            Self::Install => "install",
            Self::Finish => "finish",
        }
    }

    /// The stage that one of stdenv's own phases belongs to, `None` for a phase of a hook or of the package.
    ///
    /// nixpkgs manual, "Phases": the nine phases of the generic builder.
    pub fn of_phase(phase: &str) -> Option<Self> {
        Some(match phase {
            "unpackPhase" => Self::Unpack,
            "patchPhase" => Self::Patch,
            "configurePhase" => Self::Configure,
            "buildPhase" => Self::Build,
            "checkPhase" => Self::Check,
            "installPhase" => Self::Install,
            "fixupPhase" | "installCheckPhase" | "distPhase" => Self::Finish,
            _ => return None,
        })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no stage; the stages are {}", Stage::ALL.map(Stage::name).join(", "))]
pub struct UnknownStage {
    /// The name as given.
    pub name: String,
}

impl FromStr for Stage {
    type Err = UnknownStage;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|stage| stage.name() == name).ok_or_else(|| UnknownStage { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_order_agree() {
        assert!(Stage::ALL.is_sorted());
        for stage in Stage::ALL {
            assert_eq!(stage.name().parse(), Ok(stage));
        }
    }

    #[test]
    fn an_unknown_name_is_told_the_stages() {
        let error = "fixup".parse::<Stage>().unwrap_err().to_string();
        assert_eq!(
            error,
            "`fixup` is no stage; the stages are unpack, patch, configure, build, check, install, finish"
        );
    }
}
