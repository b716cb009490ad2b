//! The path in other encodings, and in compressed streams at any place: what relocation leaves behind names the real path, or
//! the file was refused by name and nothing was changed. Silence about a path that stays is the one outcome that must not be.

#[path = "support/zip.rs"]
mod zip;

use phasesplit_state::relocate::{Error, Mapping, relocate, scan, unsearched};
use proptest::prelude::*;
use std::fs;
use std::io::{Read as _, Write as _};
use zip::zip_of;

const STAGED: &str = "1shm2c9fr4laqnfcm3ywqg0zd7xv58bq";
const REAL: &str = "v0ql8xk3pjz6ng5dmfr1ys9hwa2c7b4i";
/// Differs from [`STAGED`] in its last character.
const OTHER: &str = "1shm2c9fr4laqnfcm3ywqg0zd7xv58b0";

fn path(hash: &str) -> String {
    format!("/nix/store/{hash}-hello-2.10")
}

fn mappings() -> [Mapping; 1] {
    [Mapping::new(path(STAGED).as_bytes(), path(REAL).as_bytes()).unwrap()]
}

/// Relocates a file with these bytes; what it is afterwards, or what was said against it.
fn relocated(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, bytes).unwrap();
    match relocate(&mappings(), std::slice::from_ref(&file), &[]) {
        Ok(_) => {
            scan(&mappings(), std::slice::from_ref(&file)).unwrap();
            Ok(fs::read(&file).unwrap())
        }
        Err(Error::Refused(refusal)) => {
            assert_eq!(fs::read(&file).unwrap(), bytes, "nothing is changed");
            let said = refusal.to_string();
            assert!(said.contains("/file: ") && said.contains("offset 0x") && said.contains("help: "), "{said}");
            Err(said)
        }
        Err(error) => panic!("{error}"),
    }
}

fn each(text: &str, one: impl Fn(u8) -> String, between: &str) -> Vec<u8> {
    text.bytes().map(one).collect::<Vec<_>>().join(between).into_bytes()
}

fn lines(text: &[u8], width: usize, end: &str) -> Vec<u8> {
    text.chunks(width).map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>().join(end).into_bytes()
}

fn base64(bytes: &[u8], url: bool) -> Vec<u8> {
    let alphabet: Vec<u8> =
        (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*if url { b"-_" } else { b"+/" }).collect();
    let group = |three: &[u8]| {
        let bits = (0..3).fold(0, |bits, i| bits << 8 | usize::from(three.get(i).copied().unwrap_or(0)));
        let letter = |i: usize| if i <= three.len() { alphabet[bits >> (18 - 6 * i) & 63] } else { b'=' };
        [0, 1, 2, 3].map(letter)
    };
    bytes.chunks(3).flat_map(group).collect()
}

fn wide(text: &str, width: usize, big: bool) -> Vec<u8> {
    let one = |byte: u8| {
        let mut unit = vec![0; width];
        unit[if big { width - 1 } else { 0 }] = byte;
        unit
    };
    text.bytes().flat_map(one).collect()
}

