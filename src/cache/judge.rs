//! What a cache's record of a path is worth: whether it is a record of that path, and who signed it.
//!
//! The rules are Nix's (`ValidPathInfo::checkSignatures`): one good signature by a trusted key is enough, and a path that
//! is the address of its content needs none. A signature that names a trusted key and does not fit is told apart from a
//! foreign one: the record was changed, or another key has that name.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_zebra::Signature;
use ed25519_zebra::batch::{Item, Verifier};
use nix_derivation::StoreDir;
use nix_narinfo::{NarInfo, NixSignature, TrustedPublicKey};
use rand_core::OsRng;

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
    /// A trusted key signed it that Nix does not see: another one of the same name stands before it.
    HiddenKey(String),
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
            Self::WrongKey(_) | Self::HiddenKey(_) => "wrong key",
            Self::Corrupt(_) => "corrupt",
            Self::Unjudged => "there",
        }
    }

    /// The same in some words, for a table.
    pub fn told(&self) -> String {
        match self {
            Self::Signed(key) => format!("signed by {key}"),
            Self::WrongKey(keys) => format!("wrong key ({})", keys.join(", ")),
            Self::HiddenKey(key) => format!("wrong key ({})", hidden(key)),
            Self::Corrupt(why) => format!("corrupt ({why})"),
            Self::ContentAddressed | Self::Unsigned | Self::Unjudged => self.word().to_owned(),
        }
    }

    /// Whether Nix takes it, where `required` says that signatures are.
    pub fn is_usable(&self, required: bool) -> bool {
        match self {
            Self::Signed(_) | Self::ContentAddressed | Self::Unjudged => true,
            Self::Unsigned | Self::WrongKey(_) | Self::HiddenKey(_) => !required,
            Self::Corrupt(_) => false,
        }
    }
}

/// Why a key does not count that is trusted.
pub fn hidden(name: &str) -> String {
    format!("of the trusted keys named {name} Nix uses only the first")
}

/// Judges records by the keys that are trusted.
#[derive(Clone, Debug)]
pub struct Judge {
    store_dir: StoreDir,
    keys: Vec<TrustedPublicKey>,
    /// Those that stand behind another one of the same name: Nix does not use them (`getDefaultPublicKeys`).
    hidden: Vec<TrustedPublicKey>,
}

