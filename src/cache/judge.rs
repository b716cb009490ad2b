//! What a cache's record of a path is worth: whether it is a record of that path, and who signed it.
//!
//! The rules are Nix's (`ValidPathInfo::checkSignatures`): one good signature by a trusted key is enough, and a path that
//! is the address of its content needs none. A signature that names a trusted key and does not fit is told apart from a
//! foreign one: the record was changed, or another key has that name.

use nix_derivation::StoreDir;
use nix_narinfo::{NarInfo, TrustedPublicKey};

use super::Held;

/// What a record is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Signed by this trusted key.
    Signed(String),
    /// Its path is the address of its content.
    ContentAddressed,
    /// Nobody signed it.
    Unsigned,
    /// Only keys signed it that are not trusted: their names.
    WrongKey(Vec<String>),
    /// It is no record of that path, or not the one that was signed: why.
    Corrupt(String),
    /// It is there; Nix asked, and did not tell who signed it.
    Unjudged,
}

impl Verdict {
    /// The word for it, which scripts may rely on.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Signed(_) => "signed",
            Self::ContentAddressed => "content-addressed",
            Self::Unsigned => "unsigned",
            Self::WrongKey(_) => "wrong key",
            Self::Corrupt(_) => "corrupt",
            Self::Unjudged => "there",
        }
    }

    /// The same in some words, for a table.
    pub fn told(&self) -> String {
        match self {
            Self::Signed(key) => format!("signed by {key}"),
            Self::WrongKey(keys) => format!("wrong key ({})", keys.join(", ")),
            Self::Corrupt(why) => format!("corrupt ({why})"),
            Self::ContentAddressed | Self::Unsigned | Self::Unjudged => self.word().to_owned(),
        }
    }

    /// Whether Nix takes it, where `required` says that signatures are.
    pub fn is_usable(&self, required: bool) -> bool {
        match self {
            Self::Signed(_) | Self::ContentAddressed | Self::Unjudged => true,
            Self::Unsigned | Self::WrongKey(_) => !required,
            Self::Corrupt(_) => false,
        }
    }
}

/// Judges records by the keys that are trusted.
#[derive(Clone, Debug)]
pub struct Judge {
    store_dir: StoreDir,
    keys: Vec<TrustedPublicKey>,
}

impl Judge {
    /// For a store, with keys as Nix's setting `trusted-public-keys` has them.
    ///
    /// # Errors
    /// Where a key or the store directory is none: which, and why.
    pub fn new<'a>(store_dir: &str, keys: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let store_dir = StoreDir::new(store_dir).map_err(|error| format!("`{store_dir}` is no store: {error}"))?;
        let keys = keys
            .into_iter()
            .map(|key| {
                TrustedPublicKey::parse(key)
                    .map_err(|error| format!("`{key}` in trusted-public-keys is no key: {error}"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { store_dir, keys })
    }

    /// The store that paths are of.
    pub fn store_dir(&self) -> &str {
        self.store_dir.as_str()
    }

    /// What a record is worth as that of `path`.
    pub fn judge(&self, path: &str, record: &[u8]) -> Held {
        match NarInfo::parse_in(&self.store_dir, record) {
            Err(error) => Held { verdict: Verdict::Corrupt(error.to_string()), download: None, unpacked: None },
            Ok(info) => {
                Held { verdict: self.verdict(path, &info), download: info.file_size(), unpacked: Some(info.nar_size()) }
            }
        }
    }

    fn verdict(&self, path: &str, info: &NarInfo) -> Verdict {
        let named = self.store_dir.render_path(info.store_path());
        if named != path {
            return Verdict::Corrupt(format!("its record is that of {named}"));
        }
        if info.is_content_addressed(&self.store_dir) {
            return Verdict::ContentAddressed;
        }
        let fingerprint = info.fingerprint(&self.store_dir);
        let good = |signature: &&nix_narinfo::NixSignature| {
            signature.verify(fingerprint.as_bytes(), &self.keys).unwrap_or(false)
        };
        let signatures = info.signatures();
        if let Some(signature) = signatures.iter().find(good) {
            return Verdict::Signed(signature.key_name.clone());
        }
        let is_trusted = |name: &str| self.keys.iter().any(|key| key.name == name);
        if let Some(signature) = signatures.iter().find(|signature| is_trusted(&signature.key_name)) {
            return Verdict::Corrupt(format!("the signature of {} does not fit", signature.key_name));
        }
        let mut names: Vec<String> = signatures.iter().map(|signature| signature.key_name.clone()).collect();
        names.retain(|name| !name.is_empty());
        names.dedup();
        if names.is_empty() { Verdict::Unsigned } else { Verdict::WrongKey(names) }
    }
}