/// An encoding of a text: its name, whether it has room for any other text of the same length, and how it is made.
type Encoding = (&'static str, bool, fn(&str) -> Vec<u8>);

const ENCODINGS: &[Encoding] = &[
    ("plain", true, |t| t.as_bytes().to_vec()),
    ("UTF-16LE", true, |t| wide(t, 2, false)),
    ("UTF-16BE", true, |t| wide(t, 2, true)),
    ("UTF-32LE", true, |t| wide(t, 4, false)),
    ("UTF-32BE", true, |t| wide(t, 4, true)),
    ("hexadecimal", true, |t| each(t, |c| format!("{c:02x}"), "")),
    ("HEXADECIMAL", true, |t| each(t, |c| format!("{c:02X}"), "")),
    ("hexadecimal in lines", true, |t| lines(&each(t, |c| format!("{c:02x}"), ""), 60, "\n")),
    ("hexadecimal, spaces", true, |t| each(t, |c| format!("{c:02x}"), " ")),
    ("hexadecimal, colons", true, |t| each(t, |c| format!("{c:02X}"), ":")),
    ("C escapes", true, |t| each(t, |c| format!("\\x{c:02x}"), "")),
    ("C escapes in strings", true, |t| each(t, |c| format!("\\x{c:02X}"), "\" \"")),
    ("octal escapes", true, |t| each(t, |c| format!("\\{c:03o}"), "")),
    ("short octal escapes", false, |t| each(t, |c| format!("\\{c:o}"), "")),
    ("an array", true, |t| each(t, |c| format!("0x{c:02x}"), ", ")),
    ("a dense array", true, |t| each(t, |c| format!("0x{c:02X}"), ",")),
    ("an array in lines", true, |t| each(t, |c| format!("0x{c:02x}"), ",\n        ")),
    ("an array of wide numbers", true, |t| each(t, |c| format!("0x{c:04x}"), ", ")),
    ("decimal numbers", false, |t| each(t, |c| c.to_string(), ", ")),
    ("dense decimal numbers", false, |t| each(t, |c| c.to_string(), ",")),
    ("octal numbers", true, |t| each(t, |c| format!("{c:04o}"), " ")),
    ("percent escapes", true, |t| each(t, |c| format!("%{c:02X}"), "")),
    ("quoted-printable", true, |t| each(t, |c| format!("={c:02X}"), "")),
    ("JSON escapes", true, |t| each(t, |c| format!("\\u{c:04x}"), "")),
    ("long escapes", true, |t| each(t, |c| format!("\\U{c:08x}"), "")),
    ("escapes in braces", true, |t| each(t, |c| format!("\\u{{{c:x}}}"), "")),
    ("references", true, |t| each(t, |c| format!("&#x{c:X};"), "")),
    ("decimal references", false, |t| each(t, |c| format!("&#{c};"), "")),
    ("base64", true, |t| base64(t.as_bytes(), false)),
    ("base64, second place", true, |t| base64(format!("<{t}>").as_bytes(), false)),
    ("base64, third place", true, |t| base64(format!("a={t};").as_bytes(), false)),
    ("base64url", true, |t| base64(format!("<?{t}?>").as_bytes(), true)),
    ("base64 in lines of 64", true, |t| lines(&base64(format!("the path is {t}, is it").as_bytes(), false), 64, "\n")),
    ("base64 in lines of 76", true, |t| lines(&base64(t.as_bytes(), false), 76, "\r\n")),
    ("base64 in JSON", true, |t| lines(&base64(t.as_bytes(), false), 20, "\\n")),
    ("base64 of UTF-16", true, |t| base64(&wide(&format!("x{t}"), 2, false), false)),
];

#[test]
fn each_encoding_is_rewritten_or_refused() {
    for (name, fits, encode) in ENCODINGS {
        for shift in 0..45 {
            let around = "prose, then: ".repeat(4).into_bytes();
            let planted = |hash| [&around[..shift], b"\n", &encode(&path(hash)), b"\n and so on"].concat();
            match relocated(&planted(STAGED)) {
                Ok(got) => {
                    assert!(*fits, "{name} has no room for another text");
                    let (got, want) = (String::from_utf8_lossy(&got).into_owned(), planted(REAL));
                    assert_eq!(got, String::from_utf8_lossy(&want), "{name} {shift}");
                }
                Err(said) => assert!(!fits, "{name} {shift}: {said}"),
            }
            // A planted difference: what is not quite the staged path's hash is no such path, and stays or is refused.
            if let Ok(got) = relocated(&planted(OTHER)) {
                let (got, want) = (String::from_utf8_lossy(&got).into_owned(), planted(OTHER));
                assert_eq!(got, String::from_utf8_lossy(&want), "{name} {shift}");
            }
        }
    }
}

#[test]
fn a_torn_wide_string_is_refused() {
    for width in [2, 4] {
        let whole = wide(&path(STAGED), width, false);
        let unit = 16;
        for at in (0..whole.len() - unit).step_by(unit) {
            // The constants of a copy, of which two do not follow each other.
            let torn = [&whole[..at], &[0xff; 3], &whole[at..]].concat();
            if let Ok(got) = relocated(&torn) {
                let real = wide(&path(REAL), width, false);
                assert_eq!(got, [&real[..at], &[0xff; 3], &real[at..]].concat(), "{width} {at}");
            }
        }
        let middle = 20 * width;
        let said = relocated(&[&whole[..middle], &[0xff; 3], &whole[middle..]].concat()).unwrap_err();
        assert!(said.contains(if width == 2 { "UTF-16" } else { "UTF-32" }), "{said}");
    }
}

/// A text that does not compress to nothing.
fn content(hash: &str) -> Vec<u8> {
    let lines = (0..200).map(|i| format!("line {} of {i}\n", i * 7919 % 1009)).collect::<Vec<_>>().concat();
    format!("{lines}prefix={}\n{lines}", path(hash)).into_bytes()
}

fn gz(content: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zlib(content: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn xz(content: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn bz(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// How a stream is unpacked.
type Unpack = fn(&[u8]) -> Vec<u8>;

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    flate2::bufread::GzDecoder::new(bytes).read_to_end(&mut content).unwrap();
    content
}

fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    flate2::bufread::ZlibDecoder::new(bytes).read_to_end(&mut content).unwrap();
    content
}

#[test]
fn streams_at_any_place_are_written_again_in_their_room_or_refused() {
    let fronts =
        [&b"#!/bin/sh\ntail -c +9 $0\n"[..], &[0x80; 3000], b"%PDF-1.4\nstream\n", b"\x1f\x8b\x08 no stream x\x9c "];
    for front in fronts {
        for level in [0, 1, 3, 6, 9] {
            let streams: [(Vec<u8>, Vec<u8>, Unpack); 2] = [
                (gz(&content(STAGED), level), gz(&content(OTHER), level), gunzip),
                (zlib(&content(STAGED), level), zlib(&content(OTHER), level), inflate),
            ];
            for (stream, other, unpack) in streams {
                let file = [front, &stream, b"\nand what follows"].concat();
                match relocated(&file) {
                    Ok(got) => {
                        assert_eq!(got.len(), file.len());
                        assert_eq!(unpack(&got[front.len()..]), content(REAL), "level {level}");
                        assert_eq!((&got[..front.len()], &got[got.len() - 17..]), (front, &b"\nand what follows"[..]));
                    }
                    // The best level leaves no room, of which the text decides.
                    Err(said) => assert!(level == 9, "level {level}: {said}"),
                }
                let other = [front, &other, b"\nand what follows"].concat();
                assert!(relocated(&other).map_or(true, |got| got == other));
            }
        }
        let zstd = zstd::encode_all(&content(STAGED)[..], 1).unwrap();
        let refused = [
            ("xz", xz(&content(STAGED))),
            ("bzip2", bz(&content(STAGED))),
            ("zstd", zstd),
            ("zip", zip_of("conf", &content(STAGED))),
        ];
        for (name, stream) in refused {
            let said = relocated(&[front, &stream, b"\nand what follows"].concat()).expect_err(name);
            assert!(said.contains(&format!("{name} data at {:#x}", front.len())), "{name}: {said}");
        }
        let whole = gz(&content(STAGED), 6);
        assert!(
            relocated(&[front, &whole[..whole.len() - 20]].concat()).unwrap_err().contains("gzip data"),
            "without its end"
        );
    }
}

fn chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(data);
    let len = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&len, kind, data, &crc.sum().to_be_bytes()].concat()
}

/// An image with a text, plain or packed, and a picture that lies in two chunks.
fn png(text: &[u8], picture: &[u8]) -> Vec<u8> {
    let picture = zlib(picture, 6);
    let (one, two) = picture.split_at(picture.len() / 2);
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &[0; 13]),
        text.to_vec(),
        chunk(b"IDAT", one),
        chunk(b"IDAT", two),
        chunk(b"IEND", b""),
    ]
    .concat()
}

