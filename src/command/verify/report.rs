//! What `verify` found: for people, and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::advice;
use super::deep;
use super::sides::Sides;
use crate::compare::{Difference, Excused, Report as Compared};
use crate::report::human;

/// What the two sides are called.
const SIDES: [&str; 2] = ["split", "unsplit"];
/// Differences, and files of an excuse, that people are shown; `--json` has all.
const SHOWN: usize = 20;
const FILES: usize = 3;

/// What the unsplit package built again showed.
#[derive(Debug, Default)]
pub struct Rebuild {
    /// The unsplit package against itself.
    pub compared: Compared,
    /// Outputs that Nix did not keep: of these nothing is known.
    pub unknown: Vec<String>,
    /// Whether there is a difference that may lie in these.
    pub suspect: bool,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The same package.
    Equal,
    /// They differ, but only where the unsplit package differs from itself.
    NotDeterministic,
    /// Really different.
    Different,
    /// The results are the same, but a stage depends on what is held back from it, so an edit may make them different.
    ReadsHeldBack,
}

#[derive(Debug, Serialize)]
struct Row {
    file: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<String>,
    kind: &'static str,
    message: String,
    shown: Vec<String>,
    /// Whether the unsplit package differs from itself there.
    unstable: bool,
}

#[derive(Debug, Serialize)]
struct ExcusedRow {
    file: String,
    rule: &'static str,
    reason: &'static str,
    times: usize,
}

#[derive(Debug, Serialize)]
struct RebuildRow {
    agrees: bool,
    unknown: Vec<String>,
    differences: Vec<Row>,
    excused: Vec<ExcusedRow>,
}

/// A file of the split package that relocation could not search, so that it may name the staged prefix.
#[derive(Debug, Serialize)]
pub struct Unsearched {
    /// The file's path.
    pub file: String,
    /// What it is.
    pub what: &'static str,
}

/// The whole.
#[derive(Debug, Serialize)]
pub struct Report {
    package: String,
    verdict: Verdict,
    compared: usize,
    split: BTreeMap<String, String>,
    unsplit: BTreeMap<String, String>,
    differences: Vec<Row>,
    excused: Vec<ExcusedRow>,
    /// Where `--rebuild` was asked for.
    rebuild: Option<RebuildRow>,
    /// Where `--deep` was asked for.
    deep: Option<deep::Report>,
    unsearched: Vec<Unsearched>,
    /// What to do about real differences and findings.
    advice: Vec<String>,
    seconds: f64,
}

impl Report {
    /// Puts together what was found. `unstable` is in the order of `compared.differences`.
    pub fn new(
        sides: Sides,
        compared: &Compared,
        unstable: &[bool],
        (rebuild, deep, unsearched): (Option<Rebuild>, Option<deep::Report>, Vec<Unsearched>),
        time: Duration,
    ) -> Self {
        let real: Vec<&Difference> = compared
            .differences
            .iter()
            .zip(unstable)
            .filter(|(_, unstable)| !**unstable)
            .map(|(real, _)| real)
            .collect();
        let reads = deep.as_ref().is_some_and(deep::Report::is_different);
        let verdict = match (compared.is_equal(), real.is_empty()) {
            (false, false) => Verdict::Different,
            _ if reads => Verdict::ReadsHeldBack,
            (true, _) => Verdict::Equal,
            (false, true) => Verdict::NotDeterministic,
        };
        let mut advice = deep.as_ref().map(deep::Report::advice).unwrap_or_default();
        advice.extend(if real.is_empty() { Vec::new() } else { advice::on(&real, &sides, rebuild.as_ref()) });
        let differences =
            compared.differences.iter().zip(unstable).map(|(found, unstable)| row(found, SIDES, *unstable));
        let paths = |outputs: &[(String, std::path::PathBuf)]| {
            outputs.iter().map(|(name, path)| (name.clone(), path.display().to_string())).collect()
        };
        Self {
            verdict,
            compared: compared.compared,
            split: paths(&sides.split),
            unsplit: paths(&sides.unsplit),
            differences: differences.collect(),
            excused: compared.excused.iter().map(excused).collect(),
            rebuild: rebuild.map(|rebuild| RebuildRow {
                agrees: rebuild.compared.is_equal() && rebuild.unknown.is_empty(),
                unknown: rebuild.unknown,
                differences: rebuild
                    .compared
                    .differences
                    .iter()
                    .map(|d| row(d, ["unsplit", "unsplit again"], true))
                    .collect(),
                excused: rebuild.compared.excused.iter().map(excused).collect(),
            }),
            deep,
            unsearched,
            advice,
            seconds: time.as_secs_f64(),
            package: sides.package,
        }
    }

    /// Whether there is a real difference, or may be one after an edit.
    pub fn is_different(&self) -> bool {
        matches!(self.verdict, Verdict::Different | Verdict::ReadsHeldBack)
    }

