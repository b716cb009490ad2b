//! Where a file has data and where holes, and how the archive says so: GNU sparse format 1.0, a text map
//! before the data: the number of pieces, then offset and length of each, a line per number, padded with NULs
//! to a block. A hole at the end is a last piece of length 0.

use std::io::{self, Read};
use std::os::fd::AsFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::pax::BLOCK;

/// Bounds the memory a hostile map can take: 64 MiB.
const MAX_PIECES: u64 = 1 << 22;

/// The pieces of a file that hold data, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Offset and length of each piece; only the last may have length 0.
    pub pieces: Vec<(u64, u64)>,
}

impl Map {
    /// The map of an open file of `size` bytes, or `None` where it has no holes, or so many pieces that
    /// nobody could read the map.
    ///
    /// # Errors
    /// Those of `lseek`, but not that the file system cannot tell: such a file has no holes.
    pub fn of(file: impl AsFd, size: u64) -> io::Result<Option<Self>> {
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < size {
            let start = match seek(&file, SeekFrom::Data(at)) {
                Ok(start) if start < size => start,
                Ok(_) | Err(Errno::NXIO) => break,
                Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let end = seek(&file, SeekFrom::Hole(start))?.min(size);
            if end <= start || pieces.len() as u64 >= MAX_PIECES - 1 {
                return Ok(None);
            }
            pieces.push((start, end - start));
            at = end;
        }
        if pieces == [(0, size)] {
            return Ok(None);
        }
        if pieces.last().is_none_or(|(start, len)| start + len < size) {
            pieces.push((size, 0));
        }
        Ok(Some(Self { pieces }))
    }

    /// How many bytes of data the pieces hold.
    pub fn data(&self) -> u64 {
        self.pieces.iter().map(|(_, len)| len).sum()
    }

    /// The map as it stands before the data.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{}\n", self.pieces.len());
        for (start, len) in &self.pieces {
            text.extend([start.to_string(), "\n".into(), len.to_string(), "\n".into()]);
        }
        let mut bytes = text.into_bytes();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    /// Reads a map, and no byte after it. `seen` gets every block read. The pieces must ascend and end at `size`.
    ///
    /// # Errors
    /// Those of `input`; `InvalidData` for a map that [`Map::encode`] would not write.
    pub fn decode(mut input: impl Read, size: u64, mut seen: impl FnMut(&[u8])) -> io::Result<Self> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "the map of a sparse file is malformed");
        let mut block = [0; BLOCK];
        let mut at = BLOCK;
        let mut number = || -> io::Result<u64> {
            let mut value: Option<u64> = None;
            loop {
                if at == BLOCK {
                    input.read_exact(&mut block)?;
                    seen(&block);
                    at = 0;
                }
                at += 1;
                match block[at - 1] {
                    b'\n' => return value.ok_or_else(invalid),
                    digit @ b'0'..=b'9' => {
                        let shifted = value.unwrap_or(0).checked_mul(10);
                        value = shifted.and_then(|v| v.checked_add(u64::from(digit - b'0')));
                        value.ok_or_else(invalid)?;
                    }
                    _ => return Err(invalid()),
                }
            }
        };
        let count = number()?;
        if count == 0 || count > MAX_PIECES {
            return Err(invalid());
        }
        let mut pieces = Vec::new();
        let mut end = 0;
        for _ in 0..count {
            let (start, len) = (number()?, number()?);
            if start < end {
                return Err(invalid());
            }
            end = start.checked_add(len).filter(|end| *end <= size).ok_or_else(invalid)?;
            pieces.push((start, len));
        }
        if end == size { Ok(Self { pieces }) } else { Err(invalid()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_reads_as_written_and_takes_no_more() {
        let many = (0..500).map(|i| (i * 8192, 4096)).chain([(9_999_999_999, 0)]).collect();
        for pieces in [vec![(0, 0)], vec![(4096, 1)], many] {
            let map = Map { pieces };
            let size = map.pieces.last().map_or(0, |(start, len)| start + len);
            let mut bytes = map.encode();
            assert_eq!(bytes.len() % BLOCK, 0);
            bytes.extend(b"data");
            let mut rest = &bytes[..];
            let mut seen = 0;
            assert_eq!(Map::decode(&mut rest, size, |block| seen += block.len()).unwrap(), map);
            assert_eq!((rest, seen), (&b"data"[..], bytes.len() - 4));
        }
    }

    #[test]
    fn malformed_maps_are_refused() {
        for text in ["0\n", "1\n0\n", "1\n0\n5\n", "2\n4\n1\n2\n2\n", "x\n", "1\n\n", "9999999999\n", "1\n-1\n2\n"] {
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(BLOCK, 0);
            assert!(Map::decode(&bytes[..], 4, |_| ()).is_err(), "{text:?}");
        }
    }
}
