//! What the subcommands write has in common: standard output, names that a terminal must not take for commands, JSON.

use std::fmt::{Display, Write as _};
use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::inspect::json::put;
use crate::state::entry::{Entry, Kind};
use crate::state::error::{Shown, as_path};

/// Standard output, buffered: whoever writes to it flushes it.
pub fn standard() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(1 << 16, io::stdout().lock())
}

/// Bytes of a state in a line: control characters, and what is no UTF-8, as `\xNN`.
pub fn shown(bytes: &[u8]) -> impl Display + '_ {
    struct Bytes<'a>(&'a [u8]);
    impl Display for Bytes<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            Shown(as_path(self.0)).fmt(f)
        }
    }
    Bytes(bytes)
}

/// Text of several lines, such as a script or a log: its lines stay, the rest is as in [`shown`] but for tabs and
/// backslashes.
pub fn lines(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() && c != '\n' && c != '\t' {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// JSON, and a newline.
pub fn json(value: &impl Serialize) -> io::Result<()> {
    let mut out = standard();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    out.flush()
}

/// An entry as JSON. Bytes that are no UTF-8 are replaced in `path` and `link`; `pathBytes` and `linkBytes` then have them
/// in hexadecimal.
pub fn entry(entry: &Entry) -> Map<String, Value> {
    let mut object = Map::new();
    put(&mut object, "path", &entry.path);
    let kind = match entry.kind {
        Kind::File | Kind::Sparse => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
        Kind::HardLink => "hardLink",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
    };
    object.insert("kind".to_owned(), kind.into());
    object.insert("mode".to_owned(), format!("{:04o}", entry.mode).into());
    object.insert(
        "mtime".to_owned(),
        serde_json::json!({ "seconds": entry.mtime.secs, "nanoseconds": entry.mtime.nanos }),
    );
    if entry.is_file() {
        object.insert("size".to_owned(), entry.size.into());
    }
    if entry.kind == Kind::Sparse {
        object.insert("holes".to_owned(), true.into());
    }
    if let Some(hash) = &entry.hash {
        object.insert("blake3".to_owned(), blake3::Hash::from_bytes(*hash).to_hex().as_str().into());
    }
    if !entry.link.is_empty() {
        put(&mut object, "link", &entry.link);
    }
    object
}

/// Bytes go to a program as they are; a terminal gets [`lines`] of them.
pub struct Guarded<W> {
    out: W,
    is_terminal: bool,
    /// The beginning of a character that was cut.
    pending: Vec<u8>,
}

impl Guarded<BufWriter<StdoutLock<'static>>> {
    /// Around standard output.
    pub fn standard() -> Self {
        Self { out: standard(), is_terminal: io::stdout().is_terminal(), pending: Vec::new() }
    }
}

impl<W: Write> Guarded<W> {
    /// Writes what is left.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        self.out.write_all(lines(&pending).as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> Write for Guarded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_terminal {
            return self.out.write(bytes);
        }
        self.pending.extend_from_slice(bytes);
        let cut = match std::str::from_utf8(&self.pending) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.pending.len(),
        };
        let rest = self.pending.split_off(cut);
        let whole = std::mem::replace(&mut self.pending, rest);
        self.out.write_all(lines(&whole).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_commands() {
        for (is_terminal, expected) in
            [(true, &b"a\tb\n\\u{1b}[2J\xe2\x82\xac\\xff"[..]), (false, b"a\tb\n\x1b[2J\xe2\x82\xac\xff")]
        {
            let mut out = Vec::new();
            let mut guarded = Guarded { out: &mut out, is_terminal, pending: Vec::new() };
            for byte in b"a\tb\n\x1b[2J\xe2\x82\xac\xff" {
                guarded.write_all(&[*byte]).unwrap();
            }
            guarded.finish().unwrap();
            assert_eq!(out, expected);
        }
    }
}
