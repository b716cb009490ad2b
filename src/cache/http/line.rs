//! One question to a web server, and its whole answer.
//!
//! Plain `http://` without a proxy goes the short way, over hyper's own pool of connections: a thousand records over loopback
//! cost two thirds of the processor's time that reqwest takes for them. All else goes over reqwest: TLS, proxies, user names
//! in a URL, and answers that lead elsewhere. Must not know what is asked again, nor what an answer means.

use std::env;
use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use reqwest::{Certificate, ClientBuilder, redirect};

use crate::cache::Patience;
use crate::cache::failure::Failure;

/// Who asks.
const USER_AGENT: &str = concat!("phasesplit/", env!("CARGO_PKG_VERSION"));

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// What a server answered.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    /// How long the server wants to be left alone.
    pub pause: Duration,
    /// What it sent: empty where the status says that it is not what was asked for.
    pub bytes: Vec<u8>,
}

/// Why there is no whole answer.
#[derive(Debug)]
pub struct Lost {
    pub failure: Failure,
    /// Whether the next try may succeed.
    pub in_passing: bool,
}

/// The connections to all caches.
pub struct Line {
    /// `None` where a proxy stands between.
    plain: Option<legacy::Client<HttpConnector, Empty<Bytes>>>,
    full: OnceLock<reqwest::Result<reqwest::Client>>,
    is_secure: bool,
    patience: Patience,
    limit: usize,
}

impl Line {
    /// To the caches at `bases`, for at most `at_once` questions at a time to each, and answers of at most `limit` bytes: of
    /// longer ones only the first bytes come, more than `limit`.
    pub fn new<'a>(bases: impl IntoIterator<Item = &'a str>, patience: Patience, at_once: usize, limit: usize) -> Self {
        let is_direct = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
            .iter()
            .all(|name| env::var_os(name).is_none_or(|value| value.is_empty()));
        let plain = is_direct.then(|| {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            connector.set_connect_timeout(Some(CONNECT.min(patience.answer)));
            legacy::Client::builder(TokioExecutor::new()).pool_max_idle_per_host(at_once).build(connector)
        });
        let is_secure = bases.into_iter().any(|base| base.starts_with("https:"));
        Self { plain, full: OnceLock::new(), is_secure, patience, limit }
    }

    /// Asks for one file.
    pub async fn get(&self, url: &str) -> Result<Reply, Lost> {
        if let (Some(client), Some(uri)) = (&self.plain, plain(url)) {
            let slow = |_| Err(Lost { failure: Failure::Slow(self.patience.answer), in_passing: false });
            let reply = tokio::time::timeout(self.patience.answer, plainly(client, uri, self.limit));
            let reply = reply.await.unwrap_or_else(slow)?;
            if !reply.status.is_redirection() {
                return Ok(reply);
            }
        }
        let client = self.full.get_or_init(|| client(self.is_secure, self.patience)).as_ref();
        let client = client.map_err(|error| Lost {
            failure: Failure::Other(format!("cannot speak HTTP: {}", cause(error))),
            in_passing: false,
        })?;
        fully(client, url, self.limit).await.map_err(|error| self.lost(&error))
    }

    fn lost(&self, error: &reqwest::Error) -> Lost {
        let why = cause(error);
        // A question that got all its time gets no second one.
        let (failure, in_passing) = match (error.is_connect(), error.is_timeout()) {
            (true, _) if why.starts_with("invalid peer certificate") => (Failure::Certificate(why + own_file()), false),
            (true, _) => (Failure::Unreachable(why), true),
            (false, true) => (Failure::Slow(self.patience.answer), false),
            (false, false) if error.is_body() || error.is_decode() => (broke_off(&why), true),
            (false, false) => (Failure::Broken(why), true),
        };
        Lost { failure, in_passing }
    }
}

/// The URL where it needs nothing but plain HTTP.
fn plain(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    // Who has a user name has to say it.
    let is_plain = uri.scheme_str() == Some("http") && !uri.authority()?.as_str().contains('@');
    is_plain.then_some(uri)
}

async fn plainly(client: &legacy::Client<HttpConnector, Empty<Bytes>>, uri: Uri, limit: usize) -> Result<Reply, Lost> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri;
    request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    let response = client.request(request).await.map_err(|error| {
        let why = cause(&error);
        let failure = if error.is_connect() { Failure::Unreachable(why) } else { Failure::Broken(why) };
        Lost { failure, in_passing: true }
    })?;
    let mut reply = Reply { status: response.status(), pause: pause(response.headers()), bytes: Vec::new() };
    let mut body = response.into_body();
    while reply.status == StatusCode::OK
        && reply.bytes.len() <= limit
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|error| Lost { failure: broke_off(&cause(&error)), in_passing: true })?;
        if let Some(data) = frame.data_ref() {
            reply.bytes.extend_from_slice(data);
        }
    }
    Ok(reply)
}

async fn fully(client: &reqwest::Client, url: &str, limit: usize) -> reqwest::Result<Reply> {
    let mut response = client.get(url).send().await?;
    let mut reply = Reply { status: response.status(), pause: pause(response.headers()), bytes: Vec::new() };
    while reply.status == StatusCode::OK
        && reply.bytes.len() <= limit
        && let Some(chunk) = response.chunk().await?
    {
        reply.bytes.extend_from_slice(&chunk);
    }
    Ok(reply)
}

fn pause(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

/// The client for what is not plain. The system's certificates take time to read and may be missing where only http is
/// spoken.
fn client(is_secure: bool, patience: Patience) -> reqwest::Result<reqwest::Client> {
    // That another part of the program chose one before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || -> ClientBuilder {
        reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT.min(patience.answer))
            .timeout(patience.answer)
    };
    if !is_secure {
        let stays_plain = redirect::Policy::custom(|attempt| match attempt.url().scheme() {
            "http" if attempt.previous().len() < 10 => attempt.follow(),
            _ => attempt.stop(),
        });
        return builder().tls_certs_only([]).redirect(stays_plain).build();
    }
    // Nix reads this file, as do its builds.
    let own = env::var_os("NIX_SSL_CERT_FILE").and_then(|file| std::fs::read(file).ok());
    let own = own.and_then(|bytes| Certificate::from_pem_bundle(&bytes).ok()).unwrap_or_default();
    builder().tls_certs_merge(own).build()
}

/// What is wrong with the file of certificates that the user named, for the end of a sentence.
fn own_file() -> &'static str {
    match env::var_os("NIX_SSL_CERT_FILE").map(std::fs::read) {
        None => "",
        Some(Err(_)) => " (the file that NIX_SSL_CERT_FILE names cannot be read)",
        Some(Ok(bytes)) => match Certificate::from_pem_bundle(&bytes) {
            Ok(certificates) if !certificates.is_empty() => "",
            _ => " (the file that NIX_SSL_CERT_FILE names holds no certificate)",
        },
    }
}

fn broke_off(why: &str) -> Failure {
    Failure::Broken(format!("its answer broke off: {why}"))
}

/// The innermost cause, which says most: `Connection refused (os error 111)`.
fn cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
