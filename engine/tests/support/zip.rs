//! A zip file of one member, as plain as can be.

use std::io::Write as _;

/// Of this content, packed with deflate as the engine packs.
pub fn zip_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    zip_of_packed(name, content, &encoder.finish().unwrap(), 8)
}

/// Of this content, packed by this method.
pub fn zip_of_packed(name: &str, content: &[u8], packed: &[u8], method: u8) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    let size = |len: usize| u32::try_from(len).unwrap().to_le_bytes();
    let mut common = vec![20, 0, 0, 0, method, 0, 0, 0, 0, 0];
    common.extend(crc.sum().to_le_bytes());
    common.extend(size(packed.len()));
    common.extend(size(content.len()));
    common.extend([u8::try_from(name.len()).unwrap(), 0, 0, 0]);
    let mut zip = [b"PK\x03\x04", &common[..], name.as_bytes(), packed].concat();
    let directory = zip.len();
    zip.extend(b"PK\x01\x02\x14\0");
    zip.extend(&common);
    zip.extend([0; 14]);
    zip.extend(name.bytes());
    let length = zip.len() - directory;
    zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    zip.extend(size(length));
    zip.extend(size(directory));
    zip.extend([0, 0]);
    zip
}
