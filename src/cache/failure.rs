//! Why a cache, or Nix on its behalf, did not do what was asked: one clear word for each cause.

use std::fmt;
use std::time::Duration;

/// What Nix says of a kind of store that it was built without.
const NO_SUCH_STORE: &str = "don't know how to open Nix store";

/// Why a cache did not tell or do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answers there.
    Unreachable(String),
    /// It answers, and does not let us.
    Refused(String),
    /// Nobody that is trusted says that it is the one it says it is.
    Certificate(String),
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
            Self::Certificate(_) => "certificate not trusted",
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
            Self::NoCache(why) if why.contains(NO_SUCH_STORE) => {
                "this Nix does not know such stores (Debian 12's has no S3): use one that does, as 2.34, or a cache by file:, \
                 http:, https: or ssh:"
            }
            Self::Unreachable(why) | Self::Refused(why) | Self::NoCache(why) if is_of_ssh(why) => {
                "see that `ssh HOST nix-store --version` answers without a question (options for ssh: NIX_SSHOPTS), as the user \
                 who runs Nix: root, where there is a daemon"
            }
            Self::Certificate(_) => {
                "have NIX_SSL_CERT_FILE name a file with all certificates that are trusted, that of this server's authority (CA) \
                 among them; where a Nix daemon fetches, in its environment too"
            }
            Self::Unreachable(_) => "see whether its URL is right, and the network (and http_proxy, https_proxy) works",
            Self::Refused(_) => {
                "it wants a login, which Nix reads from `netrc-file`, or it may only be read; to a bucket (s3:) Debian's Nix does \
                 not log in, so it must be open to this machine"
            }
            Self::Slow(_) => "give it more time with --timeout",
            Self::NoCache(_) => "name the URL of the directory that holds `nix-cache-info`",
            Self::Unsigned(_) => {
                "name the key that signed it in Nix's setting `trusted-public-keys`, or sign it with `phasesplit cache \
                 push --key FILE`; what goes into the store of another machine, with `nix store sign --key-file FILE PATH…`"
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
            let begins = ["error (ignored):", "error:", "warning:"];
            Some(begins.iter().fold(found.trim(), |line, begin| line.trim_start_matches(begin).trim()).to_owned())
        };
        if let Some(line) = line(&["No space left on device", "database or disk is full"]) {
            return Self::DiskFull(line);
        }
        if let Some(line) = line(&["lacks a valid signature", "does not have a valid signature", "is not signed by"]) {
            return Self::Unsigned(line);
        }
        if let Some(line) = line(&[NO_SUCH_STORE]) {
            return Self::NoCache(line);
        }
        if text.contains("<Code>NoSuchBucket</Code>") {
            return Self::NoCache("there is no such bucket".to_owned());
        }
        // Who may not read a bucket is told that nothing is there.
        if let Some(line) = line(&["to the binary cache because the reference"]) {
            return Self::Refused(format!("it takes what is sent, and does not tell of it: {line}"));
        }
        // What ssh and the shell over there write comes before what Nix makes of it.
        if let Some(line) = line(&["Permission denied (", "Host key verification failed"]) {
            return Self::Refused(line);
        }
        if let Some(line) = line(&["ssh: connect to host", "ssh: Could not resolve hostname"]) {
            return Self::Unreachable(line);
        }
        if let Some(line) = line(&["command not found", "nix-store: not found", "nix-daemon: not found"]) {
            return Self::NoCache(line);
        }
        if let Some(line) = line(&["cannot open connection to remote store", "failed to start SSH"]) {
            return Self::Unreachable(line);
        }
        if let Some(line) = line(&["peer certificate", "SSL CA cert", "SSL certificate problem"]) {
            return Self::Certificate(line);
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
            "Connection refused",
            "Timeout was reached",
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

/// Whether a connection by ssh failed.
fn is_of_ssh(why: &str) -> bool {
    let words = ["ssh", "Permission denied (", "Host key verification", "not found", "cannot connect to '"];
    words.iter().any(|words| why.contains(words))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow(time) => write!(f, "slow: no answer within {} s", time.as_secs_f64()),
            Self::Other(why) => f.write_str(why),
            Self::Unreachable(why)
            | Self::Refused(why)
            | Self::Certificate(why)
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
            // Of 2.8.
            ("root@h: Permission denied (publickey).\nerror: cannot connect to 'root@h'", "refused"),
            (
                "ssh: connect to host h port 9: Connection refused\nerror: cannot open connection to remote store \
                 'ssh-ng://h': error: unexpected end-of-file",
                "unreachable",
            ),
            ("bash: line 1: nix-store: command not found\nerror: cannot connect to 'root@h'", "no cache"),
            (
                "error: unable to download 'https://x/y': SSL peer certificate or SSH remote key was not OK (60)",
                "certificate not trusted",
            ),
            ("error: don't know how to open Nix store 's3://b?region=us-east-1'", "no cache"),
            // Of 2.34.
            (
                "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>",
                "no cache",
            ),
            ("error: what nobody knows", "failed"),
            ("", "failed"),
        ];
        for (text, word) in cases {
            assert_eq!(Failure::of_nix(text).word(), word, "{text}");
        }
        assert_eq!(Failure::of_nix("a\nerror: b\n").to_string(), "b");
    }
}