impl Judge {
    /// For a store, with keys as Nix's setting `trusted-public-keys` has them.
    ///
    /// # Errors
    /// Where a key or the store directory is none: which, and why.
    pub fn new<'a>(store_dir: &str, keys: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let store_dir = StoreDir::new(store_dir).map_err(|error| format!("`{store_dir}` is no store: {error}"))?;
        let mut judge = Self { store_dir, keys: Vec::new(), hidden: Vec::new() };
        for text in keys {
            let key = TrustedPublicKey::parse(text)
                .map_err(|error| format!("`{text}` in trusted-public-keys is no key: {error}"))?;
            match judge.keys.iter().find(|first| first.name == key.name) {
                None => judge.keys.push(key),
                Some(first) if first.key == key.key => {}
                Some(_) => judge.hidden.push(key),
            }
        }
        Ok(judge)
    }

    /// The store that paths are of.
    pub fn store_dir(&self) -> &str {
        self.store_dir.as_str()
    }

    /// What records are worth, each as that of its path. Their signatures are verified together, which costs a quarter
    /// where one key made them; where that fails each one is verified by itself.
    pub fn judge(&self, records: &[(&str, &[u8])]) -> Vec<Held> {
        let read: Vec<_> =
            records.iter().map(|(path, record)| (*path, NarInfo::parse_in(&self.store_dir, record))).collect();
        let claims: Vec<Option<Claim<'_>>> =
            read.iter().map(|(path, info)| self.claim(path, info.as_ref().ok()?)).collect();
        let together = are_good(claims.iter().flatten());
        let verdict = |path: &str, info: &NarInfo, claim: Option<&Claim<'_>>| match claim {
            Some(claim) if together => Verdict::Signed(claim.key.name.clone()),
            _ => self.verdict(path, info),
        };
        let held = read.iter().zip(&claims).map(|((path, info), claim)| match info {
            Err(error) => Held { verdict: Verdict::Corrupt(error.to_string()), download: None, unpacked: None },
            Ok(info) => Held {
                verdict: verdict(path, info, claim.as_ref()),
                download: info.file_size(),
                unpacked: Some(info.nar_size()),
            },
        });
        held.collect()
    }

    /// The signature of a record that can be verified together with others: of a record of this path, by the one trusted key
    /// of its name. All else is left to [`Judge::verdict`].
    fn claim(&self, path: &str, info: &NarInfo) -> Option<Claim<'_>> {
        if self.store_dir.render_path(info.store_path()) != path || info.is_content_addressed(&self.store_dir) {
            return None;
        }
        let claim = |signature: &NixSignature| {
            let mut keys = self.keys.iter().filter(|key| key.name == signature.key_name && !key.key.is_weak());
            let (Some(key), None) = (keys.next(), keys.next()) else { return None };
            let bytes = BASE64_STANDARD.decode(&signature.encoded).ok()?;
            Some((key, Signature::from(<[u8; 64]>::try_from(bytes).ok()?)))
        };
        let (key, signature) = info.signatures().iter().find_map(claim)?;
        Some(Claim { key, signature, fingerprint: info.fingerprint(&self.store_dir) })
    }

    fn verdict(&self, path: &str, info: &NarInfo) -> Verdict {
        let found = self.store_dir.render_path(info.store_path());
        if found != path {
            return Verdict::Corrupt(format!("its record is that of {found}"));
        }
        if info.is_content_addressed(&self.store_dir) {
            return Verdict::ContentAddressed;
        }
        let fingerprint = info.fingerprint(&self.store_dir);
        // What cannot be read as a signature counts for none, as with Nix.
        let signatures: Vec<&NixSignature> =
            info.signatures().iter().filter(|signature| signature.canonicalized().is_ok()).collect();
        let by = |keys: &[TrustedPublicKey]| {
            let is_good = |signature: &&&NixSignature| signature.verify(fingerprint.as_bytes(), keys).unwrap_or(false);
            signatures.iter().find(is_good).map(|signature| signature.key_name.clone())
        };
        if let Some(name) = by(&self.keys) {
            return Verdict::Signed(name);
        }
        if let Some(name) = by(&self.hidden) {
            return Verdict::HiddenKey(name);
        }
        let is_trusted = |name: &str| self.keys.iter().any(|key| key.name == name);
        if let Some(signature) = signatures.iter().find(|signature| is_trusted(&signature.key_name)) {
            return Verdict::Corrupt(format!("the signature of {} does not fit", signature.key_name));
        }
        let mut names: Vec<String> = signatures.iter().map(|signature| signature.key_name.clone()).collect();
        names.dedup();
        if names.is_empty() { Verdict::Unsigned } else { Verdict::WrongKey(names) }
    }
}

/// That a trusted key signed something.
struct Claim<'a> {
    key: &'a TrustedPublicKey,
    signature: Signature,
    fingerprint: String,
}

