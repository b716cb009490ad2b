//! Binary caches on web servers: the records of many paths over few connections that stay open.
//!
//! What fails in passing is asked again after growing pauses: no connection, a connection that breaks, a server that says
//! it is at fault or busy. That a record is not there is an answer: 404, 410, and 403, which S3 gives for it. The proxy is
//! that of `http_proxy`, `https_proxy` and `no_proxy`. Must not know what a record says.

mod line;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use nix_narinfo::MAX_NARINFO_SIZE;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use line::{Line, Lost, Reply};

use super::failure::Failure;
use super::{Patience, Record, check_info, record_name};

/// Questions under way to one cache at a time. Nix has 25; answers of the distant caches take 20 ms and more.
const AT_ONCE: usize = 64;

/// With so many it begins. A connection costs as much as some questions do, and a cache that is near is no faster for more.
const AT_FIRST: usize = 16;

/// An answer that takes longer brings one more question under way.
const NEAR: Duration = Duration::from_millis(5);

/// The first pause before a question is asked again; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);

/// No pause is longer, whatever the server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// After so many questions that failed for good, the others get one try each: the server is not well.
const PATIENCE_ENDS: u32 = 4;

/// The records of `paths` in each of the caches, in their order.
pub fn records(
    caches: &[&str],
    paths: &[&str],
    store_dir: &str,
    patience: Patience,
) -> Vec<Result<Vec<Record>, Failure>> {
    if caches.is_empty() {
        return Vec::new();
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return caches.iter().map(|_| Err(Failure::Other(format!("cannot speak HTTP: {error}")))).collect();
        }
    };
    let line = Arc::new(Line::new(caches.iter().copied(), patience, AT_ONCE, MAX_NARINFO_SIZE));
    let names: Arc<[String]> = paths.iter().map(|path| record_name(path)).collect();
    runtime.block_on(async {
        let caches: Vec<_> = caches
            .iter()
            .map(|base| {
                let cache = Cache {
                    line: Arc::clone(&line),
                    base: (*base).to_owned(),
                    patience,
                    names: Arc::clone(&names),
                    next: AtomicUsize::new(0),
                    turns: Semaphore::new(AT_FIRST),
                    more: AtomicUsize::new(AT_ONCE - AT_FIRST),
                    failed: AtomicU32::new(0),
                };
                tokio::spawn(Arc::new(cache).records(store_dir.to_owned()))
            })
            .collect();
        let mut told = Vec::new();
        for cache in caches {
            told.push(cache.await.unwrap_or_else(|error| Err(Failure::Other(error.to_string()))));
        }
        told
    })
}

/// A cache that is asked.
struct Cache {
    line: Arc<Line>,
    base: String,
    patience: Patience,
    /// The records that are wanted.
    names: Arc<[String]>,
    /// The first that nobody has asked for yet.
    next: AtomicUsize,
    /// For each of those who may ask.
    turns: Semaphore,
    /// How many more may come.
    more: AtomicUsize,
    /// How many questions failed for good.
    failed: AtomicU32,
}

impl Cache {
    async fn records(self: Arc<Self>, store_dir: String) -> Result<Vec<Record>, Failure> {
        // Asked first: it tells what is no cache, and brings the connection that HTTP/2 needs only one of.
        match self.get("nix-cache-info").await? {
            None => return Err(Failure::NoCache(format!("there is no {}/nix-cache-info", self.base))),
            Some(info) => check_info(&info, &store_dir)?,
        }
        let mut workers = JoinSet::new();
        for _ in 0..AT_ONCE.min(self.names.len()) {
            workers.spawn(Arc::clone(&self).work());
        }
        let mut found = Vec::with_capacity(self.names.len());
        while let Some(done) = workers.join_next().await {
            found.extend(done.map_err(|error| Failure::Other(error.to_string()))?);
        }
        // Each was asked for once.
        found.sort_unstable_by_key(|(at, _)| *at);
        Ok(found.into_iter().map(|(_, record)| record).collect())
    }

    /// Asks for one record after the other, until there is none left; gives them with their numbers.
    async fn work(self: Arc<Self>) -> Vec<(usize, Record)> {
        let mut found = Vec::new();
        let Ok(_turn) = self.turns.acquire().await else { return found };
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(name) = self.names.get(at) else { return found };
            let asked = Instant::now();
            let record = match self.get(name).await {
                Ok(Some(bytes)) => Record::Found(bytes),
                Ok(None) | Err(Attempt { status: Some(StatusCode::FORBIDDEN), .. }) => Record::Missing,
                Err(attempt) => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    Record::Untold(attempt.failure)
                }
            };
            let take = |more: usize| more.checked_sub(1);
            if asked.elapsed() > NEAR && self.more.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                self.turns.add_permits(1);
            }
            found.push((at, record));
        }
    }

    /// A file of the cache, `None` where it has none of that name.
    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Attempt> {
        let url = format!("{}/{name}", self.base);
        let mut tries = 0;
        loop {
            tries += 1;
            let failed = match self.line.get(&url).await.map_err(Attempt::from).and_then(read) {
                Ok(found) => return Ok(found),
                Err(failed) => failed,
            };
            let retries = if self.failed.load(Ordering::Relaxed) < PATIENCE_ENDS { self.patience.retries } else { 0 };
            if !failed.in_passing || tries > retries {
                return Err(failed);
            }
            let pause = PAUSE.saturating_mul(1 << (tries - 1).min(10)).max(failed.pause);
            tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        }
    }
}

/// A try that failed.
#[derive(Debug)]
struct Attempt {
    failure: Failure,
    status: Option<StatusCode>,
    /// Whether the next may succeed.
    in_passing: bool,
    /// How long the server wants to be left alone.
    pause: Duration,
}

impl From<Attempt> for Failure {
    fn from(attempt: Attempt) -> Self {
        attempt.failure
    }
}

impl From<Lost> for Attempt {
    fn from(Lost { failure, in_passing }: Lost) -> Self {
        Self { failure, status: None, in_passing, pause: Duration::ZERO }
    }
}

/// What an answer holds.
fn read(Reply { status, pause, bytes }: Reply) -> Result<Option<Vec<u8>>, Attempt> {
    let failed = |failure, in_passing| Attempt { failure, status: Some(status), in_passing, pause };
    match status {
        StatusCode::OK => Ok(Some(bytes)),
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Err(failed(Failure::Refused(format!("it says {status}")), false))
        }
        _ => {
            let busy = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
            Err(failed(Failure::Broken(format!("it says {status}")), busy || status.is_server_error()))
        }
    }
}
