//! `phasesplit roots`: what phasesplit keeps from the garbage collector.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::gcroot::list::{Kept, Root};
use crate::gcroot::{Roots, record};
use crate::phase::Stage;
use crate::report::human;
use crate::report::table::{self, Column};
use crate::status::Status;

/// The subcommands of `phasesplit roots`.
#[derive(Subcommand, Clone, Debug)]
pub enum RootsCommand {
    /// List what is rooted
    List(ListArgs),
}

/// The arguments of `phasesplit roots list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs `phasesplit roots`.
pub fn run(command: &RootsCommand) -> Status {
    let RootsCommand::List(arguments) = command;
    let roots = Roots::of_user().and_then(|roots| roots.list());
    let mut roots = match roots {
        Ok(roots) => roots,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            return Status::Environment;
        }
    };
    roots.sort_by_key(order);
    match write(&roots, arguments.json) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            anstream::eprintln!("error: cannot write to standard output: {error}");
            Status::Environment
        }
        _ => Status::Success,
    }
}

/// By package, and within it as its chain runs; the parts of a cut phase (`build-1`) come before the rest of it.
fn order(root: &Root) -> (Option<String>, bool, usize, bool, String) {
    match &root.kept {
        Kept::Own => (None, false, 0, false, root.path.clone()),
        Kept::State { key, stage, .. } | Kept::Failed { key, stage, .. } | Kept::Derivation { key, stage, .. } => {
            let whole = stage.split('-').next().unwrap_or(stage);
            let place = Stage::ALL.iter().position(|known| known.name() == whole).unwrap_or(Stage::ALL.len());
            let is_drv = matches!(root.kept, Kept::Derivation { .. });
            (Some(key.clone()), is_drv, place, whole == stage, stage.clone())
        }
    }
}

fn write(roots: &[Root], json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, roots)?;
        writeln!(out)
    } else {
        write!(out, "{}", text(roots, record::now()))
    }
}

/// The table. Derivations are small, and there is one for each state: those that are there are only counted.
fn text(roots: &[Root], now: u64) -> String {
    if roots.is_empty() {
        return "nothing is rooted\n".to_owned();
    }
    let is_counted = |root: &&Root| matches!(root.kept, Kept::Derivation { .. }) && !root.dangling;
    let columns = [
        Column::Text("package"),
        Column::Text("stage"),
        Column::Number("size"),
        Column::Number("created"),
        Column::Text("mark"),
        Column::Text("path"),
    ];
    let rows = roots.iter().filter(|root| !is_counted(root)).map(|root| {
        let (package, stage) = match &root.kept {
            Kept::Own => ("phasesplit", String::new()),
            Kept::State { package, stage, .. } | Kept::Failed { package, stage, .. } => {
                (package.as_str(), stage.clone())
            }
            Kept::Derivation { package, stage, .. } => (package.as_str(), format!("{stage} (.drv)")),
        };
        let mark = match (root.dangling, &root.kept, &root.pinned) {
            (true, _, _) => "dangling",
            (false, Kept::Failed { .. }, _) => "failed",
            (false, _, Some(_)) => "pinned",
            (false, _, None) => "",
        };
        vec![
            package.to_owned(),
            stage,
            root.bytes.map_or_else(|| "-".to_owned(), human::size),
            human::ago(Duration::from_secs(now.saturating_sub(root.created))),
            mark.to_owned(),
            root.path.clone(),
        ]
    });
    let mut text = table::render(&columns, rows);
    let is_state = |root: &&Root| matches!(root.kept, Kept::State { .. } | Kept::Failed { .. });
    let states = roots.iter().filter(is_state).filter(|root| !root.dangling);
    let bytes: u64 = states.clone().filter_map(|root| root.bytes).sum();
    let dangling = roots.iter().filter(|root| root.dangling).count();
    let _ = write!(
        text,
        "{} states, {}; {} derivations that they were made by",
        states.count(),
        human::size(bytes),
        roots.iter().filter(is_counted).count()
    );
    if dangling > 0 {
        let _ = write!(text, "; {dangling} dangling: what they kept is gone");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(kept: Kept, path: &str, bytes: Option<u64>, pinned: Option<&str>) -> Root {
        Root {
            kept,
            path: path.to_owned(),
            link: format!("/links{path}").into(),
            dangling: bytes.is_none(),
            bytes,
            created: 1000,
            pinned: pinned.map(str::to_owned),
        }
    }

    fn names(stage: &str) -> (String, String, String) {
        ("p-1".to_owned(), "p-1-0123".to_owned(), stage.to_owned())
    }

    fn state(stage: &str) -> Kept {
        let (package, key, stage) = names(stage);
        Kept::State { package, key, stage }
    }

    #[test]
    fn the_table_in_the_order_of_the_chain() {
        let (package, key, stage) = names("install");
        let failed = Kept::Failed { package, key, stage };
        let (package, key, stage) = names("build");
        let mut roots = vec![
            root(Kept::Derivation { package, key, stage }, "/s/b.drv", Some(10), None),
            root(state("install"), "/s/i", Some(1024), Some("/s/b")),
            root(state("check"), "/s/c", None, None),
            root(state("build"), "/s/b", Some(2048), None),
            root(state("build-1"), "/s/b1", Some(512), None),
            root(failed, "/s/f", Some(100), None),
            root(Kept::Own, "/s/engine", Some(3), None),
        ];
        roots.sort_by_key(order);
        let expected = "\
package     stage       size   created  mark      path
phasesplit               3 B  20 s ago            /s/engine
p-1         build-1    512 B  20 s ago            /s/b1
p-1         build    2.0 KiB  20 s ago            /s/b
p-1         check          -  20 s ago  dangling  /s/c
p-1         install  1.0 KiB  20 s ago  pinned    /s/i
p-1         install    100 B  20 s ago  failed    /s/f
4 states, 3.6 KiB; 1 derivations that they were made by; 1 dangling: what they kept is gone
";
        assert_eq!(text(&roots, 1020), expected);
        assert_eq!(text(&[], 0), "nothing is rooted\n");
    }
}
