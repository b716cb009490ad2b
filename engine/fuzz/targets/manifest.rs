//! A manifest that is read is written again as it was, byte for byte; so two manifests are equal where their bytes are.

use phasesplit_state::manifest::{self, Packed, Record};
use phasesplit_state::spill::Scratch;

/// `input` is a manifest, not compressed. Returns whether it could be read.
pub fn run(input: &[u8]) -> bool {
    let scratch = Scratch::system();
    let Ok(parsed) = manifest::parse(input, &scratch) else { return false };
    let mut written = Vec::with_capacity(input.len());
    manifest::write_packed(&mut written, &parsed).expect("a vector takes everything");
    assert!(written == input, "written otherwise than read: {:?}", String::from_utf8_lossy(&written));
    let again = manifest::parse(&written[..], &scratch).expect("it was written");
    assert!(again.layers == parsed.layers && all(&again) == all(&parsed));
    true
}

fn all(manifest: &Packed) -> Vec<Record> {
    manifest.records.iter().map(|record| record.expect("so few are in memory")).collect()
}
