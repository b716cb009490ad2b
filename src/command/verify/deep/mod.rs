//! `verify --deep`: what a search of texts cannot see, a difference shows.
//!
//! Each stage before finish is made again from the state that it continued from: as it is, with the values of all that is held
//! back from it, and with words that occur nowhere else in place of every name that may be held back. What differs from the
//! state in the chain, and not between two plain runs, comes from one of these names. A word in a file says from which; where
//! it is not there, trials with ever fewer names do.

mod canary;
mod differ;
mod narrow;
mod report;
mod trial;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::rc::Rc;

use canary::Words;
use differ::{Differences, Noise, Opened, Place, differences};
use narrow::narrow;
pub use report::Report;
use report::{Excused, Finding, Proof};
use trial::{Failed, Ran, Run, Trials, told};

use crate::command::build::run::Input;
use crate::command::refusal::Refusal;
use crate::inspect::diff::Change;
use crate::nix::chain::Stage;
use crate::nix::deep::{self, Given, Variants};
use crate::status::Status;

/// The most runs of one stage that look for the names behind differences.
const TRIALS: usize = 60;
/// The most times that one stage is judged again without a name that makes it fail.
const FAILURES: usize = 8;

/// Something that is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Held {
    Name(String),
    Input(String),
}

fn given(canary: bool, held: &[Held]) -> Given {
    let (mut names, mut inputs) = (Vec::new(), Vec::new());
    for one in held {
        match one {
            Held::Name(name) => names.push(name.clone()),
            Held::Input(name) => inputs.push(name.clone()),
        }
    }
    Given { canary, names, inputs }
}

/// Judges all stages before finish, which are in the store. What goes wrong is told on standard error.
pub fn run(input: &Input, package: &str, stages: &[Stage], options: &[OsString]) -> Result<Report, Status> {
    let mut trials = Trials::new(input, package, options);
    let mut variants = deep::evaluate(&trials.evaluator(), &input.split).map_err(told)?;
    let stages: Vec<(&Stage, Variants)> = stages
        .iter()
        .filter_map(|stage| Some((stage, variants.remove(&stage.stage)?)))
        .filter(|(_, variants)| !variants.canaries.is_empty() || !variants.inputs.is_empty())
        .collect();
    let mut report =
        Report { stages: stages.iter().map(|(stage, _)| stage.stage.clone()).collect(), ..Report::default() };
    // All at once: Nix builds as many side by side as it may.
    let label = |stage: &Stage, what: &str| format!("stage {}, {what}", stage.stage);
    let runs: Vec<Run<'_>> = stages
        .iter()
        .flat_map(|(stage, variants)| {
            [
                Run { stage, label: label(stage, "in the chain") },
                Run { stage: &variants.again, label: label(stage, "again") },
                Run { stage: &variants.canary, label: label(stage, "with a word for each name") },
                Run { stage: &variants.value, label: label(stage, "with what is held back") },
            ]
        })
        .collect();
    let mut ran = trials.all(&runs)?.into_iter();
    for (stage, variants) in &stages {
        let (Some(plain), Some(again), Some(canary), Some(value)) = (ran.next(), ran.next(), ran.next(), ran.next())
        else {
            return Err(Status::Environment);
        };
        let (Ran::State(plain), Ran::State(again)) = (plain, again) else {
            anstream::eprintln!(
                "error: {package}: stage {} failed when it ran once more as it is: it does not succeed every time, so no \
                 difference says anything",
                stage.stage
            );
            return Err(Status::Build);
        };
        let names: Vec<Held> = variants.canaries.keys().cloned().map(Held::Name).collect();
        let own = variants.own.iter().cloned().map(Held::Name);
        let own: Vec<Held> = own.chain(variants.inputs.iter().cloned().map(Held::Input)).collect();
        trials.note(&stage.stage, given(true, &names), canary);
        trials.note(&stage.stage, given(false, &own), value);
        let given = variants.canaries.keys().chain(&variants.own).cloned().collect();
        let noise = Noise::of(&plain, &again, differences(&plain, &again, &given));
        let mut judge = Judge {
            stage: &stage.stage,
            variants,
            words: Words::new(&variants.canaries),
            given,
            plain: &plain,
            noise,
            left: TRIALS,
            trials: &mut trials,
            report: &mut report,
        };
        judge.kind(true, names)?;
        judge.kind(false, own)?;
    }
    report.runs = trials.count;
    Ok(report)
}

/// One stage being judged.
struct Judge<'a, 'b> {
    stage: &'a str,
    variants: &'a Variants,
    words: Words,
    /// The variables that a run may have been given.
    given: BTreeSet<String>,
    plain: &'a Opened,
    noise: Noise,
    left: usize,
    trials: &'a mut Trials<'b>,
    report: &'a mut Report,
}