#[test]
fn the_checksums_of_an_image_fit_afterwards() {
    let plain = |hash| png(&chunk(b"tEXt", format!("Source\0{}", path(hash)).as_bytes()), &[1; 99]);
    assert_eq!(relocated(&plain(STAGED)).unwrap(), plain(REAL));
    // One that was wrong stays wrong: it is not ours to say that the image is sound.
    let mut wrong = plain(STAGED);
    let at = memchr::memmem::find(&wrong, b"-hello-2.10").unwrap() + 11;
    wrong[at] ^= 1;
    assert_eq!(relocated(&wrong).unwrap()[at..], wrong[at..]);
    let packed = png(&chunk(b"zTXt", &[b"Source\0\0", &zlib(&content(STAGED), 3)[..]].concat()), &[1; 99]);
    let got = relocated(&packed).unwrap();
    let start = 8 + 25 + 8;
    let len = u32::from_be_bytes(*got[33..].first_chunk().unwrap()) as usize;
    assert_eq!(got[33..start + len + 4], chunk(b"zTXt", &got[start..start + len]));
    assert_eq!(inflate(&got[start + 8..]), content(REAL));
    let said = relocated(&png(b"", &content(STAGED))).unwrap_err();
    assert!(said.contains("zlib data at"), "{said}");
}

