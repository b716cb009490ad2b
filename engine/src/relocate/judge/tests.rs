//! Planted mentions in plain bytes; what compilers make is tested in `tests/relocate_compiled.rs`.

use super::*;
use crate::relocate::runs::Finder;

const HASH: &str = "0123456789abcdfghijklmnpqrsvwxyz";
const P: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-hello-2.10";

fn judge_all(bytes: &[u8], paths: &[&str]) -> Verdict {
    let paths: Vec<StorePath> = paths.iter().map(|path| StorePath::parse(path.as_bytes()).unwrap()).collect();
    let finder = Finder::new(paths.clone());
    let layout = Layout::of(bytes);
    Judge::new(bytes, &layout, &paths).verdict(&finder.find(bytes), &Constants::new(&paths))
}

fn judge(text: &str) -> Verdict {
    judge_all(text.as_bytes(), &[P])
}

fn parts(verdict: &Verdict) -> Vec<Range<usize>> {
    let path = StorePath::parse(P.as_bytes()).unwrap();
    verdict.pieces.iter().map(|r| r.hash_part(&path)).collect()
}

#[test]
fn full_mentions_need_nothing_around_them() {
    for text in [P.to_owned(), HASH.to_owned(), format!("zz{HASH}zz-{P}/lib")] {
        let verdict = judge(&text);
        assert!(!verdict.full.is_empty() && verdict.pieces.is_empty(), "{text}");
        assert_eq!(verdict.doubts, []);
    }
}

#[test]
fn a_path_wrapped_at_a_margin_is_two_pieces() {
    for cut in 8..P.len() - 8 {
        let text = format!("see {}\n{} there", &P[..cut], &P[cut..]);
        let verdict = judge(&text);
        assert_eq!(verdict.doubts, [], "{text}");
        if verdict.full.is_empty() {
            let held: Vec<usize> = parts(&verdict).into_iter().flatten().collect();
            assert_eq!(held, (0..32).collect::<Vec<_>>(), "{text}");
        }
    }
}

#[test]
fn a_gap_is_refused_and_named() {
    let text = format!("{}......{}", &P[..20], &P[23..]);
    let doubts = judge(&text).doubts;
    assert_eq!(doubts.len(), 1);
    assert!(matches!(&doubts[0].what, What::Gap(gaps) if gaps[0] == (9..12)));
    let lone = judge(&format!("starts with {}", &P[..30]));
    assert!(matches!(&lone.doubts[0].what, What::Gap(gaps) if gaps[0] == (19..32)));
}

#[test]
fn other_store_paths_that_look_alike_are_left_alone() {
    let like_the_start = "/nix/store/01p1r5v2xkz9a7c3f4h8i6dgjnlwqsmb-gcc-12";
    let like_the_end = "/nix/store/9876543210abcdfghijklmnpqrsvwxyz-hello-2.10";
    let one_in_common = "/nix/store/zyxwvsrqpnmlkjihgfdcba987654321z-hello-2.10";
    for text in [like_the_start, one_in_common] {
        let near = format!("{P} {text}");
        for text in [text, &near] {
            let verdict = judge(text);
            assert_eq!((parts(&verdict), verdict.doubts), (vec![], vec![]), "{text}");
        }
    }
    // 22 characters in common are no chance: that is our path, damaged.
    assert_ne!(judge(like_the_end).doubts, []);
}

/// Two outputs whose hashes share half of their characters: where one is there in full, nothing of the other is.
#[test]
fn a_full_mention_is_not_a_piece_of_a_path_that_begins_alike() {
    let other = "/nix/store/0123456789abcdfgzyxwvsrqpnmlkjih-hello-2.10-dev";
    // Whatever the constants' alignment, and before or behind the other's mention.
    for shift in 0..16 {
        let text = format!("{}{other}/b.{P}/a", ".".repeat(shift));
        let verdict = judge_all(text.as_bytes(), &[P, other]);
        assert_eq!((verdict.full.len(), &verdict.pieces, &verdict.doubts), (2, &vec![], &vec![]), "{text}");
    }
    // With pieces of one elsewhere, what they share may be one constant.
    let text = format!("{other}/b and {} {}", &P[27..36], &P[35..]);
    let doubts = judge_all(text.as_bytes(), &[P, other]).doubts;
    assert!(doubts.iter().any(|doubt| doubt.what == What::Shared), "{doubts:?}");
}

#[test]
fn a_short_lone_run_is_chance_and_a_longer_one_is_not() {
    assert!(judge("/nix/store/0 and /nix/store/01...").is_clean());
    assert!(judge("z-hello-2.10").is_clean());
    assert!(!judge("/nix/store/0123").doubts.is_empty());
}

#[test]
fn an_immediate_ends_after_eight_bytes_even_if_the_next_opcode_fits() {
    let mut bytes = Vec::new();
    for start in (0..P.len() - 8).step_by(8) {
        bytes.extend(b"\x48\xb8");
        bytes.extend(&P.as_bytes()[start..start + 8]);
        // The next byte of the path itself, as an opcode.
        bytes.push(P.as_bytes()[start + 8]);
        bytes.extend(b"\x90\x90\x90");
    }
    let verdict = judge_all(&bytes, &[P]);
    assert_eq!(verdict.doubts, []);
    assert_eq!(verdict.pieces.len(), 5);
    assert!(verdict.pieces.iter().all(|piece| piece.len == 8));
}

#[test]
fn each_output_is_found_for_itself() {
    let dev = "/nix/store/zyxwvsrqpnmlkjihgfdcba9876543210-hello-2.10-dev";
    let text = format!("{P}/lib {dev}/include");
    let verdict = judge_all(text.as_bytes(), &[P, dev]);
    assert_eq!(verdict.full.len(), 2);
    assert_eq!((verdict.pieces, verdict.doubts), (vec![], vec![]));
}

#[test]
fn bytes_of_two_outputs_at_once_are_refused() {
    // Both hashes end in z, and both names begin alike.
    let dev = "/nix/store/h0j3k5l7m9n1p2q4r6s8v0w2x4y6i8gz-hello-2.10-dev";
    let of = |path: &str| format!("{}\n", &path[..42]);
    let text = format!("{}{}z-hello-2.10", of(P), of(dev));
    let verdict = judge_all(text.as_bytes(), &[P, dev]);
    assert!(verdict.doubts.iter().any(|d| d.what == What::Shared), "{verdict:?}");
    let text = format!("{}z-hello-2.10", of(P));
    let verdict = judge_all(text.as_bytes(), &[P, dev]);
    assert_eq!(verdict.doubts, []);
    assert_eq!(verdict.pieces.len(), 2);
}

#[test]
fn a_seed_is_the_beginning_of_the_hash_and_complete() {
    let verdict = judge("GNU C17 12.2.0 -frandom-seed=0123456789 -O2");
    assert_eq!(verdict.doubts, []);
    assert_eq!(parts(&verdict), [Range { start: 0, end: 10 }]);
    // Another option, or a word that goes on with another hash: a seed of something else.
    assert_ne!(judge("GNU C17 12.2.0 -fother-seed=0123456789 -O2").doubts, []);
    assert!(judge("-frandom-seed=zyxzvsrqpn -O2").is_clean());
}
