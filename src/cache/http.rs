//! Binary caches on web servers: the records of many paths over few connections that stay open.
//!
//! What fails in passing is asked again after growing pauses: no connection, a connection that breaks, a server that says
//! it is at fault or busy. That a record is not there is an answer: 404, 410, and 403, which S3 gives for it. The proxy is
//! that of `http_proxy`, `https_proxy` and `no_proxy`. Must not know what a record says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use nix_narinfo::MAX_NARINFO_SIZE;
use reqwest::{Certificate, Client, ClientBuilder, Response, StatusCode, header, redirect};
use tokio::task::JoinSet;

use super::failure::Failure;
use super::{Find, Patience, Record, check_info, record_name};

/// Questions under way to one cache at a time. Nix has 25; answers of the distant caches take 20 ms and more.
const AT_ONCE: usize = 64;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// The first pause before a question is asked again; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);

/// No pause is longer, whatever the server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// After so many questions that failed for good, the others get one try each: the server is not well.
const PATIENCE_ENDS: u32 = 4;

/// Sends the records of `paths` in each of the caches to `finds`, each with the number of its cache and of its path; gives
/// why a cache cannot be asked at all.
pub fn records(
    caches: &[(usize, &str)],
    paths: &[&str],
    store_dir: &str,
    patience: Patience,
    finds: &Sender<Find>,
) -> Vec<Result<(), Failure>> {
    let all = |failure: &Failure| caches.iter().map(|_| Err(failure.clone())).collect();
    let client = match client(caches, patience) {
        Ok(client) => client,
        Err(error) => return all(&Failure::Other(format!("cannot speak HTTP: {}", cause(&error)))),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return all(&Failure::Other(format!("cannot speak HTTP: {error}"))),
    };
    let names: Arc<[String]> = paths.iter().map(|path| record_name(path)).collect();
    runtime.block_on(async {
        let caches: Vec<_> = caches
            .iter()
            .map(|(number, base)| {
                let cache = Cache {
                    client: client.clone(),
                    number: *number,
                    base: (*base).to_owned(),
                    patience,
                    names: Arc::clone(&names),
                    next: AtomicUsize::new(0),
                    failed: AtomicU32::new(0),
                    finds: finds.clone(),
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

/// The client for all caches. The system's certificates take time to read and may be missing where only http is spoken.
fn client(caches: &[(usize, &str)], patience: Patience) -> reqwest::Result<Client> {
    // That another part of the program chose one before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || -> ClientBuilder {
        Client::builder()
            .user_agent(concat!("phasesplit/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT.min(patience.answer))
            .timeout(patience.answer)
            .pool_max_idle_per_host(AT_ONCE)
    };
    if !caches.iter().any(|(_, base)| base.starts_with("https:")) {
        let stays_plain = redirect::Policy::custom(|attempt| match attempt.url().scheme() {
            "http" if attempt.previous().len() < 10 => attempt.follow(),
            _ => attempt.stop(),
        });
        return builder().tls_certs_only([]).redirect(stays_plain).build();
    }
    // Nix reads this file, as do its builds.
    let own = std::env::var_os("NIX_SSL_CERT_FILE").and_then(|file| std::fs::read(file).ok());
    let own = own.and_then(|bytes| Certificate::from_pem_bundle(&bytes).ok()).unwrap_or_default();
    builder().tls_certs_merge(own).build()
}

/// What is wrong with the file of certificates that the user named, for the end of a sentence.
fn own_file() -> &'static str {
    match std::env::var_os("NIX_SSL_CERT_FILE").map(std::fs::read) {
        None => "",
        Some(Err(_)) => " (the file that NIX_SSL_CERT_FILE names cannot be read)",
        Some(Ok(bytes)) => match Certificate::from_pem_bundle(&bytes) {
            Ok(certificates) if !certificates.is_empty() => "",
            _ => " (the file that NIX_SSL_CERT_FILE names holds no certificate)",
        },
    }
}

/// A cache that is asked.
struct Cache {
    client: Client,
    number: usize,
    base: String,
    patience: Patience,
    /// The records that are wanted.
    names: Arc<[String]>,
    /// The first that nobody has asked for yet.
    next: AtomicUsize,
    /// How many questions failed for good.
    failed: AtomicU32,
    /// Where what is found goes to.
    finds: Sender<Find>,
}

impl Cache {
    async fn records(self: Arc<Self>, store_dir: String) -> Result<(), Failure> {
        // Asked first: it tells what is no cache, and brings the connection that HTTP/2 needs only one of.
        match self.get("nix-cache-info").await? {
            None => return Err(Failure::NoCache(format!("there is no {}/nix-cache-info", self.base))),
            Some(info) => check_info(&info, &store_dir)?,
        }
        let mut workers = JoinSet::new();
        for _ in 0..AT_ONCE.min(self.names.len()) {
            workers.spawn(Arc::clone(&self).work());
        }
        while let Some(done) = workers.join_next().await {
            done.map_err(|error| Failure::Other(error.to_string()))?;
        }
        Ok(())
    }

    /// Asks for one record after the other, until there is none left.
    async fn work(self: Arc<Self>) {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(name) = self.names.get(at) else { return };
            let record = match self.get(name).await {
                Ok(Some(bytes)) => Record::Found(bytes),
                Ok(None) | Err(Attempt { status: Some(StatusCode::FORBIDDEN), .. }) => Record::Missing,
                Err(attempt) => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    Record::Untold(attempt.failure)
                }
            };
            let _ = self.finds.send((self.number, at, record));
        }
    }

    /// A file of the cache, `None` where it has none of that name.
    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Attempt> {
        let url = format!("{}/{name}", self.base);
        let mut tries = 0;
        loop {
            tries += 1;
            let failed = match self.client.get(&url).send().await {
                Ok(response) => match read(response, self.patience.answer).await {
                    Ok(found) => return Ok(found),
                    Err(failed) => failed,
                },
                Err(error) => self.failed(&error),
            };
            let retries = if self.failed.load(Ordering::Relaxed) < PATIENCE_ENDS { self.patience.retries } else { 0 };
            if !failed.in_passing || tries > retries {
                return Err(failed);
            }
            let pause = PAUSE.saturating_mul(1 << (tries - 1).min(10)).max(failed.pause);
            tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        }
    }

    fn failed(&self, error: &reqwest::Error) -> Attempt {
        let why = cause(error);
        // A question that got all its time gets no second one.
        let (failure, in_passing) = match (error.is_connect(), error.is_timeout()) {
            (true, _) if why.starts_with("invalid peer certificate") => (Failure::Certificate(why + own_file()), false),
            (true, _) => (Failure::Unreachable(why), true),
            (false, true) => (Failure::Slow(self.patience.answer), false),
            (false, false) => (Failure::Broken(why), true),
        };
        Attempt { failure, status: None, in_passing, pause: Duration::ZERO }
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

/// What an answer holds.
async fn read(mut response: Response, patience: Duration) -> Result<Option<Vec<u8>>, Attempt> {
    let status = response.status();
    let failed = |failure, in_passing| {
        let pause = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Attempt { failure, status: Some(status), in_passing, pause: Duration::from_secs(pause.unwrap_or(0)) }
    };
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            return Err(failed(Failure::Refused(format!("it says {status}")), false));
        }
        _ => {
            let busy = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
            return Err(failed(Failure::Broken(format!("it says {status}")), busy || status.is_server_error()));
        }
    }
    let mut bytes = Vec::new();
    // One byte more than a record may have is enough to find that it is none.
    while bytes.len() <= MAX_NARINFO_SIZE {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => {
                let failure = if error.is_timeout() {
                    Failure::Slow(patience)
                } else {
                    Failure::Broken(format!("its answer broke off: {}", cause(&error)))
                };
                return Err(Attempt { failure, status: None, in_passing: !error.is_timeout(), pause: Duration::ZERO });
            }
        }
    }
    Ok(Some(bytes))
}

/// The innermost cause, which says most: `Connection refused (os error 111)`.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
