//! Numbers for people.

use std::time::Duration;

/// A number of bytes in binary units with one decimal: `0 B`, `812 B`, `1.4 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths in whole numbers: exact for any u64.
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = "B";
    for next in UNITS {
        // 1023.95 would print as 1024.0.
        if tenths < 10 * 1024 - 5 {
            break;
        }
        tenths = (tenths + 512) / 1024;
        unit = next;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// How many of something, by the name of one: `1 state`, `3 states`.
pub fn count(number: usize, one: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {one}{ending}")
}

/// A name that a stranger may have given, on one line: what would move the cursor or end the line is written as `\n` is.
pub fn printable(text: &str) -> String {
    let shown = |character: char| {
        if character.is_control() { character.escape_default().collect() } else { character.to_string() }
    };
    text.chars().map(shown).collect()
}

/// A time in seconds with one decimal, in minutes from 100 s on: `0.4 s`, `3 min 20 s`.
pub fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    if whole < 100 {
        return format!("{:.1} s", time.as_secs_f64());
    }
    format!("{} min {} s", whole / 60, whole % 60)
}

/// How long ago something was, in one unit: `12 s ago`, `3 min ago`, `5 h ago`, `12 days ago`.
pub fn ago(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        0..100 => (seconds, "s"),
        100..6_000 => (seconds / 60, "min"),
        6_000..172_800 => (seconds / 3600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{count} {unit} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let shown = [0, 1023, 1024, 1536, 1_048_575, 1_048_576, 5_368_709_120, u64::MAX].map(size);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 MiB", "5.0 GiB", "16777216.0 TiB"]);
    }

    #[test]
    fn ages() {
        let shown = [0, 99, 100, 5_999, 6_000, 172_799, 172_800].map(|seconds| ago(Duration::from_secs(seconds)));
        assert_eq!(shown, ["0 s ago", "99 s ago", "1 min ago", "99 min ago", "1 h ago", "47 h ago", "2 days ago"]);
    }

    #[test]
    fn counts() {
        assert_eq!([0, 1, 2].map(|number| count(number, "state")), ["0 states", "1 state", "2 states"]);
    }

    #[test]
    fn names_on_one_line() {
        assert_eq!(printable("a\n\u{1b}[31m b\tü"), "a\\n\\u{1b}[31m b\\tü");
    }

    #[test]
    fn times() {
        assert_eq!(seconds(Duration::from_millis(440)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(200)), "3 min 20 s");
    }
}