#[test]
fn what_cannot_be_searched_is_listed_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let squashfs = [&b"hsqs"[..], &[0xf1; 24], &[4, 0, 0, 0], &[0; 64]].concat();
    let mut header = flate2::Crc::new();
    header.update(&[7; 20]);
    let archive = [b"7z\xbc\xaf\x27\x1c\0\x04", &header.sum().to_le_bytes()[..], &[7; 20]].concat();
    let files: [(&str, Vec<u8>); 6] = [
        ("a.7z", b"7z\xbc\xaf\x27\x1c\0\x04".to_vec()),
        ("installer", [b"MZ program ".to_vec(), archive].concat()),
        ("knows-formats", b"MZ program 7z\xbc\xaf\x27\x1c\0\x04 Rar!\x1a\x07\0 Rar!\x1a\x07\x01\0 and so on".to_vec()),
        ("app.image", [b"\x7fELF no more than its name".to_vec(), squashfs].concat()),
        ("page.js.br", b"anything".to_vec()),
        ("plain.txt", b"7z and Rar and hsqs are names".to_vec()),
    ];
    for (name, bytes) in &files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    let all = unsearched(&[dir.path().to_owned()]).unwrap();
    let names: Vec<_> = all.iter().filter_map(|(path, _)| path.file_name()?.to_str()).collect();
    assert_eq!(names, ["a.7z", "app.image", "installer", "page.js.br"]);
    let found = relocate(&mappings(), &[dir.path().to_owned()], &[]).unwrap();
    assert_eq!(found.warnings().len(), 1);
    assert!(found.warnings()[0].starts_with("4 files could not be searched for the staged path: "), "{found}");
    assert_eq!(found.stays().files, []);
}

/// An archive that unpacks to itself, or nearly: each layer is another.
#[test]
fn layers_of_compression_end() {
    let mut bytes = content(STAGED);
    for _ in 0..20 {
        bytes = [b"x".to_vec(), gz(&bytes, 6)].concat();
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("deep"), &bytes).unwrap();
    let found = relocate(&mappings(), &[dir.path().to_owned()], &[]).unwrap();
    assert!(found.warnings()[0].contains("/deep"), "{found}");
}

/// Noise, or text, of some length.
fn surroundings() -> impl Strategy<Value = Vec<u8>> {
    let text = b"abcdefghijklmnopqrstuvwxyz0123456789 ,.:;\\/+-=%&#x\n\"".to_vec();
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        prop::collection::vec(prop::sample::select(text), 0..300),
        prop::collection::vec(prop::sample::select(b"0123456789abcdef".to_vec()), 0..300),
        prop::collection::vec(prop::sample::select(vec![0, 1, 0x78, 0x9c, 0x1f, 0x8b]), 0..300),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_planted_path_stays_in_silence(index in 0..ENCODINGS.len(), pack in 0_u8..4, before in surroundings(), after in surroundings()) {
        let (name, fits, encode) = ENCODINGS[index];
        // Two spaces, so that the surroundings are no part of the encoding.
        let planted = |hash| [&before, &b"\0  "[..], &encode(&path(hash)), b"  \0", &after].concat();
        let packed = |bytes: Vec<u8>| match pack {
            0 | 1 => bytes,
            2 => gz(&bytes, 6),
            _ => [b"#!/bin/sh\n".to_vec(), zlib(&bytes, 3)].concat(),
        };
        match relocated(&packed(planted(STAGED))) {
            Err(_) => {}
            Ok(got) => {
                prop_assert!(fits, "{}", name);
                let got = match pack {
                    0 | 1 => got,
                    2 => gunzip(&got),
                    _ => inflate(&got[10..]),
                };
                prop_assert_eq!(got, planted(REAL), "{}", name);
            }
        }
    }
}
