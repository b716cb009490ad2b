//! `phasesplit roots add`, `rm` and `touch`.

use std::io::{self, Write as _};

use clap::Args;

use super::{Trouble, write_json};
use crate::gcroot::Roots;
use crate::gcroot::hand::Selector;
use crate::gcroot::list::{Kept, Root};
use crate::nix::Nix;
use crate::status::Status;

/// The arguments of `phasesplit roots add`.
#[derive(Args, Clone, Debug)]
pub struct AddArgs {
    /// A state's store path, or NAME@STAGE: the one of that stage that was used last
    #[arg(value_name = "STATE", required = true)]
    pub states: Vec<String>,
}

/// The arguments of `phasesplit roots rm`.
#[derive(Args, Clone, Debug)]
pub struct RmArgs {
    /// A state's store path, NAME@STAGE or NAME: all states of the package, with or without version
    #[arg(value_name = "STATE", required = true)]
    pub states: Vec<String>,

    /// Only say what would be given up
    #[arg(long)]
    pub dry_run: bool,

    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `phasesplit roots touch`.
#[derive(Args, Clone, Debug)]
pub struct TouchArgs {
    /// A state's store path, NAME@STAGE or NAME
    #[arg(value_name = "STATE", required = true)]
    pub states: Vec<String>,
}

/// Runs `phasesplit roots add`: a line for each link.
pub(super) fn add(roots: &Roots, arguments: &AddArgs) -> Result<Status, Trouble> {
    let listed = roots.list()?;
    let mut out = io::stdout().lock();
    for word in &arguments.states {
        let path = match Selector::parse(word) {
            Selector::Path(path) => path,
            selector @ Selector::Name { .. } => selected(&listed, word, &selector)?
                .into_iter()
                .filter(|root| matches!(root.kept, Kept::State { .. } | Kept::Added { .. }) && !root.dangling)
                .max_by_key(|root| root.last_used)
                .map(|root| root.path.clone())
                .ok_or_else(|| nothing(word))?,
        };
        writeln!(out, "{}", roots.add(&Nix::default(), &path)?.display())?;
    }
    Ok(Status::Success)
}

/// Runs `phasesplit roots rm`: a line for each store path.
pub(super) fn rm(roots: &Roots, arguments: &RmArgs) -> Result<Status, Trouble> {
    let listed = roots.list()?;
    let selectors: Vec<Selector> = arguments.states.iter().map(|word| Selector::parse(word)).collect();
    for (word, selector) in arguments.states.iter().zip(&selectors) {
        selected(&listed, word, selector)?;
    }
    let wanted = |root: &Root| selectors.iter().any(|selector| selector.takes(root));
    let (gone, used) = roots.give_up_by_hand(wanted, arguments.dry_run)?;
    if arguments.json {
        write_json(&gone)?;
    } else {
        let mut out = io::stdout().lock();
        for root in &gone {
            writeln!(out, "{}", root.path)?;
        }
    }
    if used.is_empty() {
        return Ok(Status::Success);
    }
    let paths: Vec<&str> = used.iter().map(|root| root.path.as_str()).collect();
    Err(Trouble::Input(format!("a running build uses {}; try again when it is over", paths.join(" "))))
}

/// Runs `phasesplit roots touch`.
pub(super) fn touch(roots: &Roots, arguments: &TouchArgs) -> Result<Status, Trouble> {
    let listed = roots.list()?;
    for word in &arguments.states {
        for root in selected(&listed, word, &Selector::parse(word))? {
            roots.touch(root)?;
        }
    }
    Ok(Status::Success)
}

fn selected<'a>(roots: &'a [Root], word: &str, selector: &Selector) -> Result<Vec<&'a Root>, Trouble> {
    let found: Vec<&Root> = roots.iter().filter(|root| selector.takes(root)).collect();
    if found.is_empty() { Err(nothing(word)) } else { Ok(found) }
}

fn nothing(word: &str) -> Trouble {
    Trouble::Input(format!("no state of phasesplit is rooted as `{word}`; `phasesplit roots list` shows what is"))
}
