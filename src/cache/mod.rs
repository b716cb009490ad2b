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
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
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

/// What a cache has of a path: the number of the cache, that of the path, and what was found.
type Find = (usize, usize, Record);

/// Asks every cache for every path. Of `options`, those of the form `--option NAME VALUE` count where Nix is asked.
///
/// What comes is judged while more is on its way.
pub fn ask(urls: &[String], paths: &[&str], judge: &Judge, patience: Patience, options: &[OsString]) -> Vec<Answers> {
    let places: Vec<Place> = urls.iter().map(|url| Place::of(url)).collect();
    let (finds, found) = mpsc::channel::<Find>();
    let found = Mutex::new(found);
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let judges: Vec<_> = (0..threads).map(|_| scope.spawn(|| judged(&found, paths, judge))).collect();
        let over_http: Vec<(usize, &str)> =
            places.iter().enumerate().filter_map(|(cache, place)| Some((cache, place.base()?))).collect();
        let for_http = finds.clone();
        let http = (!over_http.is_empty())
            .then(|| scope.spawn(move || http::records(&over_http, paths, judge.store_dir(), patience, &for_http)));
        let through_nix = move |url: &str, cache: usize, finds: &Sender<Find>| {
            through_nix::records(url, paths, patience, options).map(|records| send(cache, records, finds))
        };
        let others: Vec<_> = urls
            .iter()
            .zip(&places)
            .enumerate()
            .map(|(cache, (url, place))| {
                let finds = finds.clone();
                match place {
                    Place::Http(_) => None,
                    Place::Directory(directory) => Some(scope.spawn(move || {
                        let records = directory::records(directory, paths, judge.store_dir());
                        records.map(|records| send(cache, records, &finds))
                    })),
                    Place::Other => Some(scope.spawn(move || through_nix(url, cache, &finds))),
                }
            })
            .collect();
        let mut http = http.map(|thread| thread.join().unwrap_or_default()).unwrap_or_default().into_iter();
        let ended = || Err(Failure::Other("the question ended unexpectedly".to_owned()));
        let asked = others.into_iter().zip(urls).enumerate().map(|(cache, (other, url))| match other {
            Some(thread) => thread.join().unwrap_or_else(|_| ended()),
            None => match http.next().unwrap_or_else(|| Err(Failure::Other("it was not asked".to_owned()))) {
                // Nix has the passwords.
                Err(Failure::Refused(why)) => through_nix(url, cache, &finds).map_err(|_| Failure::Refused(why)),
                told => told,
            },
        });
        let asked: Vec<Result<(), Failure>> = asked.collect();
        // Nothing more comes.
        drop(finds);
        let unknown = Answer::Untold(Failure::Other("it was not asked".to_owned()));
        let mut answers = vec![vec![unknown; paths.len()]; urls.len()];
        for (cache, path, answer) in judges.into_iter().filter_map(|judge| judge.join().ok()).flatten() {
            answers[cache][path] = answer;
        }
        asked.into_iter().zip(answers).map(|(asked, judged)| asked.map(|()| judged)).collect()
    })
}

/// Sends what a cache has of all paths.
fn send(cache: usize, records: Vec<Record>, finds: &Sender<Find>) {
    for (path, record) in records.into_iter().enumerate() {
        let _ = finds.send((cache, path, record));
    }
}

/// How many records are judged together.
const TOGETHER: usize = 64;

/// How long the first of these waits for the others.
const FOR_OTHERS: Duration = Duration::from_millis(1);

/// Judges what is found, until all has come. A signature costs more than the question for it did.
fn judged(found: &Mutex<Receiver<Find>>, paths: &[&str], judge: &Judge) -> Vec<(usize, usize, Answer)> {
    let mut answers = Vec::new();
    loop {
        let mut finds: Vec<Find> = Vec::new();
        {
            let Ok(found) = found.lock() else { return answers };
            let Ok(first) = found.recv() else { return answers };
            finds.push(first);
            while finds.len() < TOGETHER
                && let Ok(next) = found.recv_timeout(FOR_OTHERS)
            {
                finds.push(next);
            }
        }
        let mut records: Vec<(&str, &[u8])> = Vec::new();
        for (_, path, record) in &finds {
            if let Record::Found(record) = record {
                records.push((paths[*path], record));
            }
        }
        let mut held = judge.judge(&records).into_iter();
        for (cache, path, record) in &finds {
            let answer = match record {
                Record::Missing => Answer::Missing,
                Record::There => Answer::There(Held { verdict: Verdict::Unjudged, download: None, unpacked: None }),
                Record::Untold(failure) => Answer::Untold(failure.clone()),
                Record::Found(_) => match held.next() {
                    Some(held) => Answer::There(held),
                    None => Answer::Untold(Failure::Other("its record was not judged".to_owned())),
                },
            };
            answers.push((*cache, *path, answer));
        }
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
