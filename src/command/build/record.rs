//! The record of a build: written after it, so that `explain` and `--pin` know what was there before.

use super::report::{Outcome, StageReport};
use super::run::Input;
use crate::gcroot::Roots;
use crate::gcroot::package_key;
use crate::gcroot::record::{self, Record, RecordedStage};
use crate::nix::Nix;
use crate::nix::chain::Chain;
use crate::report::progress::Progress;

/// Writes what was built, and keeps the derivations of it. The build is as good without: a failure is told and passed over.
pub(super) fn keep(
    nix: &Nix,
    roots: &Roots,
    input: &Input,
    chain: &Chain,
    rows: &[StageReport],
    succeeded: bool,
    progress: &Progress,
) {
    // The newest of all its versions: what a failed build of a new one did not reach is still the old one's.
    let before = roots.last_record(&input.identity).unwrap_or_else(|error| {
        progress.line(&format!("warning: {error}; this build is recorded without it"));
        None
    });
    let record = made(input, chain, rows, succeeded, before.as_ref());
    // The derivations first: a record should name none that is gone.
    let key = package_key(&chain.name, &input.identity);
    for stage in &record.stages {
        let link = roots.of_derivation(&key, &stage.stage);
        if let Err(error) = roots.register_derivation(nix, &link, &stage.drv) {
            progress.line(&format!("warning: the derivations are not protected from garbage collection: {error}"));
            break;
        }
    }
    if let Err(error) = roots.write_record(&record, &input.identity) {
        progress.line(&format!("warning: the next build cannot be explained: {error}"));
    }
}

/// What is recorded: of each stage of the chain the last that there is of it, from now or from before.
fn made(input: &Input, chain: &Chain, rows: &[StageReport], succeeded: bool, before: Option<&Record>) -> Record {
    // Of a result that came from a cache, the stages before it were made by what this chain says, elsewhere.
    let is_known = |row: &&StageReport| row.outcome.has_state() || succeeded && row.outcome == Outcome::NotNeeded;
    let stages = chain.stages.iter().filter_map(|stage| {
        let old = before.and_then(|record| record.stage(&stage.stage));
        match rows.iter().filter(is_known).find(|row| row.stage == stage.stage) {
            None => old.cloned(),
            Some(row) => Some(RecordedStage {
                stage: row.stage.clone(),
                drv: row.drv.clone(),
                path: row.path.clone(),
                seconds: row.seconds.or_else(|| old.filter(|old| old.path == row.path).and_then(|old| old.seconds)),
                pinned: None,
            }),
        }
    });
    Record {
        format: record::FORMAT,
        package: chain.name.clone(),
        identity: String::from_utf8_lossy(&input.identity).replace('\0', " -A "),
        split: blake3::hash(input.split.as_bytes()).to_hex().to_string(),
        time: record::now(),
        stages: stages.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::nix::chain::Stage;

    fn row(stage: &str, outcome: Outcome, edit: &str) -> StageReport {
        StageReport {
            stage: stage.to_owned(),
            outcome,
            seconds: (outcome == Outcome::Built).then_some(2.0),
            bytes: None,
            path: format!("/s/{stage}{edit}"),
            drv: format!("/s/{stage}{edit}.drv"),
        }
    }

    fn chain(stages: &[&str]) -> Chain {
        let stage = |name: &&str| Stage {
            stage: (*name).to_owned(),
            drv_path: String::new(),
            output_name: "out".to_owned(),
            outputs: BTreeMap::new(),
        };
        Chain {
            name: "p-1".to_owned(),
            stages: stages.iter().map(stage).collect(),
            unsplit: stage(&"unsplit"),
            phasesplit: None,
        }
    }

    fn paths(record: &Record) -> Vec<(&str, Option<f64>)> {
        record.stages.iter().map(|stage| (stage.path.as_str(), stage.seconds)).collect()
    }

    #[test]
    fn a_failed_build_leaves_what_was_known_of_the_stages_it_did_not_reach() {
        use Outcome::{Built, Failed, NotReached, Reused};
        let input =
            Input { split: String::new(), directory: PathBuf::new(), identity: b"/p.nix\0a".to_vec(), host: false };
        let chain = chain(&["unpack", "build", "finish"]);
        let rows = [row("unpack", Built, "1"), row("build", Built, "1"), row("finish", Built, "1")];
        let first = made(&input, &chain, &rows, true, None);
        assert_eq!(first.identity, "/p.nix -A a");
        let rows = [row("unpack", Reused, "1"), row("build", Built, "2"), row("finish", Failed, "2")];
        let second = made(&input, &chain, &rows, false, Some(&first));
        assert_eq!(paths(&second), [("/s/unpack1", Some(2.0)), ("/s/build2", Some(2.0)), ("/s/finish1", Some(2.0))]);
        let rows = [row("unpack", Failed, "3"), row("build", NotReached, "3"), row("finish", NotReached, "3")];
        assert_eq!(made(&input, &chain, &rows, false, None).stages, []);
        assert_eq!(paths(&made(&input, &chain, &rows, false, Some(&first))), paths(&first));
    }

    #[test]
    fn what_a_finished_build_did_not_need_is_what_its_chain_says() {
        let input = Input { split: String::new(), directory: PathBuf::new(), identity: Vec::new(), host: false };
        let rows = [row("unpack", Outcome::NotNeeded, "1"), row("finish", Outcome::Fetched, "1")];
        let record = made(&input, &chain(&["unpack", "finish"]), &rows, true, None);
        assert_eq!(paths(&record), [("/s/unpack1", None), ("/s/finish1", None)]);
        // A chain that has lost a stage forgets it, one that was built up to a stage keeps the others.
        let rows = [row("unpack", Outcome::Built, "2")];
        let next = made(&input, &chain(&["unpack", "finish"]), &rows, true, Some(&record));
        assert_eq!(paths(&next), [("/s/unpack2", Some(2.0)), ("/s/finish1", None)]);
        assert_eq!(paths(&made(&input, &chain(&["unpack"]), &rows, true, Some(&next))), [("/s/unpack2", Some(2.0))]);
    }
}
