//! Stores that only Nix can ask, S3 and ssh: what it tells of their paths, as the records of a cache.

use std::ffi::OsString;
use std::fmt::Write as _;

use super::failure::Failure;
use super::{Patience, Record};
use crate::nix::substituters::{self, Info, Silence};

/// The records of `paths` in the store at `url`.
pub fn records(url: &str, paths: &[&str], patience: Patience, options: &[OsString]) -> Result<Vec<Record>, Failure> {
    let told = substituters::ask(url, paths, patience.answer, options).map_err(|silence| match silence {
        Silence::Slow => Failure::Slow(patience.answer),
        Silence::Said(text) => Failure::of_nix(&text),
    })?;
    let record = |path: &&str| match told.get(*path) {
        None => Record::Missing,
        Some(None) => Record::There,
        Some(Some(info)) => Record::Found(record(path, info).into_bytes()),
    };
    Ok(paths.iter().map(record).collect())
}

/// What a cache would have written of a path. Where its archive lies nobody asks.
fn record(path: &str, info: &Info) -> String {
    let mut record = format!(
        "StorePath: {path}\nURL: -\nCompression: none\nNarHash: {}\nNarSize: {}\nReferences: {}\n",
        info.nar_hash,
        info.nar_size,
        info.references.join(" ")
    );
    // Writing to a string cannot fail.
    if let Some(size) = info.download {
        let _ = writeln!(record, "FileSize: {size}");
    }
    for signature in &info.signatures {
        let _ = writeln!(record, "Sig: {signature}");
    }
    if let Some(content) = &info.content {
        let _ = writeln!(record, "CA: {content}");
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::judge::{Judge, Verdict};

    #[test]
    fn what_nix_tells_is_judged_as_a_record_is() {
        // Of Nix 2.8, about a path on another machine.
        let path = "/nix/store/6m56pc9w3wini0cb0dz9vdm0ssrbk0dj-t";
        let mut info = Info {
            nar_hash: "sha256-Lj3hmff+7jV42Ge+FwBX8OsR1BieHkO2E1y5Jg178SU=".to_owned(),
            nar_size: 120,
            download: Some(7),
            references: Vec::new(),
            signatures: vec![
                "team-1:hg/4v5GAiajQCkaJHF95HFceHoaUMw9uLl5UYWM3btrZP01iyle4pWJe+/mtqkD2YcCu47quCoUP6vyBhRTeAw=="
                    .to_owned(),
            ],
            content: None,
        };
        let judge = Judge::new("/nix/store", ["team-1:w0NVZuqTCrRlqfqyJrNxXmVcORdJHqaI6tZ+PQbo9gU="]).expect("a key");
        let held = |info: &Info| judge.judge(&[(path, record(path, info).as_bytes())]).remove(0);
        let good = held(&info);
        assert_eq!(
            (good.verdict, good.download, good.unpacked),
            (Verdict::Signed("team-1".to_owned()), Some(7), Some(120))
        );
        info.nar_size = 121;
        assert_eq!(held(&info).verdict.word(), "corrupt");
        info.signatures.clear();
        assert_eq!(held(&info).verdict, Verdict::Unsigned);
    }
}
