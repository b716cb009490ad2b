//! A file that mentions a staged prefix is refused, or afterwards mentions it no more and is as it was but for that.

use phasesplit_state::relocate::Mapping;
use phasesplit_state::relocate::content::{self, Examiner, Reason};

/// Staged and real paths: the package's output and its second one. The real ones share no character with the staged ones
/// or with what is around, so that no rewritten byte can complete what happens to lie beside it.
pub const PATHS: [(&str, &str); 2] = [
    (
        "/nix/store/3g7b9c4f8a5g6b3c7f9a4g8b5c6f3a7c-hello-2.10",
        "/nix/store/jjkkmmppqqwwyyzzjkmpqwyzzywqpmkj-hello-2.10",
    ),
    (
        "/nix/store/f5a8c3b6g9f4a7c5b8g3f6a9c4b7g5f8-hello-2.10-dev",
        "/nix/store/zyzywqwqpmpmkjkjjjkkmmppqqwwyyzz-hello-2.10-dev",
    ),
];

/// `input` is a file of an output. Returns whether it mentioned a staged prefix and was relocated.
pub fn run(input: &[u8]) -> bool {
    let mapping = |(staged, real): &(&str, &str)| Mapping::new(staged.as_bytes(), real.as_bytes());
    let mappings: Vec<_> = PATHS.iter().map(|pair| mapping(pair).expect("they are a pair")).collect();
    let examiner = Examiner::new(mappings);
    let whole = std::iter::once(0..input.len()).collect::<Vec<_>>();
    let found = examiner.examine(input, &whole);
    if !found.refusals.is_empty() {
        return false;
    }
    let relocated = if let Some(replacement) = &found.replacement {
        assert!(found.edits.is_empty(), "both a replacement and edits");
        replacement.clone()
    } else {
        let mut bytes = input.to_vec();
        content::apply(&mut bytes, &found.edits);
        bytes
    };
    for (staged, _) in PATHS {
        let hash = &staged.as_bytes()["/nix/store/".len()..][..32];
        assert!(!relocated.windows(hash.len()).any(|window| window == hash), "a hash is left");
    }
    if found.is_clean() {
        assert!(relocated == input, "changed without a reason");
        return false;
    }
    let whole = std::iter::once(0..relocated.len()).collect::<Vec<_>>();
    let again = examiner.examine(&relocated, &whole);
    let left = again.mentions.iter().find(|finding| finding.reason != Reason::Seed);
    assert!(left.is_none(), "left: {left:?}");
    assert!(again.refusals.is_empty(), "refused afterwards: {:?}", again.refusals);
    true
}
