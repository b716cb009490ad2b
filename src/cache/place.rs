//! What the URL of a cache means, as far as phasesplit reads it.

use std::path::PathBuf;

/// Where a cache is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a web server; the URL without parameters and without a slash at its end.
    Http(String),
    /// A binary cache in the file system.
    Directory(PathBuf),
    /// What only Nix can ask: S3, ssh, another store on this machine.
    Other,
}

impl Place {
    /// Reads a URL as Nix takes it, with parameters behind `?`.
    pub fn of(url: &str) -> Self {
        let plain = without_parameters(url).trim_end_matches('/');
        if let Some(path) = plain.strip_prefix("file://") {
            return Self::Directory(PathBuf::from(if path.is_empty() { "/" } else { path }));
        }
        if plain.starts_with("http://") || plain.starts_with("https://") {
            Self::Http(plain.to_owned())
        } else {
            Self::Other
        }
    }

    /// The URL of a cache on a web server.
    pub fn base(&self) -> Option<&str> {
        match self {
            Self::Http(base) => Some(base),
            Self::Directory(_) | Self::Other => None,
        }
    }
}

/// The URL without its parameters.
pub fn without_parameters(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

/// Whether the URL says that what it has needs no signature.
pub fn is_trusted(url: &str) -> bool {
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    parameters.split('&').any(|parameter| matches!(parameter, "trusted=1" | "trusted=true"))
}

/// Whether the store behind a URL keeps records and packed files: only there compression and a signing key mean something.
pub fn is_binary_cache(url: &str) -> bool {
    ["http://", "https://", "file://", "s3://"].iter().any(|scheme| url.starts_with(scheme))
}

/// The URL with one more parameter, its value written so that nothing in it ends it.
pub fn with_parameter(url: &str, name: &str, value: &str) -> String {
    use std::fmt::Write as _;
    let mut url = format!("{url}{}{name}=", if url.contains('?') { '&' } else { '?' });
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => url.push(byte.into()),
            _ => {
                let _ = write!(url, "%{byte:02X}");
            }
        }
    }
    url
}

/// A cache's name for a table: the host of a URL, the last part of a directory.
pub fn short(url: &str) -> &str {
    let plain = without_parameters(url).trim_end_matches('/');
    match plain.split_once("://") {
        Some(("file", path)) => path.rsplit('/').next().unwrap_or(path),
        // What stands before an @ may be a password.
        Some((_, rest)) => rest.split('/').next().unwrap_or(rest).rsplit('@').next().unwrap_or(rest),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_caches() {
        assert_eq!(Place::of("file:///srv/cache?compression=zstd"), Place::Directory("/srv/cache".into()));
        assert_eq!(Place::of("https://cache.example.org/?priority=1"), Place::Http("https://cache.example.org".into()));
        for other in ["s3://bucket?region=x", "ssh://host", "ssh-ng://host", "daemon", "/srv/store", "auto"] {
            assert_eq!(Place::of(other), Place::Other, "{other}");
        }
        assert!(is_binary_cache("s3://b") && !is_binary_cache("ssh://h"));
    }

    #[test]
    fn parameters_are_read_and_added() {
        assert!(
            is_trusted("https://x?priority=3&trusted=1") && !is_trusted("https://x?untrusted=1") && !is_trusted("x")
        );
        let url = with_parameter("file:///c", "compression", "zstd");
        assert_eq!(with_parameter(&url, "secret-key", "/k &é"), "file:///c?compression=zstd&secret-key=/k%20%26%C3%A9");
    }

    #[test]
    fn names_of_caches_have_no_passwords() {
        assert_eq!(short("https://me:secret@cache.example.org:81/x?y"), "cache.example.org:81");
        assert_eq!(short("file:///srv/states/"), "states");
        assert_eq!(short("daemon"), "daemon");
    }
}
