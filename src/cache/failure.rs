//! Why a cache, or Nix on its behalf, did not do what was asked: one clear word for each cause.

use std::fmt;
use std::time::Duration;

/// Why a cache did not tell or do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answers there.
    Unreachable(String),
    /// It answers, and does not let us.
    Refused(String),
    /// It did not answer in this time.
    Slow(Duration),
    /// Its server says that it is at fault.
    Broken(String),
    /// There is no binary cache, or none for this store.
    NoCache(String),
    /// Nobody whose key is trusted has signed it.
    Unsigned(String),
    /// What it has is not what it says it is.
    Corrupt(String),
    /// The disk is full, here or there.
    DiskFull(String),
    /// Something else.
    Other(String),
}

impl Failure {
    /// The word for it, which scripts may rely on.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::Slow(_) => "slow",
            Self::Broken(_) => "broken",
            Self::NoCache(_) => "no cache",
            Self::Unsigned(_) => "unsigned",
            Self::Corrupt(_) => "corrupt",
            Self::DiskFull(_) => "disk full",
            Self::Other(_) => "failed",
        }
    }

    /// What a person does about it.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unreachable(_) => "see whether its URL is right, and the network (and http_proxy, https_proxy) works",
            Self::Refused(_) => "it wants a login, which Nix reads from `netrc-file`, or it may only be read",
            Self::Slow(_) => "give it more time with --timeout",
            Self::NoCache(_) => "name the URL of the directory that holds `nix-cache-info`",
            Self::Unsigned(_) => {
                "name the key that signed it in Nix's setting `trusted-public-keys`, or sign it with `phasesplit cache \
                 push --key FILE`"
            }
            Self::Corrupt(_) => "delete it in that cache and push it again",
            Self::DiskFull(_) => "free some space, for example with `nix-collect-garbage`",
            Self::Broken(_) | Self::Other(_) => return None,
        })
    }

    /// The cause in what Nix wrote. Its words differ by version; an unknown text stays [`Failure::Other`].
    pub fn of_nix(text: &str) -> Self {
        let line = |needles: &[&str]| {
            let found = text.lines().find(|line| needles.iter().any(|needle| line.contains(needle)))?;
            Some(found.trim().trim_start_matches("error:").trim().to_owned())
        };
        if let Some(line) = line(&["No space left on device", "database or disk is full"]) {
            return Self::DiskFull(line);
        }
        if let Some(line) = line(&["lacks a valid signature", "does not have a valid signature", "is not signed by"]) {
            return Self::Unsigned(line);
        }
        // 2.8 tells a cut NAR by how its reader failed.
        let corrupt =
            ["hash mismatch", "size mismatch", "NAR", "corrupt", "input compression", "unexpected end-of-file"];
        if let Some(line) = line(&corrupt) {
            return Self::Corrupt(line);
        }
        let refused = [
            "HTTP error 401",
            "HTTP error 403",
            "HTTP error 405",
            "HTTP error 407",
            "HTTP error 501",
            "Permission denied",
            "Read-only file system",
            "Access Denied",
            "AccessDenied",
        ];
        if let Some(line) = line(&refused) {
            return Self::Refused(line);
        }
        if let Some(line) = line(&["HTTP error 5", "HTTP error 429"]) {
            return Self::Broken(line);
        }
        let unreachable = [
            "Couldn't connect",
            "Could not connect",
            "Couldn't resolve",
            "Could not resolve",
            "Failed to connect",
            "cannot connect to",
            "failed to start SSH",
            "Connection refused",
            "Timeout was reached",
            "cannot open connection",
        ];
        if let Some(line) = line(&unreachable) {
            return Self::Unreachable(line);
        }
        if let Some(line) = line(&["does not appear to be a binary cache", "there is no cache in"]) {
            return Self::NoCache(line);
        }
        let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
        Self::Other(last.unwrap_or("Nix does not say why").trim_start_matches("error:").trim().to_owned())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow(time) => write!(f, "slow: no answer within {} s", time.as_secs_f64()),
            Self::Other(why) => f.write_str(why),
            Self::Unreachable(why)
            | Self::Refused(why)
            | Self::Broken(why)
            | Self::NoCache(why)
            | Self::Unsigned(why)
            | Self::Corrupt(why)
            | Self::DiskFull(why) => write!(f, "{}: {why}", self.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nix_says_has_its_word() {
        let cases = [
            ("error: unable to download 'http://x/y': Couldn't connect to server (7)", "unreachable"),
            ("error: unable to upload to 'http://x/y': HTTP error 405 ('')", "refused"),
            ("warning: x\nerror: writing to file: No space left on device", "disk full"),
            ("error: cannot add path '/s/x' because it lacks a valid signature", "unsigned"),
            ("error: hash mismatch importing path '/s/x';", "corrupt"),
            ("error: unable to download 'http://x/y': HTTP error 503 ('')", "broken"),
            ("error: what nobody knows", "failed"),
            ("", "failed"),
        ];
        for (text, word) in cases {
            assert_eq!(Failure::of_nix(text).word(), word, "{text}");
        }
        assert_eq!(Failure::of_nix("a\nerror: b\n").to_string(), "b");
    }
}