    fn differences(&self, f: &mut fmt::Formatter<'_>, unstable: bool) -> fmt::Result {
        let rows: Vec<&Row> = self.differences.iter().filter(|row| row.unstable == unstable).collect();
        for row in rows.iter().take(SHOWN) {
            writeln!(f, "  {}: {}", row.place(), row.message)?;
            if !row.shown.is_empty() {
                let path = |outputs: &BTreeMap<String, String>| in_store(outputs, &row.file);
                writeln!(f, "    --- {:8}{}", SIDES[0], path(&self.split))?;
                writeln!(f, "    +++ {:8}{}", SIDES[1], path(&self.unsplit))?;
            }
            for line in &row.shown {
                writeln!(f, "    {line}")?;
            }
        }
        if rows.len() > SHOWN {
            writeln!(f, "  … and {} more (--json has all)", rows.len() - SHOWN)?;
        }
        Ok(())
    }

    fn excuses(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rules: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for row in &self.excused {
            rules.entry((row.rule, row.reason)).or_default().push(&row.file);
        }
        for ((rule, reason), files) in rules {
            let more = files.len().saturating_sub(FILES);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            writeln!(f, "  excused, {rule}: {}{more}\n    {reason}", files[..files.len().min(FILES)].join(" "))?;
        }
        Ok(())
    }
}

impl Row {
    fn place(&self) -> String {
        std::iter::once(&self.file).chain(&self.members).map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

fn row(difference: &Difference, sides: [&str; 2], unstable: bool) -> Row {
    Row {
        file: difference.file.clone(),
        members: difference.members.clone(),
        kind: difference.what.kind(),
        message: difference.what.describe(sides),
        shown: difference.shown.clone(),
        unstable,
    }
}

fn excused(excused: &Excused) -> ExcusedRow {
    ExcusedRow {
        file: excused.file.clone(),
        rule: excused.rule.name(),
        reason: excused.rule.reason(),
        times: excused.times,
    }
}

/// `out/bin/x` as a path of the store. (A name with a hash in it, and a debug file's, stay as the report has them.)
fn in_store(outputs: &BTreeMap<String, String>, file: &str) -> String {
    let (output, rest) = file.split_once('/').unwrap_or((file, ""));
    outputs.get(output).map_or_else(|| file.to_owned(), |root| Path::new(root).join(rest).display().to_string())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (package, all) = (&self.package, self.compared);
        let unstable = self.differences.iter().filter(|row| row.unstable).count();
        let real = self.differences.len() - unstable;
        let count = |n: usize| if n == 1 { "1 difference".to_owned() } else { format!("{n} differences") };
        match self.verdict {
            Verdict::Equal | Verdict::ReadsHeldBack if self.differences.is_empty() => {
                writeln!(f, "{package}: split and unsplit are equal: {all} files, directories and links")?;
            }
            Verdict::Equal | Verdict::NotDeterministic | Verdict::ReadsHeldBack => {
                writeln!(f, "{package}: splitting changes nothing; the package is not deterministic by itself")?;
            }
            Verdict::Different => {
                writeln!(
                    f,
                    "{package}: split and unsplit are not the same package: {} in {all} files, directories and links",
                    count(real)
                )?;
                self.differences(f, false)?;
            }
        }
        if unstable > 0 {
            writeln!(f, "not deterministic by itself: {}, where two unsplit builds differ as well", count(unstable))?;
            self.differences(f, true)?;
        }
        self.excuses(f)?;
        if let Some(rebuild) = &self.rebuild {
            if rebuild.agrees {
                writeln!(f, "the unsplit package built again is the same")?;
            } else if !rebuild.unknown.is_empty() {
                writeln!(
                    f,
                    "of the unsplit package built again Nix kept only the first output that differs; unknown: {}",
                    rebuild.unknown.join(" ")
                )?;
            }
            if self.differences.is_empty() && !rebuild.differences.is_empty() {
                writeln!(
                    f,
                    "the unsplit package built again is another, though: {}",
                    count(rebuild.differences.len())
                )?;
                for row in rebuild.differences.iter().take(SHOWN) {
                    writeln!(f, "  {}: {}", row.place(), row.message)?;
                }
            }
        }
        if !self.unsearched.is_empty() {
            let noun = if self.unsearched.len() == 1 { "file" } else { "files" };
            writeln!(f, "relocation could not search {} {noun}:", self.unsearched.len())?;
            for Unsearched { file, what } in self.unsearched.iter().take(SHOWN) {
                writeln!(f, "  {file}: {what}")?;
            }
        }
        if let Some(deep) = &self.deep {
            write!(f, "{deep}")?;
        }
        if !self.advice.is_empty() {
            writeln!(f, "what to do:")?;
            for line in &self.advice {
                writeln!(f, "  - {line}")?;
            }
        }
        writeln!(f, "{} in all", human::seconds(Duration::from_secs_f64(self.seconds)))
    }
}
