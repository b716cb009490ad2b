//! What binary caches have: asked over HTTP, read in the file system or asked through Nix, and judged by the keys that Nix
//! trusts.
//!
//! All caches are asked at the same time, and of each many paths at once over few connections. The parts: [`place`] is what
//! a cache's URL means, [`http`], [`directory`] and [`through_nix`] get the records (`.narinfo`), [`judge`] says what they
//! are worth, [`failure`] why a cache did not tell. Must not know packages, stages or what is done with the answers.

mod directory;
pub mod failure;
mod http;
pub mod judge;
pub mod place;
mod through_nix;

use std::ffi::OsString;
use std::thread;
use std::time::Duration;

use failure::Failure;
use judge::{Judge, Verdict};
use place::Place;

/// How patiently caches are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For one answer.
    pub answer: Duration,
    /// How often a question is asked again that failed in passing.
    pub retries: u32,
}

impl Default for Patience {
    /// What suits a cache that is far away.
    fn default() -> Self {
        Self { answer: Duration::from_secs(20), retries: 3 }
    }
}

/// What a cache said of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does not have it.
    Missing,
    /// It has it.
    There(Held),
    /// It did not tell.
    Untold(Failure),
}

/// A path in a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What its record is worth.
    pub verdict: Verdict,
    /// Bytes to download, where the record says so.
    pub download: Option<u64>,
    /// Bytes of its NAR, where the record can be read.
    pub unpacked: Option<u64>,
}

/// What a cache said of all paths, in their order; or why it cannot be asked at all.
pub type Answers = Result<Vec<Answer>, Failure>;

/// A record as it was found, not yet judged.
enum Record {
    Missing,
    Found(Vec<u8>),
    /// There is one, and no more is known of it.
    There,
    Untold(Failure),
}

/// Asks every cache for every path. Of `options`, those of the form `--option NAME VALUE` count where Nix is asked.
pub fn ask(urls: &[String], paths: &[&str], judge: &Judge, patience: Patience, options: &[OsString]) -> Vec<Answers> {
    let places: Vec<Place> = urls.iter().map(|url| Place::of(url)).collect();
    let over_http: Vec<&str> = places.iter().filter_map(Place::base).collect();
    let found = thread::scope(|scope| {
        let others: Vec<_> = urls
            .iter()
            .zip(&places)
            .map(|(url, place)| match place {
                Place::Http(_) => None,
                Place::Directory(directory) => {
                    Some(scope.spawn(move || directory::records(directory, paths, judge.store_dir())))
                }
                Place::Other => Some(scope.spawn(move || through_nix::records(url, paths, patience, options))),
            })
            .collect();
        let mut http = http::records(&over_http, paths, judge.store_dir(), patience).into_iter();
        let ended = || Err(Failure::Other("the question ended unexpectedly".to_owned()));
        let found = others.into_iter().zip(urls).map(|(other, url)| match other {
            Some(thread) => thread.join().unwrap_or_else(|_| ended()),
            None => match http.next().unwrap_or_else(ended) {
                // Nix has the passwords.
                Err(Failure::Refused(why)) => {
                    through_nix::records(url, paths, patience, options).map_err(|_| Failure::Refused(why))
                }
                told => told,
            },
        });
        found.collect()
    });
    judged(found, paths, judge)
}

/// No thread for fewer records than these.
const LEAST_TOGETHER: usize = 32;

/// Judges what was found, on all processors. Not while more is on its way: a signature costs as much as the question for it,
/// and where the cache is on this machine the two would be in each other's way.
fn judged(found: Vec<Result<Vec<Record>, Failure>>, paths: &[&str], judge: &Judge) -> Vec<Answers> {
    let records: Vec<(&str, &[u8])> = found
        .iter()
        .flatten()
        .flat_map(|records| records.iter().zip(paths))
        .filter_map(|(record, path)| match record {
            Record::Found(bytes) => Some((*path, bytes.as_slice())),
            Record::Missing | Record::There | Record::Untold(_) => None,
        })
        .collect();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let part = records.len().div_ceil(threads).max(LEAST_TOGETHER);
    let held: Vec<Option<Held>> = thread::scope(|scope| {
        let parts: Vec<_> = records.chunks(part).map(|part| (part.len(), scope.spawn(|| judge.judge(part)))).collect();
        let held = |(count, part): (usize, thread::ScopedJoinHandle<'_, Vec<Held>>)| match part.join() {
            Ok(held) => held.into_iter().map(Some).collect(),
            Err(_) => vec![None; count],
        };
        parts.into_iter().flat_map(held).collect()
    });
    let mut held = held.into_iter();
    let mut answer = |record| match record {
        Record::Missing => Answer::Missing,
        Record::There => Answer::There(Held { verdict: Verdict::Unjudged, download: None, unpacked: None }),
        Record::Untold(failure) => Answer::Untold(failure),
        Record::Found(_) => match held.next().flatten() {
            Some(held) => Answer::There(held),
            None => Answer::Untold(Failure::Other("its record was not judged".to_owned())),
        },
    };
    found.into_iter().map(|records| Ok(records?.into_iter().map(&mut answer).collect())).collect()
}

/// The name of a path's record in a cache: its hash, which stands before the first dash.
fn record_name(path: &str) -> String {
    let base = path.rsplit('/').next().unwrap_or(path);
    format!("{}.narinfo", base.split('-').next().unwrap_or(base))
}

/// Looks whether a cache's `nix-cache-info` is that of a cache for this store.
fn check_info(info: &[u8], store_dir: &str) -> Result<(), Failure> {
    let info = String::from_utf8_lossy(info);
    let store = info.lines().find_map(|line| line.strip_prefix("StoreDir:"));
    match store.map(str::trim) {
        None => Err(Failure::NoCache("its nix-cache-info names no store".to_owned())),
        Some(theirs) if theirs != store_dir => {
            Err(Failure::NoCache(format!("it is a cache for the store {theirs}, not {store_dir}")))
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_named_by_the_hash() {
        assert_eq!(record_name("/nix/store/abc-hello-1-dev"), "abc.narinfo");
    }

    #[test]
    fn a_cache_is_for_one_store() {
        assert_eq!(check_info(b"WantMassQuery: 1\nStoreDir: /nix/store\n", "/nix/store"), Ok(()));
        let other = check_info(b"StoreDir: /gnu/store\n", "/nix/store").expect_err("refused");
        assert_eq!(other.to_string(), "no cache: it is a cache for the store /gnu/store, not /nix/store");
        assert!(check_info(b"<html>", "/nix/store").is_err());
    }
}
