//! What caches have of stages: the answers for the outputs of a stage as one.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::CacheArgs;
use super::chains::Package;
use crate::cache::failure::Failure;
use crate::cache::judge::{self, Judge, Verdict};
use crate::cache::{self, Answer, Held, Patience, place};
use crate::command::refusal::Refusal;
use crate::diagnostic::Problem;
use crate::nix::chain::Stage;
use crate::nix::store_path::store_dir;
use crate::nix::substituters::{self, Configuration};
use crate::report::progress::Progress;
use crate::status::Status;

/// The caches that were asked, and what they said.
pub struct Found {
    /// Their URLs, and why one does not tell at all.
    pub caches: Vec<(String, Option<Failure>)>,
    /// Whether Nix takes only what a trusted key has signed.
    pub signatures_required: bool,
    /// The paths asked for.
    paths: Vec<String>,
    /// Of each cache that told: the answers, in the order of the paths.
    answers: Vec<Vec<Answer>>,
}

/// How caches are asked.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// How patiently.
    pub patience: Patience,
    /// The user's options for Nix: its settings say which caches there are and which keys are trusted.
    pub nix_options: &'a [OsString],
}

/// Asks caches for what the stages of packages leave: those of `urls`, or the configured ones where there are none.
pub fn ask_for(arguments: &CacheArgs, urls: &[String], packages: &[Package]) -> Result<Found, Refusal> {
    let progress = Progress::new();
    progress.status("asking binary caches");
    let stages = packages.iter().flat_map(|package| &package.chain.stages);
    ask(&arguments.asking(), urls, None, stages.flat_map(|stage| stage.outputs.values()))
}

/// The same for some paths, where one more key may be trusted.
pub fn ask(
    how: &Asking<'_>,
    urls: &[String],
    key: Option<&str>,
    paths: impl IntoIterator<Item = impl Into<String>>,
) -> Result<Found, Refusal> {
    let configuration = configuration(how.nix_options)?;
    let paths: Vec<String> = paths.into_iter().map(Into::into).collect();
    let urls = match urls {
        // Nobody is asked for nothing.
        _ if paths.is_empty() => Vec::new(),
        [] => configuration.urls,
        urls => urls.to_vec(),
    };
    let judge = Judge::new(&store_dir(), configuration.keys.iter().map(String::as_str).chain(key)).map_err(|why| {
        Refusal::Problem(Status::Environment, Box::new(Problem::new("cache/keys", format!("in Nix's settings, {why}"))))
    })?;
    let plain: Vec<&str> = paths.iter().map(String::as_str).collect();
    let answers = cache::ask(&urls, &plain, &judge, how.patience, how.nix_options);
    let (caches, answers) = urls
        .into_iter()
        .zip(answers)
        .map(|(url, answers)| match answers {
            Ok(answers) => ((url, None), answers),
            Err(failure) => ((url, Some(failure)), Vec::new()),
        })
        .unzip();
    Ok(Found { caches, signatures_required: configuration.signatures_required, paths, answers })
}

fn configuration(options: &[OsString]) -> Result<Configuration, Refusal> {
    substituters::configuration(options).ok_or_else(|| {
        let problem =
            Problem::new("cache/settings", "the program `nix` does not tell which binary caches are configured");
        let help = "install it beside `nix-store`, or see what `nix show-config` says";
        Refusal::Problem(Status::Environment, Box::new(problem.help(help)))
    })
}

impl Found {
    /// The caches that have all that was asked for of a stage, each with what is wrong with it, where Nix would not take it.
    pub fn held(&self, stage: &Stage) -> Vec<(&str, Option<Verdict>)> {
        let answers = self.of_stage(stage);
        let held = answers.iter().zip(&self.caches).enumerate().filter_map(|(at, (answer, (url, _)))| {
            let Answer::There(held) = answer else { return None };
            let wrong = (!self.is_usable(at, answer)).then(|| held.verdict.clone());
            Some((url.as_str(), wrong))
        });
        held.collect()
    }

    /// What each cache, in the order of `caches`, has of a stage: of its outputs that were asked for.
    pub fn of_stage(&self, stage: &Stage) -> Vec<Answer> {
        let wanted: Vec<usize> =
            stage.outputs.values().filter_map(|path| self.paths.iter().position(|known| known == path)).collect();
        self.caches
            .iter()
            .zip(&self.answers)
            .map(|((_, failure), answers)| match failure {
                Some(failure) => Answer::Untold(failure.clone()),
                None => all_of(wanted.iter().filter_map(|at| answers.get(*at))),
            })
            .collect()
    }

