//! One file's members: compressed, or kept as they are in an archive. Each is examined like a file of its own.
//!
//! Owns what becomes of a member that changes: it is written again where nothing else of the file has to know, else refused.

use super::archive::{self, Archive};
use super::content::{Edit, Examined, Examiner, Finding, Reason, apply, new_content};
use super::embedded;
use super::layout::Layout;
use super::packed::{self, Format, Unpacked, UpToDamage};
use super::record;
use super::zip::{Unsafe, Zip, ZipMember};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

impl Examiner {
    /// Bytes that have members; nothing if they have none, or are damaged.
    pub(super) fn look_inside(&self, bytes: &[u8], depth: usize) -> Option<Examined> {
        match packed::detect(bytes) {
            Some(Format::Gzip) => return self.gzip(bytes, depth),
            Some(format) => return self.packed(bytes, format, depth),
            None => {}
        }
        if let Some(archive) = archive::read(bytes) {
            return Some(self.archive(bytes, &archive, depth));
        }
        packed::zip(bytes).map(|zip| self.zip(bytes, &zip, depth))
    }

    /// Compressed streams, one behind the other, and whatever follows them.
    fn packed(&self, bytes: &[u8], format: Format, depth: usize) -> Option<Examined> {
        let mut examined = Examined::default();
        let mut rest = bytes;
        let mut damaged = false;
        while !damaged && packed::detect(rest) == Some(format) {
            let mut behind = rest;
            let mut reader = UpToDamage::new(packed::stream(format, &mut behind)?);
            let content = self.unpack(&mut reader)?;
            damaged = reader.failed;
            drop(reader);
            let inside = self.deeper(&content, depth + 1);
            if damaged && inside.is_clean() && rest.len() == bytes.len() {
                // They only began like that.
                return None;
            }
            examined.refuse(inside, &format!("{format} data"), &Reason::Packed(format));
            damaged |= behind.len() == rest.len();
            if !damaged {
                // xz fills up with NUL between its streams.
                rest = &behind[behind.iter().take_while(|byte| **byte == 0).count()..];
            }
        }
        // Nothing is known of a stream behind its damage; and what reads as one without its checksum need not be one.
        let searched = if damaged { bytes } else { &bytes[..bytes.len() - rest.len()] };
        let raw = self.leaf(searched, std::slice::from_ref(&(0..searched.len())), &Layout::default());
        examined.refuse(raw, &format!("{format} data as it is"), &Reason::Packed(format));
        if !damaged {
            // Programs read the stream and leave alone what follows, or find data of their own there.
            let all = 0..rest.len();
            let found = self.look(rest, std::slice::from_ref(&all), depth + 1);
            examined.refuse(found, &format!("what follows {format} data"), &Reason::Packed(format));
        }
        Some(examined)
    }

