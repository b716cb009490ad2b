//! A web server for a directory, on a port of its own, that can be told to misbehave.
#![allow(dead_code, missing_docs, clippy::missing_panics_doc)] // each test binary uses its part

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Answers with the file, or 404; a PUT is written.
    Serve,
    /// Answers with this status and no file.
    Status(u16),
    /// Says that the file is below `/moved`.
    Moved,
    /// Answers so much later.
    Late(Duration),
    /// Closes the connection in the middle of the file.
    Cut,
}

/// A server that runs until the test ends.
pub struct Server {
    pub url: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<BTreeMap<String, usize>>,
}

type Behaviour = dyn Fn(&str, usize) -> Act + Send + Sync;

impl Server {
    /// Serves `directory` as `behaviour` says of a request's path, and how often it was asked for before.
    pub fn new(directory: &Path, behaviour: impl Fn(&str, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Seen::default());
        let shared: (Arc<Seen>, Arc<Behaviour>, PathBuf) =
            (Arc::clone(&seen), Arc::new(behaviour), directory.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, behaviour, directory) = shared.clone();
                seen.connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || while let Some(true) = answer(&stream, &seen, &*behaviour, &directory) {});
            }
        });
        Self { url, seen }
    }

    /// Connections that were made.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// How often each path was asked for.
    pub fn requests(&self) -> BTreeMap<String, usize> {
        self.seen.requests.lock().expect("no test panics here").clone()
    }
}

/// Answers one request; whether there may be another, `None` where there was none. What a proxy is asked for is a whole URL.
fn answer(mut stream: &TcpStream, seen: &Seen, behaviour: &Behaviour, directory: &Path) -> Option<bool> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).ok()? == 0 {
            return None;
        }
        if header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        if header.to_ascii_lowercase().starts_with("expect:") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
    }
    let mut body = vec![0; length];
    std::io::Read::read_exact(&mut reader, &mut body).ok()?;
    let nth = {
        let mut requests = seen.requests.lock().expect("no test panics here");
        let nth = requests.entry(target.clone()).or_default();
        *nth += 1;
        *nth - 1
    };
    let path = target.split("://").last()?.split_once('/').map_or("", |(_, path)| path).to_owned();
    let file = directory.join(&path);
    let mut act = behaviour(&target, nth);
    if let Act::Late(time) = act {
        thread::sleep(time);
        act = Act::Serve;
    }
    let place = if matches!(act, Act::Moved) { format!("Location: /moved/{path}\r\n") } else { String::new() };
    let mut send = |status: u16, body: &[u8], cut: bool| {
        let head = format!("HTTP/1.1 {status} X\r\n{place}Content-Length: {}\r\n\r\n", body.len());
        let body = if cut { &body[..body.len() / 2] } else { body };
        let sent = stream
            .write_all(head.as_bytes())
            .and_then(|()| if method == "HEAD" { Ok(()) } else { stream.write_all(body) });
        sent.is_ok() && !cut
    };
    let done = match act {
        Act::Status(status) => send(status, b"", false),
        Act::Moved => send(302, b"", false),
        _ if method == "PUT" => {
            fs::create_dir_all(file.parent()?).ok()?;
            // Whole or not at all, for who reads it meanwhile.
            let part = file.with_extension(format!("{:?}.part", thread::current().id()));
            fs::write(&part, body).ok()?;
            fs::rename(&part, &file).ok()?;
            send(201, b"", false)
        }
        act => match fs::read(&file) {
            Ok(bytes) => send(200, &bytes, matches!(act, Act::Cut)),
            Err(_) => send(404, b"", false),
        },
    };
    if !done {
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
    Some(done)
}
