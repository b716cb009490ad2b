//! For scripts/bench-cache.sh: asks a binary cache for the paths on standard input, as `phasesplit cache status` does, and
//! plainly, with 64 connections and nothing done with the answers, and as phasesplit where no key is trusted, so that records
//! are read and no signature is verified; prints the milliseconds that each takes, of each round, in which each is done for a
//! second. Without ROUNDS it asks once, as phasesplit does, and prints nothing: for measuring the whole process.
//!
//! ```text
//! ask_caches URL PUBLIC_KEY [ROUNDS] < paths
//! ```

use std::env;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use phasesplit::cache::judge::{Judge, Verdict};
use phasesplit::cache::{self, Answer, Patience};

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// As many questions as phasesplit has under way to a cache that is far away.
const CONNECTIONS: usize = 64;

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (url, key, rounds) = match &arguments[..] {
        [url, key] => (url, key, None),
        [url, key, rounds] => (url, key, Some(rounds)),
        _ => return Err("ask_caches URL PUBLIC_KEY [ROUNDS] < paths".into()),
    };
    let paths: Vec<String> = io::stdin().lock().lines().collect::<Result<_, _>>()?;
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let judge = Judge::new("/nix/store", [key.as_str()])?;
    let keyless = Judge::new("/nix/store", [])?;
    let ask = |judge: &Judge| -> Result<usize, Failed> {
        let patience = Patience { answer: Duration::from_secs(20), retries: 0 };
        let answers = cache::ask(std::slice::from_ref(url), &paths, judge, patience, &[]);
        let answers = answers.into_iter().next().ok_or("no answer")?.map_err(|failure| failure.to_string())?;
        let is_signed =
            |answer: &&Answer| matches!(answer, Answer::There(held) if matches!(held.verdict, Verdict::Signed(_)));
        Ok(answers.iter().filter(is_signed).count())
    };
    let Some(rounds) = rounds else {
        let signed = ask(&judge)?;
        return if signed == paths.len() { Ok(()) } else { Err(format!("only {signed} are signed").into()) };
    };
    for _ in 0..rounds.parse()? {
        let plain = a_second_of(|| plainly(url, &paths))?;
        let mut signed = paths.len();
        let asked = a_second_of(|| {
            signed = signed.min(ask(&judge)?);
            Ok(())
        })?;
        let read = a_second_of(|| ask(&keyless).map(|_| ()))?;
        println!("plain {plain:.1} asked {asked:.1} signed {signed} read {read:.1}");
    }
    Ok(())
}

/// The mean milliseconds of what is done again and again for a second, as wrk's rate is that of a second: the processors are
/// awake, and nothing is asked for the first time.
fn a_second_of(mut what: impl FnMut() -> Result<(), Failed>) -> Result<f64, Failed> {
    let start = Instant::now();
    let mut times = 0_u32;
    while start.elapsed() < Duration::from_secs(1) {
        what()?;
        times += 1;
    }
    Ok(start.elapsed().as_secs_f64() * 1000.0 / f64::from(times))
}

/// Every record once, over connections that stay open.
fn plainly(url: &str, paths: &[&str]) -> Result<(), Failed> {
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| -> Result<(), Failed> {
                    let mut stream = TcpStream::connect(host)?;
                    stream.set_nodelay(true)?;
                    let mut reader = BufReader::new(stream.try_clone()?);
                    while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let hash = path.rsplit('/').next().and_then(|base| base.split('-').next()).ok_or("no path")?;
                        write!(stream, "GET /{hash}.narinfo HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
                        let mut length = 0;
                        let mut line = String::new();
                        while reader.read_line(&mut line)? > 2 {
                            if let Some(value) = line.strip_prefix("Content-Length: ") {
                                length = value.trim().parse()?;
                            }
                            line.clear();
                        }
                        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread ended unexpectedly")?)
    })
}
