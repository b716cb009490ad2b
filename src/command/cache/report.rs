//! What `phasesplit cache status` says: the table, and the JSON of `--json`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::chains::Package;
use super::found::Found;
use crate::cache::judge::{self, Verdict};
use crate::cache::{Answer, place};
use crate::report::human;
use crate::report::table::{self, Column};

/// The whole. Its JSON is an interface: fields may be added, none is renamed or removed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The packages, in the order they were named.
    packages: Vec<PackageRow>,
    /// The caches that were asked.
    caches: Vec<CacheRow>,
    /// Whether Nix takes only what a trusted key has signed.
    signatures_required: bool,
}

#[derive(Debug, Serialize)]
struct PackageRow {
    /// The package's `name`.
    package: String,
    /// Its stages, in order.
    stages: Vec<StageRow>,
}

#[derive(Debug, Serialize)]
struct StageRow {
    stage: String,
    /// The store path of its state; of finish, the output that stands for the package.
    path: String,
    /// Output name to store path.
    outputs: BTreeMap<String, String>,
    drv: String,
    /// Whether it is in the store, with all outputs.
    here: bool,
    /// What each cache has of it, in the order of the caches.
    caches: Vec<Place>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    url: String,
    /// `signed`, `content-addressed`, `unsigned`, `wrong key`, `corrupt`, `there` (nobody told who signed it), `missing`; else
    /// why it is not known, as in `caches`.
    answer: &'static str,
    /// Whether Nix would take it.
    usable: bool,
    /// The keys that signed it: the trusted one, or those that are not trusted.
    keys: Vec<String>,
    /// What is wrong, for a person.
    why: Option<String>,
    /// Bytes to download.
    download_size: Option<u64>,
    /// Bytes of the NAR.
    nar_size: Option<u64>,
    #[serde(skip)]
    told: String,
}

#[derive(Debug, Serialize)]
struct CacheRow {
    url: String,
    /// `unreachable`, `refused`, `certificate not trusted`, `slow`, `broken`, `no cache` or `failed`, where it does not tell; else `null`.
    error: Option<&'static str>,
    /// The same in words.
    why: Option<String>,
}

impl Report {
    /// Joins what there is to be said.
    pub fn new(packages: &[Package], found: &Found) -> Self {
        let stages = |package: &Package| {
            let rows = package.chain.stages.iter().map(|stage| StageRow {
                stage: stage.stage.clone(),
                path: stage.path().to_owned(),
                outputs: stage.outputs.clone(),
                drv: stage.drv_path.clone(),
                here: package.is_here(stage),
                caches: found
                    .of_stage(stage)
                    .iter()
                    .zip(&found.caches)
                    .enumerate()
                    .map(|(at, (answer, (url, _)))| place_of(url, answer, found.is_usable(at, answer)))
                    .collect(),
            });
            rows.collect()
        };
        Self {
            packages: packages
                .iter()
                .map(|package| PackageRow { package: package.chain.name.clone(), stages: stages(package) })
                .collect(),
            caches: found
                .caches
                .iter()
                .map(|(url, failure)| CacheRow {
                    url: url.clone(),
                    error: failure.as_ref().map(crate::cache::failure::Failure::word),
                    why: failure.as_ref().map(ToString::to_string),
                })
                .collect(),
            signatures_required: found.signatures_required,
        }
    }

    /// Whether every stage is here or to be had.
    pub fn is_complete(&self) -> bool {
        self.stages().all(|stage| stage.here || stage.source().is_some())
    }

    fn stages(&self) -> impl Iterator<Item = &StageRow> {
        self.packages.iter().flat_map(|package| &package.stages)
    }

    /// The table.
    pub fn text(&self) -> String {
        let columns = [
            Column::Text("package"),
            Column::Text("stage"),
            Column::Text("here"),
            Column::Words("in caches"),
            Column::Number("download"),
        ];
        let rows = self.packages.iter().flat_map(|package| {
            package.stages.iter().map(|stage| {
                let there = stage.caches.iter().filter(|place| place.answer != "missing");
                let there: Vec<String> =
                    there.map(|place| format!("{}: {}", place::short(&place.url), place.told)).collect();
                vec![
                    package.package.clone(),
                    stage.stage.clone(),
                    if stage.here { "yes" } else { "no" }.to_owned(),
                    if there.is_empty() { "none".to_owned() } else { there.join("; ") },
                    stage.source().and_then(|place| place.download_size).map_or_else(|| "-".to_owned(), human::size),
                ]
            })
        });
        let mut text = table::render(&columns, rows);
        let here = self.stages().filter(|stage| stage.here).count();
        let _ = write!(text, "{here} of {} stages are here", self.stages().count());
        let lacking: Vec<&StageRow> = self.stages().filter(|stage| !stage.here).collect();
        if !lacking.is_empty() {
            let sources: Vec<&Place> = lacking.iter().filter_map(|stage| stage.source()).collect();
            let bytes: u64 = sources.iter().filter_map(|place| place.download_size).sum();
            let _ = write!(text, "; of the others {} can be pulled", sources.len());
            if bytes > 0 {
                let _ = write!(text, " ({})", human::size(bytes));
            }
        }
        text.push('\n');
        text
    }
}

impl StageRow {
    /// The first cache that it can be had from.
    fn source(&self) -> Option<&Place> {
        self.caches.iter().find(|place| place.usable)
    }
}

fn place_of(url: &str, answer: &Answer, usable: bool) -> Place {
    let mut place = Place {
        url: url.to_owned(),
        answer: "missing",
        usable,
        keys: Vec::new(),
        why: None,
        download_size: None,
        nar_size: None,
        told: String::new(),
    };
    match answer {
        Answer::Missing => {}
        Answer::Untold(failure) => {
            place.answer = failure.word();
            place.why = Some(failure.to_string());
            failure.word().clone_into(&mut place.told);
        }
        Answer::There(held) => {
            place.answer = held.verdict.word();
            place.told = held.verdict.told();
            (place.download_size, place.nar_size) = (held.download, held.unpacked);
            match &held.verdict {
                Verdict::Signed(key) => place.keys = vec![key.clone()],
                Verdict::WrongKey(keys) => place.keys.clone_from(keys),
                Verdict::HiddenKey(key) => {
                    (place.keys, place.why) = (vec![key.clone()], Some(judge::hidden(key)));
                }
                Verdict::Corrupt(why) => place.why = Some(why.clone()),
                Verdict::ContentAddressed | Verdict::Unsigned | Verdict::Unjudged => {}
            }
        }
    }
    place
}