    fn zip(&self, bytes: &[u8], zip: &Zip, depth: usize) -> Examined {
        let mut examined = self.leaf(bytes, std::slice::from_ref(&(0..zip.start)), &Layout::default());
        self.embedded(bytes, std::slice::from_ref(&(0..zip.start)), &Layout::default(), depth, &mut examined);
        let mut members = Vec::new();
        let mut contents = BTreeMap::new();
        let (mut seen, mut unseen) = (Vec::new(), Vec::new());
        // Names of members, comments, and what could not be unpacked or would not be packed again.
        let (mut text, mut opaque) = (Examined::default(), Examined::default());
        for (index, member) in zip.members.iter().enumerate() {
            let Some(content) = self.zip_content(bytes, member) else {
                unseen.push(member.packed.clone());
                if !member.packed.is_empty() {
                    let members = vec![format!("zip member {}", member.name)];
                    examined.harmless.push(Finding { members, ..Finding::opaque("encrypted or damaged data") });
                }
                continue;
            };
            seen.push(member.packed.clone());
            let inside = self.deeper(&content, depth + 1);
            if !member.is_writable() {
                opaque.nest(inside, &format!("zip member {}", member.name));
                continue;
            }
            if let Unpacked::Whole(old) = content
                && let Some(new) = new_content(old.clone(), &inside)
            {
                contents.insert(index, (old, new));
            }
            members.push((format!("zip member {}", member.name), inside));
        }
        for range in gaps(&seen, zip.start..bytes.len()) {
            let packed = unseen.iter().any(|member| member.start < range.end && range.start < member.end);
            let found = self.leaf(bytes, &[range], &Layout::default());
            let part = if packed { &mut opaque } else { &mut text };
            part.edits.extend(found.edits.iter().cloned());
            part.nest(found, "zip directory");
        }
        if contents.is_empty() && text.edits.is_empty() {
            for (name, inside) in members {
                examined.nest(inside, &name);
            }
        } else {
            let mut edited = bytes.to_vec();
            apply(&mut edited, &examined.edits);
            apply(&mut edited, &text.edits);
            self.refresh_records(&edited, zip, &mut contents);
            match zip.rebuilt(&edited, &contents) {
                Ok(new) => {
                    for (name, inside) in members {
                        examined.nest(inside, &name);
                    }
                    examined.edits.clear();
                    examined.replacement = Some(new);
                }
                Err(why) => {
                    let reason = match why {
                        Unsafe::Signed => Reason::Signed,
                        Unsafe::Format => Reason::Packed(Format::Zip),
                    };
                    for (name, inside) in members {
                        examined.refuse(inside, &name, &reason);
                    }
                    let names = std::mem::take(&mut text);
                    examined.refuse(names, "zip file", &reason);
                }
            }
        }
        examined.nest(text, "zip file");
        examined.refuse(opaque, "zip file", &Reason::Packed(Format::Zip));
        examined
    }

    fn zip_content(&self, bytes: &[u8], member: &ZipMember) -> Option<Unpacked> {
        let packed = &bytes[member.packed.clone()];
        match member.method {
            0 => Some(Unpacked::Whole(packed.to_vec())),
            8 => self.unpack(flate2::bufread::DeflateDecoder::new(packed)),
            method => self.unpack(packed::reader(packed::zip_method(method)?, packed)?),
        }
    }

    /// Brings a wheel's list of its own files up to date with `contents`.
    fn refresh_records(&self, bytes: &[u8], zip: &Zip, contents: &mut BTreeMap<usize, (Vec<u8>, Vec<u8>)>) {
        let name = |member: &ZipMember| String::from_utf8_lossy(&bytes[member.name_at.clone()]).into_owned();
        for (index, member) in zip.members.iter().enumerate().filter(|(_, m)| record::is_record(Path::new(&m.name))) {
            let Some(Unpacked::Whole(old)) = self.zip_content(bytes, member) else { continue };
            let current = contents.get(&index).map_or(&old, |(_, new)| new);
            let Ok(text) = std::str::from_utf8(current) else { continue };
            let changed: HashMap<String, (&[u8], &[u8])> =
                contents.iter().map(|(&index, (old, new))| (name(&zip.members[index]), (&old[..], &new[..]))).collect();
            let new = record::with_digests(text, |name| changed.get(name).copied()).into_bytes();
            if new != old {
                contents.insert(index, (old, new));
            }
        }
    }

    /// An archive whose members lie in it as they are: their edits are its edits.
    fn archive(&self, bytes: &[u8], archive: &Archive, depth: usize) -> Examined {
        let ranges: Vec<Range<usize>> = archive.members.iter().map(|m| m.range.clone()).collect();
        let between = gaps(&ranges, 0..bytes.len());
        let mut examined = self.leaf(bytes, &between, &Layout::default());
        self.embedded(bytes, &between, &Layout::default(), depth, &mut examined);
        if archive.kind == archive::Kind::Tar {
            tar_checksums(bytes, &mut examined.edits);
        }
        for member in &archive.members {
            let content = &bytes[member.range.clone()];
            let all = 0..content.len();
            let mut inside = self.look(content, std::slice::from_ref(&all), depth + 1);
            let edits = std::mem::take(&mut inside.edits);
            examined.edits.extend(member.checksum(content, &edits));
            examined.edits.extend(edits.into_iter().map(|edit| Edit { at: edit.at + member.range.start, ..edit }));
            let name = format!("member {}", member.name);
            if inside.replacement.is_some() {
                examined.refuse(inside, &name, &Reason::InArchive);
            } else {
                examined.nest(inside, &name);
            }
        }
        examined
    }

