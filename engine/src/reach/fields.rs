//! The request as the runtime writes it: fields that each end in a NUL, which no text of a shell can hold. The other side
//! is `phasesplit_print_reach` in nix-lib/runtime/50-mentions.sh.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{Notes, Request};

/// Reads a request: each record is its kind and as many fields as that kind has.
///
/// # Errors
/// A sentence about the first record that is not whole or of no known kind.
pub fn read(input: &[u8]) -> Result<Request, String> {
    let mut request = Request::default();
    let mut fields = input.strip_suffix(b"\0").unwrap_or(input).split(|byte| *byte == 0);
    while let Some(kind) = fields.next().filter(|kind| !kind.is_empty()) {
        let shown = String::from_utf8_lossy(kind).into_owned();
        let mut field =
            || fields.next().map(<[u8]>::to_vec).ok_or_else(|| format!("the last record, {shown}, is not whole"));
        match kind {
            b"wanted" => {
                let (name, key) = (field()?, field()?);
                request.wanted.insert(name, String::from_utf8_lossy(&key).into_owned());
            }
            b"later-phase" => drop(request.later_phases.insert(field()?)),
            b"pass-over" => drop(request.passed_over.insert(field()?)),
            b"root" => {
                let label = String::from_utf8_lossy(&field()?).into_owned();
                request.roots.push((label, field()?));
            }
            b"function" => drop(request.functions.insert(field()?, field()?)),
            b"variable" => drop(request.variables.insert(field()?, field()?)),
            b"sourced" => request.sourced.push(OsStr::from_bytes(&field()?).into()),
            _ => return Err(format!("a record of the unknown kind {shown:?}")),
        }
    }
    Ok(request)
}

/// The notes as the runtime reads them: key and text in turn.
pub fn write(notes: &Notes) -> Vec<u8> {
    notes.iter().flat_map(|(key, text)| [key.as_bytes(), b"\0", text.as_bytes(), b"\0"].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_and_answered() {
        let input = b"wanted\0X\0X\0root\0a text\0echo $X; f\0function\0f\0\0later-phase\0p\0";
        let request = read(input).unwrap();
        assert_eq!(request.functions[&b"f"[..]], b"");
        assert!(request.later_phases.contains(&b"p"[..]));
        assert_eq!(write(&super::super::reach(&request)), b"X\0reads it in a text\0");
        assert_eq!(read(b"").unwrap().roots, []);
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        assert_eq!(read(b"root\0a\0").unwrap_err(), "the last record, root, is not whole");
        assert_eq!(read(b"wanted\0a\0b\0what\0").unwrap_err(), "a record of the unknown kind \"what\"");
    }
}