/// Whether all of these signatures are good. What would pass here and not alone, only the owner of a trusted key can make;
/// keys that are weak by themselves are left out before.
fn are_good<'a>(claims: impl Iterator<Item = &'a Claim<'a>>) -> bool {
    let mut together = Verifier::new();
    for Claim { key, signature, fingerprint } in claims {
        together.queue(Item::from((key.key.to_bytes().into(), *signature, fingerprint)));
    }
    together.verify(OsRng).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/nix/store/rn31phml05gbjgzjlmb8rppdgrqgqp35-cached-1-phase-configure";
    /// Written and signed by Nix 2.8.
    const RECORD: &str = "\
StorePath: /nix/store/rn31phml05gbjgzjlmb8rppdgrqgqp35-cached-1-phase-configure
URL: nar/1mj8i0frdc3xahjl1ls3kvc5nj955xqag4frp1xsykyq52wfpc78.nar.zst
Compression: zstd
FileHash: sha256:1mj8i0frdc3xahjl1ls3kvc5nj955xqag4frp1xsykyq52wfpc78
FileSize: 1291
NarHash: sha256:13hb5l8x6223584vc29bmrqcdb4iw545z0ccw8l9q63yppna228j
NarSize: 2088
References: 
Deriver: 4g6ymai0zr2kmg8826n40xlz3c1g7g2k-cached-1-phase-configure.drv
Sig: k-1:zpwmwlsA5e/eC7JS/OMrd2ynoDSpmZeBUO1SIkER4f7sx079OTq7wVEqNsPl91TAr4k9+vK1STlJbeAULF3sBA==
";
    const KEY: &str = "k-1:Yuj5vqkvbCLO3CyG4bu75a1dbQ0HMEKcFBSasE8y8Lc=";

    fn verdict(keys: &[&str], record: &str) -> Verdict {
        let judge = Judge::new("/nix/store", keys.iter().copied()).expect("keys");
        let mut held = judge.judge(&[(PATH, record.as_bytes())]);
        let alone = held.pop().expect("one").verdict;
        // Beside another one that is good, and one that is not.
        let broken = RECORD.replace("NarSize: 2088", "NarSize: 1");
        for other in [RECORD, broken.as_str()] {
            let held = judge.judge(&[(PATH, other.as_bytes()), (PATH, record.as_bytes())]);
            assert_eq!(held[1].verdict, alone, "with company");
        }
        alone
    }

    #[test]
    fn a_record_is_worth_what_its_signatures_are() {
        let other = KEY.replace("k-1:", "k-2:");
        let unsigned = RECORD.split("Sig:").next().expect("a part");
        let broken = format!("{unsigned}Sig: nothing\n");
        assert_eq!(verdict(&[&other, KEY], RECORD), Verdict::Signed("k-1".to_owned()));
        assert_eq!(verdict(&[&other], RECORD), Verdict::WrongKey(vec!["k-1".to_owned()]));
        assert_eq!(verdict(&[], RECORD), Verdict::WrongKey(vec!["k-1".to_owned()]));
        assert_eq!(verdict(&[KEY], unsigned), Verdict::Unsigned);
        assert_eq!(verdict(&[KEY], &broken), Verdict::Unsigned, "what is no signature counts for none");
        // A signature of somebody else does not hide the good one.
        let both = format!("{unsigned}Sig: k-0:AAAA\n{}", &RECORD[unsigned.len()..]);
        assert_eq!(verdict(&[KEY], &both), Verdict::Signed("k-1".to_owned()));
    }

    #[test]
    fn of_two_keys_with_one_name_the_first_counts() {
        let other = "k-1:w0NVZuqTCrRlqfqyJrNxXmVcORdJHqaI6tZ+PQbo9gU=";
        assert_eq!(verdict(&[KEY, other], RECORD), Verdict::Signed("k-1".to_owned()));
        assert_eq!(verdict(&[other, KEY], RECORD), Verdict::HiddenKey("k-1".to_owned()));
        assert_eq!(verdict(&[KEY, KEY], RECORD), Verdict::Signed("k-1".to_owned()), "the same twice is no other");
        let told = Verdict::HiddenKey("k-1".to_owned()).told();
        assert_eq!(told, "wrong key (of the trusted keys named k-1 Nix uses only the first)");
    }

    #[test]
    fn each_change_to_what_is_signed_is_found() {
        for (old, new) in [
            ("NarSize: 2088", "NarSize: 2089"),
            ("sha256:13h", "sha256:03h"),
            ("References: ", "References: 4g6ymai0zr2kmg8826n40xlz3c1g7g2k-x"),
        ] {
            assert!(RECORD.contains(old));
            let found = verdict(&[KEY], &RECORD.replace(old, new));
            assert_eq!(found, Verdict::Corrupt("the signature of k-1 does not fit".to_owned()), "{new}");
        }
        for record in
            ["", "<html>", &RECORD[..100], &RECORD.replace("rn31", "rn30"), &RECORD.replace("/nix/store", "/gnu/store")]
        {
            assert!(matches!(verdict(&[KEY], record), Verdict::Corrupt(_)), "{record}");
        }
        assert!(!Verdict::Corrupt(String::new()).is_usable(false));
        assert!(Verdict::Unsigned.is_usable(false) && !Verdict::Unsigned.is_usable(true));
    }

    #[test]
    fn what_is_no_key_is_named() {
        assert!(Judge::new("/nix/store", ["k-1"]).unwrap_err().starts_with("`k-1` in trusted-public-keys is no key"));
    }
}
