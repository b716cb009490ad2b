//! What binary caches have: asked over HTTP, read in the file system or asked through Nix, and judged by the keys that Nix
//! trusts.
//!
//! All caches are asked at the same time, and of each many paths at once over few connections. The parts: [`place`] is what
//! a cache's URL means, [`http`] and [`directory`] get the records (`.narinfo`), [`judge`] says what they are worth,
//! [`failure`] why a cache did not tell. Must not know packages, stages or what is done with the answers.

mod directory;
pub mod failure;
mod http;
pub mod judge;
pub mod place;

use std::ffi::OsString;
use std::thread;
use std::time::Duration;

use crate::nix::substituters;
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
    Untold(Failure),
}

/// Asks every cache for every path. Of `options`, those of the form `--option NAME VALUE` count where Nix is asked.
pub fn ask(urls: &[String], paths: &[&str], judge: &Judge, patience: Patience, options: &[OsString]) -> Vec<Answers> {
    let places: Vec<Place> = urls.iter().map(|url| Place::of(url)).collect();
    thread::scope(|scope| {
        let over_http: Vec<&str> = places.iter().filter_map(Place::base).collect();
        let http = (!over_http.is_empty())
            .then(|| scope.spawn(move || http::records(&over_http, paths, judge.store_dir(), patience)));
        let others: Vec<_> = urls
            .iter()
            .zip(&places)
            .map(|(url, place)| match place {
                Place::Http(_) => None,
                Place::Directory(directory) => Some(
                    scope.spawn(move || judged(directory::records(directory, paths, judge.store_dir()), paths, judge)),
                ),
                Place::Other => Some(scope.spawn(move || through_nix(url, paths, options))),
            })
            .collect();
        let mut http = http.map(|thread| thread.join().unwrap_or_default()).unwrap_or_default().into_iter();
        let ended = || Err(Failure::Other("the question ended unexpectedly".to_owned()));
        let answers = others.into_iter().zip(urls).map(|(other, url)| match other {
            Some(thread) => thread.join().unwrap_or_else(|_| ended()),
            None => match http.next().unwrap_or_else(ended_records) {
                // Nix has the passwords.
                Err(Failure::Refused(why)) => through_nix(url, paths, options).map_err(|_| Failure::Refused(why)),
                records => judged(records, paths, judge),
            },
        });
        answers.collect()
    })
}

fn ended_records() -> Result<Vec<Record>, Failure> {
    Err(Failure::Other("the question ended unexpectedly".to_owned()))
}

/// Judges what was found, on all processors: a signature costs more than the question for it did.
fn judged(records: Result<Vec<Record>, Failure>, paths: &[&str], judge: &Judge) -> Answers {
    let records = records?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let part = records.len().div_ceil(threads).max(16);
    let one = |(record, path): (&Record, &&str)| match record {
        Record::Missing => Answer::Missing,
        Record::Found(record) => Answer::There(judge.judge(path, record)),
        Record::Untold(failure) => Answer::Untold(failure.clone()),
    };
    let answers = thread::scope(|scope| {
        let parts: Vec<_> = records
            .chunks(part)
            .zip(paths.chunks(part))
            .map(|(records, paths)| scope.spawn(move || records.iter().zip(paths).map(one).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().map(thread::ScopedJoinHandle::join).collect::<Result<Vec<_>, _>>()
    });
    match answers {
        Ok(answers) => Ok(answers.concat()),
        Err(_) => Err(Failure::Other("a record could not be judged".to_owned())),
    }
}

/// Stores that only Nix can ask; it does not tell what they are worth.
fn through_nix(url: &str, paths: &[&str], options: &[OsString]) -> Answers {
    let held = Held { verdict: Verdict::Unjudged, download: None, unpacked: None };
    let asked = substituters::ask(&[url.to_owned()], paths, options);
    match asked.into_iter().next().map(|cache| cache.has) {
        None => Ok(Vec::new()),
        Some(Err(why)) => Err(Failure::of_nix(&why)),
        Some(Ok(has)) => Ok(paths
            .iter()
            .map(|path| if has.contains(*path) { Answer::There(held.clone()) } else { Answer::Missing })
            .collect()),
    }
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
