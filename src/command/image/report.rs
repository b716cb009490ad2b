//! What is said of an image that was written.

use std::path::Path;

use serde_json::{Value, json};

use crate::command::colour;
use crate::diagnostic::{self, Problem, Sources};
use crate::oci::runtime::{self, Report, Wish};
use crate::report::human;
use crate::state::error::{Shown, as_path};

/// How many programs outside of the image are named.
const NAMED: usize = 5;

/// Warns of what will not run, and of what was damaged.
pub fn warn(report: &Report) {
    let mut problems = Vec::new();
    for digest in &report.damaged {
        let what = format!("the blob sha256:{digest} was not what its name says: it was written again");
        problems.push(Problem::new("image/damaged", what).warning());
    }
    if !report.outside.is_empty() {
        let files: u64 = report.outside.values().map(|(files, _)| files).sum();
        let named = report.outside.iter().take(NAMED).map(|(program, entry)| {
            let first = Shown(runtime::first_file(entry));
            format!("{} (for {first}{})", Shown(as_path(program)), others(entry.0 - 1))
        });
        let named: Vec<String> = named.collect();
        let more = report.outside.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let what = format!(
            "{files} {} started by programs outside of the store, which the image does not have: {}{more}",
            if files == 1 { "file is" } else { "files are" },
            named.join(", ")
        );
        let help = "such a program does not run in the image: the host package set builds with this machine's libraries. \
             Build it with nixpkgs, link it statically, or put the image on top of one that has these programs";
        problems.push(Problem::new("image/outside", what).warning().help(help));
    }
    if !problems.is_empty() {
        anstream::eprint!("{}", diagnostic::render(&problems, Sources::new(&[]), colour()));
    }
}

fn others(count: u64) -> String {
    match count {
        0 => String::new(),
        1 => " and 1 other file".to_owned(),
        count => format!(" and {count} other files"),
    }
}

/// The closing line.
pub fn tell(package: &str, to: &Path, wish: &Wish, report: &Report) {
    let sum = |reused: bool| {
        let some = report.layers.iter().filter(move |layer| !reused || layer.reused);
        some.fold((0, 0), |(count, bytes), layer| (count + 1, bytes + layer.blob.size))
    };
    let ((all, bytes), (old, known)) = (sum(false), sum(true));
    let place = if to.as_os_str() == "-" { "the archive".to_owned() } else { Shown(to).to_string() };
    anstream::eprintln!(
        "{package}: {} store {}, {all} layers ({old} already there), {} ({} written); {} in {place}",
        wish.closure.len(),
        if wish.closure.len() == 1 { "path" } else { "paths" },
        human::size(bytes),
        human::size(bytes - known),
        wish.name
    );
}

/// The report for programs.
pub fn json(wish: &Wish, report: &Report) -> Value {
    let layers: Vec<Value> = report
        .layers
        .iter()
        .map(|layer| {
            json!({
                "digest": format!("sha256:{}", layer.blob.digest),
                "diffId": format!("sha256:{}", layer.blob.diff_id),
                "bytes": layer.blob.size,
                "reused": layer.reused,
                "paths": layer.paths,
            })
        })
        .collect();
    let outside = report.outside.iter().map(|(program, entry)| {
        json!({
            "program": String::from_utf8_lossy(program),
            "files": entry.0,
            "first": runtime::first_file(entry).to_string_lossy(),
        })
    });
    json!({
        "name": wish.name,
        "manifest": format!("sha256:{}", report.digest),
        "architecture": wish.architecture,
        "layers": layers,
        "startedByOutside": outside.collect::<Vec<_>>(),
        "damaged": report.damaged.iter().map(|digest| format!("sha256:{digest}")).collect::<Vec<_>>(),
    })
}