    /// Whether Nix would take it from that cache.
    pub fn is_usable(&self, cache: usize, answer: &Answer) -> bool {
        let Answer::There(held) = answer else { return false };
        let trusted = self.caches.get(cache).is_some_and(|(url, _)| place::is_trusted(url));
        held.verdict.is_usable(self.signatures_required && !trusted)
    }

    /// The URLs of the caches, each with why it did not tell all, where it did not.
    pub fn troubles(&self) -> Vec<(String, Option<Failure>)> {
        let untold = |answers: &Vec<Answer>| {
            answers
                .iter()
                .find_map(|answer| if let Answer::Untold(failure) = answer { Some(failure.clone()) } else { None })
        };
        let caches = self.caches.iter().zip(&self.answers);
        caches.map(|((url, failure), answers)| (url.clone(), failure.clone().or_else(|| untold(answers)))).collect()
    }

    /// The names of keys that signed something and stand behind another key of that name.
    fn hidden_keys(&self) -> BTreeSet<&str> {
        let hidden = self.answers.iter().flatten().filter_map(|answer| match answer {
            Answer::There(Held { verdict: Verdict::HiddenKey(name), .. }) => Some(name.as_str()),
            _ => None,
        });
        hidden.collect()
    }

    /// Tells what went wrong, each cache once; whether all told.
    pub fn warn(&self) -> bool {
        for (url, failure) in &self.caches {
            if let Some(failure) = failure {
                anstream::eprintln!("warning: the binary cache {url} does not tell what it has: {failure}");
                if let Some(help) = failure.help() {
                    anstream::eprintln!("  help: {help}");
                }
            }
        }
        let mut all = self.caches.iter().all(|(_, failure)| failure.is_none());
        for ((url, _), answers) in self.caches.iter().zip(&self.answers) {
            let mut untold = answers.iter().zip(&self.paths).filter_map(|(answer, path)| match answer {
                Answer::Untold(failure) => Some((path, failure)),
                _ => None,
            });
            if let Some((path, failure)) = untold.next() {
                all = false;
                anstream::eprintln!(
                    "warning: the binary cache {url} does not tell whether it has {path}, and {} others: {failure}",
                    untold.count()
                );
            }
        }
        for key in self.hidden_keys() {
            anstream::eprintln!(
                "warning: {}: what the others signed is not taken; give each key a name of its own (`nix-store \
                 --generate-binary-cache-key NAME …`), or leave only the right one in `trusted-public-keys`",
                judge::hidden(key)
            );
        }
        all
    }
}

/// Several answers as one: the worst of them, with the sizes of all.
fn all_of<'a>(answers: impl Iterator<Item = &'a Answer>) -> Answer {
    let answers: Vec<&Answer> = answers.collect();
    let mut worst = match answers.iter().max_by_key(|answer| badness(answer)) {
        None => return Answer::Missing,
        Some(worst) => (*worst).clone(),
    };
    if let Answer::There(held) = &mut worst {
        let sum = |size: fn(&Held) -> Option<u64>| -> Option<u64> {
            let sizes = answers.iter().map(|answer| if let Answer::There(held) = answer { size(held) } else { None });
            sizes.sum()
        };
        (held.download, held.unpacked) = (sum(|held| held.download), sum(|held| held.unpacked));
    }
    worst
}

fn badness(answer: &Answer) -> u8 {
    match answer {
        Answer::There(held) => match held.verdict {
            Verdict::Signed(_) => 0,
            Verdict::ContentAddressed => 1,
            Verdict::Unjudged => 2,
            Verdict::Unsigned => 3,
            Verdict::WrongKey(_) | Verdict::HiddenKey(_) => 4,
            Verdict::Corrupt(_) => 5,
        },
        Answer::Missing => 6,
        Answer::Untold(_) => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_as_good_as_its_worst_output() {
        let held = |verdict: Verdict, size| Answer::There(Held { verdict, download: Some(size), unpacked: None });
        let signed = held(Verdict::Signed("k".to_owned()), 3);
        let unsigned = held(Verdict::Unsigned, 4);
        assert_eq!(all_of([&signed, &unsigned].into_iter()), held(Verdict::Unsigned, 7));
        assert_eq!(all_of([&signed, &Answer::Missing].into_iter()), Answer::Missing);
        assert_eq!(all_of([].into_iter()), Answer::Missing);
    }
}
