//! Which point of which package: the word `PKG@STAGE`, the state behind that stage and the derivation whose environment
//! belongs to it.

use std::path::Path;

use super::{ShellArgs, ShellError};
use crate::cli::PackageArgs;
use crate::command::at_stage;
use crate::inspect::State;
use crate::nix::chain::{Chain, Stage};

/// What the user named.
#[derive(Debug)]
pub struct Named {
    /// The package alone.
    pub package: PackageArgs,
    /// The stage to stand behind.
    pub stage: Option<String>,
}

/// A point of a package.
#[derive(Clone, Debug)]
pub struct Point {
    /// The stage that left the state.
    pub behind: Stage,
    /// The stage that follows; of a stage that failed, itself.
    pub next: Stage,
    /// The stage whose environment is loaded: `next`, or a later one.
    pub to: Stage,
}

/// The point where a stage failed: `stage` is the derivation that keeps what it left.
pub fn of_failed(stage: Stage) -> Point {
    Point { behind: stage.clone(), next: stage.clone(), to: stage }
}

/// The name of the stage that failed, which must be one of the chain.
pub fn failed_stage<'a>(chain: &'a Chain, stage: Option<&str>) -> Result<&'a str, ShellError> {
    let known = || chain.stages.iter().map(|stage| stage.stage.as_str()).collect::<Vec<_>>().join(", ");
    let found = stage.and_then(|name| chain.stages.iter().find(|stage| stage.stage == name));
    match (found, stage) {
        (Some(stage), _) if chain.stages.len() > 1 => Ok(&stage.stage),
        (Some(_), _) => Err(ShellError::Point {
            message: format!("{} is not split, and only stages can be kept", chain.name),
            help: "name a package that can be split".to_owned(),
        }),
        (None, Some(name)) => Err(ShellError::Point {
            message: format!("{} has no stage `{name}`", chain.name),
            help: format!("its stages are {}", known()),
        }),
        (None, None) => Err(ShellError::Point {
            message: "the stage that failed is not named".to_owned(),
            help: format!("put @STAGE behind the package, or give --at; the stages are {}", known()),
        }),
    }
}

/// Takes the command line apart.
pub fn named(arguments: &ShellArgs) -> Result<Named, ShellError> {
    let mut package = arguments.package.clone();
    let mut stage = arguments.at.clone();
    let word = package.package.clone().unwrap_or_default();
    if State::is_at(Path::new(&word)) {
        return Err(ShellError::Point {
            message: format!("{word} is a state, and does not say what comes after it"),
            help: "name the package and the stage: PKG@STAGE; `phasesplit state` looks into a state alone".to_owned(),
        });
    }
    if let (left, Some(right)) = at_stage::split(&word) {
        if stage.as_ref().is_some_and(|stage| *stage != right) {
            return Err(ShellError::Point {
                message: format!("two stages are named: @{right} and --at {}", stage.unwrap_or_default()),
                help: "name one".to_owned(),
            });
        }
        stage = Some(right.to_owned());
        package.package = Some(left.to_owned());
    }
    Ok(Named { package, stage })
}

/// Finds it in the chain.
pub fn find(chain: &Chain, stage: Option<&str>, to: Option<&str>) -> Result<Point, ShellError> {
    let stages = &chain.stages;
    let last = stages.len() - 1;
    let fail = |message: String, help: String| Err(ShellError::Point { message, help });
    let points = || stages[..last].iter().map(|stage| stage.stage.as_str()).collect::<Vec<_>>().join(", ");
    if last == 0 {
        return fail(
            format!("{} has one stage, and so no state to stand behind", chain.name),
            "name a package that can be split".to_owned(),
        );
    }
    let Some(stage) = stage else {
        let example = &stages[last - 1].stage;
        return fail(
            format!("no stage of {} is named", chain.name),
            format!(
                "put @STAGE behind the package, as in PKG@{example}, or give --at; a state is left by {}",
                points()
            ),
        );
    };
    let place = |name: &str| stages.iter().position(|stage| stage.stage == name);
    let behind = match place(stage) {
        Some(index) if index < last => index,
        Some(_) => {
            return fail(
                format!("{stage} leaves the package, not a state"),
                format!("name the stage before it: @{}", stages[last - 1].stage),
            );
        }
        None => return fail(format!("{} has no stage `{stage}`", chain.name), format!("its stages are {}", points())),
    };
    let next = behind + 1;
    let to = match to {
        None => next,
        Some(name) => match place(name) {
            Some(index) if index >= next => index,
            _ => {
                let later = stages[next..].iter().map(|stage| stage.stage.as_str()).collect::<Vec<_>>().join(", ");
                return fail(
                    format!("{} has no stage `{name}` after {stage}", chain.name),
                    format!("--to takes {later}"),
                );
            }
        },
    };
    Ok(Point { behind: stages[behind].clone(), next: stages[next].clone(), to: stages[to].clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_point_lies_between_two_stages() {
        let stage = |name: &str| Stage {
            stage: name.to_owned(),
            drv_path: String::new(),
            output_name: "out".to_owned(),
            outputs: BTreeMap::new(),
        };
        let chain = Chain {
            name: "demo".to_owned(),
            stages: ["unpack", "build", "finish"].map(stage).into(),
            unsplit: stage("unsplit"),
            phasesplit: None,
        };
        let names = |point: &Point| [&point.behind, &point.next, &point.to].map(|stage| stage.stage.clone());
        assert_eq!(names(&find(&chain, Some("unpack"), None).unwrap()), ["unpack", "build", "build"]);
        assert_eq!(names(&find(&chain, Some("unpack"), Some("finish")).unwrap()), ["unpack", "build", "finish"]);
        let refused = |stage, to| find(&chain, stage, to).unwrap_err().to_string();
        assert_eq!(refused(None, None), "no stage of demo is named");
        assert_eq!(refused(Some("finish"), None), "finish leaves the package, not a state");
        assert_eq!(refused(Some("check"), None), "demo has no stage `check`");
        assert_eq!(refused(Some("build"), Some("build")), "demo has no stage `build` after build");
    }
}
