//! Listing a state for people: one line per entry, from the manifest alone.

use std::io::{self, Write};
use std::path::Path;

use super::entry::{Entry, Kind, Mtime};
use super::error::{Error, Result, Shown, as_path};
use super::spill::Scratch;
use super::{format, info, manifest};

/// Writes a line per entry to `out`: type and mode as `ls` does, size in bytes, mtime in UTC to the nanosecond, path, target.
///
/// # Errors
/// A damaged or unknown state. Errors of `out` are in the inner result, so that the caller can take a closed pipe for
/// an end.
pub fn list(state: &Path, out: &mut impl Write) -> Result<io::Result<()>> {
    info::read("list", state)?;
    let records = manifest::read_packed("list", state, &Scratch::system())?.records;
    let mut largest = 0;
    let measured = records.each(|_, record| {
        largest = largest.max(record.entry.size);
        Ok(())
    });
    measured.map_err(|source| Error::io("list", state.join(format::MANIFEST), source))?;
    let width = largest.to_string().len();
    Ok(records.each(|_, record| writeln!(out, "{}", line(&record.entry, width))))
}

/// A line: type and mode, size in `width` columns, mtime, path and target.
pub fn line(entry: &Entry, width: usize) -> String {
    let path = Shown(as_path(&entry.path));
    let link = Shown(as_path(&entry.link));
    let target = match entry.kind {
        Kind::Symlink => format!(" -> {link}"),
        Kind::HardLink => format!(" link to {link}"),
        _ => String::new(),
    };
    format!("{} {:width$} {} {path}{target}", mode(entry), entry.size, utc(entry.mtime))
}

/// Type and mode as `ls` shows them; `h` is a hard link.
pub fn mode(entry: &Entry) -> String {
    let kind = match entry.kind {
        Kind::File | Kind::Sparse => '-',
        Kind::Directory => 'd',
        Kind::Symlink => 'l',
        Kind::HardLink => 'h',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = entry.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (entry.mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// ISO 8601; years outside 0 to 9999 as seconds since 1970, since no file system of today has them.
pub fn utc(time: Mtime) -> String {
    let days = time.secs.div_euclid(86_400);
    let second = time.secs.rem_euclid(86_400);
    // The calendar repeats every 400 years, 146,097 days; counted from 1 March of year 0, a leap day ends its year.
    let Some(day) = days.checked_add(719_468).filter(|day| (60..3_652_485).contains(day)) else {
        return format!("{}.{:09}", time.secs, time.nanos);
    };
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year + i64::from(month >= 10), (month + 2) % 12 + 1);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", time.nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        // Checked with `date -u -d @N`.
        let cases = [
            (0, "1970-01-01T00:00:00.000000005Z"),
            (-1, "1969-12-31T23:59:59.000000005Z"),
            (951_782_399, "2000-02-28T23:59:59.000000005Z"),
            (951_782_400, "2000-02-29T00:00:00.000000005Z"),
            (1_763_676_000, "2025-11-20T22:00:00.000000005Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000005Z"),
            (8_589_934_592, "2242-03-16T12:56:32.000000005Z"),
            (-2_208_988_800, "1900-01-01T00:00:00.000000005Z"),
            (i64::MAX, "9223372036854775807.000000005"),
        ];
        for (secs, text) in cases {
            assert_eq!(utc(Mtime { secs, nanos: 5 }), text);
        }
    }

    #[test]
    fn a_line_shows_type_and_all_mode_bits() {
        let entry = Entry {
            path: b"build/a\nb".to_vec(),
            kind: Kind::Symlink,
            mode: 0o7640,
            size: 0,
            mtime: Mtime::default(),
            link: b"t".to_vec(),
            hash: None,
        };
        let expected = "lrwSr-S--T   0 1970-01-01T00:00:00.000000000Z build/a\\x0ab -> t";
        assert_eq!(line(&entry, 3), expected);
    }
}
