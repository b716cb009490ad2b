//! `phasesplit roots list`.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Trouble, write_json};
use crate::gcroot::list::{Kept, Root, graph_of};
use crate::gcroot::names::StageName;
use crate::gcroot::policy::{is_name, is_stage};
use crate::gcroot::{Roots, record};
use crate::phase::Stage;
use crate::report::human;
use crate::report::table::{self, Column};
use crate::status::Status;

/// The arguments of `phasesplit roots list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Only states of this package, with or without version; may be repeated
    #[arg(long, value_name = "NAME")]
    pub package: Vec<String>,

    /// Only states of this stage; may be repeated
    #[arg(long, value_name = "STAGE")]
    pub stage: Vec<StageName>,

    /// The order: the largest, or the one longest not used, comes first
    #[arg(long, value_enum, default_value_t = Sort::Package)]
    pub sort: Sort,

    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// What rows are sorted by.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Package, and within it as its chain runs
    Package,
    /// The state's own size
    Size,
    /// What deleting it would free
    Frees,
    /// When it was used last
    Used,
    /// When it was made
    Created,
}

/// Runs `phasesplit roots list`.
pub(super) fn run(roots: &Roots, arguments: &ListArgs) -> Result<Status, Trouble> {
    let mut roots = roots.list()?;
    let is_any = !roots.is_empty();
    if !arguments.package.is_empty() || !arguments.stage.is_empty() {
        roots.retain(|root| root.state().is_some_and(|(package, stage)| arguments.wants(package, stage)));
    }
    roots.sort_by_key(order);
    match arguments.sort {
        Sort::Package => {}
        Sort::Size => roots.sort_by_key(|root| Reverse(root.bytes)),
        Sort::Frees => roots.sort_by_key(|root| Reverse(root.frees)),
        Sort::Used => roots.sort_by_key(|root| root.last_used),
        Sort::Created => roots.sort_by_key(|root| root.created),
    }
    if arguments.json {
        write_json(&roots)?;
    } else if roots.is_empty() && is_any {
        writeln!(io::stdout().lock(), "nothing of these is rooted")?;
    } else {
        write!(io::stdout().lock(), "{}", text(&roots, record::now()))?;
    }
    Ok(Status::Success)
}

impl ListArgs {
    fn wants(&self, package: &str, stage: &str) -> bool {
        (self.package.is_empty() || self.package.iter().any(|name| is_name(name, package)))
            && (self.stage.is_empty() || self.stage.iter().any(|name| is_stage(&name.0, stage)))
    }
}

/// By package, and within it as its chain runs; the parts of a cut phase (`build-1`) come before the rest of it, and the states
/// of a stage from the one used last on.
fn order(root: &Root) -> (Option<String>, bool, usize, bool, String, Reverse<u64>) {
    let used = Reverse(root.last_used);
    match &root.kept {
        Kept::Own { .. } => (None, false, 0, false, root.path.clone(), used),
        Kept::Added { package, stage } => (Some(package.clone()), false, place(stage), true, stage.clone(), used),
        Kept::State { key, stage, .. } | Kept::Failed { key, stage, .. } | Kept::Derivation { key, stage, .. } => {
            let is_drv = matches!(root.kept, Kept::Derivation { .. });
            let is_whole = !stage.contains('-');
            (Some(key.clone()), is_drv, place(stage), is_whole, stage.clone(), used)
        }
    }
}

/// The place of a stage in a chain.
fn place(stage: &str) -> usize {
    let whole = stage.split('-').next().unwrap_or(stage);
    Stage::ALL.iter().position(|known| known.name() == whole).unwrap_or(Stage::ALL.len())
}

/// What marks a root, in words.
pub(super) fn marks(root: &Root) -> String {
    let marks = [
        (root.dangling, "dangling"),
        (matches!(root.kept, Kept::Failed { .. }), "failed"),
        (matches!(root.kept, Kept::Added { .. }), "added"),
        (root.pinned.is_some(), "pinned"),
        (root.in_use, "in use"),
    ];
    marks.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
}

/// The table. Derivations are small, and there is one for each state: those that are there are only counted, and so is what
/// other versions of phasesplit keep for themselves.
fn text(roots: &[Root], now: u64) -> String {
    if roots.is_empty() {
        return "nothing is rooted\n".to_owned();
    }
    let is_counted = |root: &&Root| match root.kept {
        Kept::Derivation { .. } => !root.dangling,
        Kept::Own { former } => former,
        _ => false,
    };
    let columns = [
        Column::Text("package"),
        Column::Text("stage"),
        Column::Number("size"),
        Column::Number("frees"),
        Column::Number("used"),
        Column::Text("mark"),
        Column::Text("path"),
    ];
    let rows = roots.iter().filter(|root| !is_counted(root)).map(|root| {
        let (package, stage) = match &root.kept {
            Kept::Own { .. } => ("phasesplit", String::new()),
            Kept::Derivation { package, stage, .. } => (package.as_str(), format!("{stage} (.drv)")),
            Kept::State { package, stage, .. }
            | Kept::Failed { package, stage, .. }
            | Kept::Added { package, stage } => (package.as_str(), stage.clone()),
        };
        let size = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), human::size);
        vec![
            human::printable(package),
            stage,
            size(root.bytes),
            size(root.frees),
            human::ago(Duration::from_secs(now.saturating_sub(root.last_used))),
            marks(root),
            human::printable(&root.path),
        ]
    });
    let mut text = table::render(&columns, rows);
    let graph = graph_of(roots);
    let states = roots.iter().filter(|root| root.state().is_some() && !root.dangling);
    let kept = graph.kept(states.clone().filter_map(|root| graph.number(&root.path)));
    let of = |is: fn(&Kept) -> bool| roots.iter().filter(|root| is(&root.kept) && !root.dangling).count();
    let _ = write!(
        text,
        "{}, {} with the layers below; {} that made them",
        human::count(states.count(), "state"),
        human::size(graph.bytes(&kept)),
        human::count(of(|kept| matches!(kept, Kept::Derivation { .. })), "derivation"),
    );
    let former = of(|kept| matches!(kept, Kept::Own { former: true }));
    if former > 0 {
        let _ = write!(text, "; {} of other versions of phasesplit", human::count(former, "object"));
    }
    let dangling = roots.iter().filter(|root| root.dangling).count();
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
            frees: bytes,
            created: 1000,
            last_used: 1000,
            inputs: None,
            drv: None,
            in_use: path == "/s/i",
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
            root(Kept::Own { former: false }, "/s/engine", Some(3), None),
            root(Kept::Own { former: true }, "/s/old-engine", Some(3), None),
        ];
        roots.sort_by_key(order);
        let expected = "\
package     stage       size    frees      used  mark            path
phasesplit               3 B      3 B  20 s ago                  /s/engine
p-1         build-1    512 B    512 B  20 s ago                  /s/b1
p-1         build    2.0 KiB  2.0 KiB  20 s ago                  /s/b
p-1         check          -        -  20 s ago  dangling        /s/c
p-1         install  1.0 KiB  1.0 KiB  20 s ago  pinned, in use  /s/i
p-1         install    100 B    100 B  20 s ago  failed          /s/f
4 states, 3.6 KiB with the layers below; 1 derivation that made them; 1 object of other versions of phasesplit; \
1 dangling: what they kept is gone
";
        assert_eq!(text(&roots, 1020), expected);
        assert_eq!(text(&[], 0), "nothing is rooted\n");
    }
}