    fn gzip(&self, bytes: &[u8], depth: usize) -> Option<Examined> {
        let mut examined = Examined::default();
        let mut output = Vec::new();
        let mut at = 0;
        let mut changed = false;
        while let Some((member, content)) =
            packed::gzip_member(bytes, at, self.overlap(), &|window| self.is_suspect(window))
        {
            let place = format!("gzip member at {at:#x}");
            let header = &bytes[member.header.clone()];
            let mut head = self.examine_text(header);
            let inside = self.deeper(&content, depth + 1);
            let body = match content {
                Unpacked::Whole(content) => new_content(content, &inside),
                Unpacked::Large(_) => None,
            };
            if (body.is_some() && member.extra) || (!head.is_clean() && member.header_crc) {
                examined.refuse(inside, &place, &Reason::Gzip);
                examined.refuse(head, &place, &Reason::Gzip);
            } else {
                let mut header = header.to_vec();
                apply(&mut header, &head.edits);
                changed |= body.is_some() || !head.edits.is_empty();
                output.extend(header);
                match body.and_then(|content| packed::gzip_body(&content).ok()) {
                    Some(body) => output.extend(body),
                    None => output.extend(&bytes[member.stream.start..member.end()]),
                }
                head.edits.clear();
                examined.nest(inside, &place);
                examined.nest(head, &place);
            }
            at = member.end();
        }
        if at == 0 {
            return None;
        }
        // Padding, or whatever else follows the last member.
        let mut tail = self.examine_text(&bytes[at..]);
        let mut rest = bytes[at..].to_vec();
        if packed::detect(&rest).is_some() || embedded::is_suspect(&rest) {
            let all = 0..rest.len();
            let found = self.look(&rest, std::slice::from_ref(&all), depth + 1);
            examined.refuse(found, "bytes behind the last gzip member", &Reason::Gzip);
            tail = Examined::default();
        }
        apply(&mut rest, &tail.edits);
        changed |= !tail.edits.is_empty();
        tail.edits.clear();
        output.extend(rest);
        examined.nest(tail, "bytes behind the last gzip member");
        examined.replacement = changed.then_some(output);
        Some(examined)
    }
}

/// The parts of `whole` outside of `ranges`.
fn gaps(ranges: &[Range<usize>], whole: Range<usize>) -> Vec<Range<usize>> {
    let mut ranges = ranges.to_vec();
    ranges.sort_by_key(|range| range.start);
    let mut gaps = Vec::new();
    let mut at = whole.start;
    for range in ranges {
        if at < range.start {
            gaps.push(at..range.start);
        }
        at = at.max(range.end);
    }
    if at < whole.end {
        gaps.push(at..whole.end);
    }
    gaps
}

/// Adds what keeps the checksums of the changed header blocks right.
pub(super) fn tar_checksums(bytes: &[u8], edits: &mut Vec<Edit>) {
    const BLOCK: usize = 512;
    let mut blocks: Vec<usize> =
        edits.iter().flat_map(|edit| [edit.at / BLOCK, (edit.at + edit.bytes.len() - 1) / BLOCK]).collect();
    blocks.sort_unstable();
    blocks.dedup();
    for block in blocks {
        let start = block * BLOCK;
        let Some(header) = bytes.get(start..start + BLOCK).filter(|block| archive::is_tar_header(block)) else {
            continue;
        };
        let mut header = header.to_vec();
        for edit in edits.iter() {
            for (i, byte) in edit.bytes.iter().enumerate() {
                if let Some(place) = (edit.at + i).checked_sub(start)
                    && let Some(old) = header.get_mut(place)
                {
                    *old = *byte;
                }
            }
        }
        edits.push(Edit { at: start + archive::TAR_CHECKSUM.start, bytes: archive::tar_checksum(&header) });
    }
}