impl Judge<'_, '_> {
    /// Judges the runs with words, or with values.
    fn kind(&mut self, canary: bool, mut held: Vec<Held>) -> Result<(), Status> {
        for _ in 0..FAILURES {
            if held.is_empty() {
                return Ok(());
            }
            let ran = self.trials.given(self.stage, given(canary, &held))?;
            let failed = match &*ran {
                Ran::State(opened) => return self.state(canary, &held, opened),
                Ran::Failed(failed) => failed.clone(),
            };
            let test = |_: &Judge<'_, '_>, ran: &Ran| matches!(ran, Ran::Failed(_));
            let Some(culprits) = self.culprits(canary, &held, &test)? else {
                anstream::eprintln!("error: stage {} does not succeed every time", self.stage);
                return Err(Status::Build);
            };
            // Without these the others are judged; where they were not found out, there is nothing left to judge.
            held.retain(|one| !culprits.contains(one));
            let known = self.report.findings.iter().any(|known| {
                known.stage == self.stage && known.proof == Proof::Failure && culprits.iter().all(|one| known.has(one))
            });
            if !known {
                self.failure(&culprits, &failed);
            }
        }
        Ok(())
    }

    /// Judges a run that left a state.
    fn state(&mut self, canary: bool, held: &[Held], opened: &Opened) -> Result<(), Status> {
        let mut found = differences(self.plain, opened, &self.given);
        let worded = self.words.find(opened, &found).map_err(|error| Refusal::from(error).tell())?;
        for (place, names) in worded {
            if let Some(change) = found.remove(&place) {
                let names: Vec<Held> = names.into_iter().map(Held::Name).collect();
                self.finding(&place, change, Proof::Text, &names);
            }
        }
        // The value of an attribute may be in a file for which its word was found.
        found.retain(|place, _| !self.report.has(self.stage, place));
        while let Some((place, change)) = self.unexplained(&mut found, opened) {
            let test = |judge: &Judge<'_, '_>, ran: &Ran| match ran {
                Ran::State(opened) => differences(judge.plain, opened, &judge.given).get(&place) == Some(&change),
                Ran::Failed(_) => false,
            };
            let Some(culprits) = self.culprits(canary, held, &test)? else {
                // It differs without any of them as well.
                if let Ran::State(bare) = &*self.trials.given(self.stage, given(canary, &[]))? {
                    self.noise.learn(differences(self.plain, bare, &self.given));
                }
                self.excuse(&place);
                found.remove(&place);
                continue;
            };
            let alone = self.trials.given(self.stage, given(canary, &culprits))?;
            let alone = match &*alone {
                Ran::State(alone) => differences(self.plain, alone, &self.given),
                Ran::Failed(_) => Differences::new(),
            };
            self.finding(&place, change, Proof::Trial, &culprits);
            found.remove(&place);
            let others = alone.into_iter().filter(|(place, change)| found.get(place) == Some(change));
            for (place, change) in others.collect::<Vec<_>>() {
                found.remove(&place);
                if !self.noise.excuses(&place, change, self.plain, opened) {
                    self.finding(&place, change, Proof::Trial, &culprits);
                }
            }
        }
        Ok(())
    }

    /// The next difference that nothing explains; what two plain runs differ in is excused and taken out.
    fn unexplained(&mut self, found: &mut Differences, opened: &Opened) -> Option<(Place, Change)> {
        while let Some((place, change)) = found.first_key_value().map(|(place, change)| (place.clone(), *change)) {
            if !self.noise.excuses(&place, change, self.plain, opened) {
                return Some((place, change));
            }
            self.excuse(&place);
            found.remove(&place);
        }
        None
    }

    /// Which of `held` make a run fulfil `test`: one alone where that is found, none where it does so without them.
    fn culprits(
        &mut self,
        canary: bool,
        held: &[Held],
        test: &dyn Fn(&Judge<'_, '_>, &Ran) -> bool,
    ) -> Result<Option<Vec<Held>>, Status> {
        // Most often it is one that was found out before.
        let findings = self.report.findings.iter().filter(|finding| finding.stage == self.stage);
        let findings: Vec<_> = findings.collect();
        let known: Vec<Held> = held.iter().filter(|one| findings.iter().any(|known| known.has(one))).cloned().collect();
        let mut left = self.left;
        let mut ask = |some: &[Held]| {
            let ran: Rc<Ran> = self.trials.given(self.stage, given(canary, some))?;
            Ok(test(self, &ran))
        };
        let is_less = !known.is_empty() && known.len() < held.len();
        let held = if is_less && left > 0 && ask(&known)? { &known[..] } else { held };
        let found = narrow(held, &mut left, &mut ask);
        self.left = left;
        found
    }

    fn failure(&mut self, culprits: &[Held], failed: &Failed) {
        let mut finding = self.of(Proof::Failure, culprits);
        finding.message = match &failed.phase {
            Some(phase) => format!("{phase}: {}", failed.message),
            None => failed.message.clone(),
        };
        finding.log.clone_from(&failed.log);
        self.report.findings.push(finding);
    }

    fn finding(&mut self, place: &Place, change: Change, proof: Proof, held: &[Held]) {
        let finding = Finding { place: Some(place.to_string()), change: Some(change.word()), ..self.of(proof, held) };
        self.report.findings.push(finding);
    }

    fn of(&self, proof: Proof, held: &[Held]) -> Finding {
        let Given { mut names, inputs, .. } = given(false, held);
        // Those that the package has come first.
        names.sort_by_key(|name| !self.variants.own.contains(name));
        Finding { stage: self.stage.to_owned(), proof, attributes: names, inputs, ..Finding::default() }
    }

    fn excuse(&mut self, place: &Place) {
        let excused = Excused { stage: self.stage.to_owned(), place: place.to_string() };
        if !self.report.excused.contains(&excused) {
            self.report.excused.push(excused);
        }
    }
}
