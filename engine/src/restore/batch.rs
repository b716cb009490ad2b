//! What the thread that reads layers hands to those that make files: members with their contents, many short ones at once
//! and each long one in parts, as they are read.

use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use super::super::error::Result;
use super::super::frames::Bytes;
use super::super::manifest::Record;
use super::maker::Maker;

/// A batch is full with this many bytes of content,
const BATCH: usize = 1 << 19;

/// or with this many members.
const MEMBERS: usize = 128;

/// So many parts of a long content wait for the thread that makes the file.
const PARTS: usize = 2;

/// What was read and is to be made.
pub struct Batch<'a> {
    layer: &'a Path,
    members: Vec<Member>,
    /// Bytes of content.
    bytes: usize,
    /// Files with the content of the long member, with their indices.
    copies: Vec<(u32, Record)>,
}

/// A record, its index, and its content.
struct Member(u32, Record, Content);

enum Content {
    Whole(Bytes),
    Parts(Parts),
}

impl<'a> Batch<'a> {
    /// Nothing yet; `layer` is where the members come from.
    pub fn new(layer: &'a Path) -> Self {
        Self { layer, members: Vec::with_capacity(MEMBERS), bytes: 0, copies: Vec::new() }
    }

    /// A long member alone, and where its parts are to be sent: the first of `records` with its index; the others have the same
    /// content.
    pub fn long(layer: &'a Path, (index, record): (u32, Record), copies: Vec<(u32, Record)>) -> (Self, Sender) {
        let (sender, receiver) = sync_channel(PARTS);
        let content = Content::Parts(Parts { receiver, part: None });
        (Self { layer, members: vec![Member(index, record, content)], bytes: 0, copies }, sender)
    }

    /// Adds a member.
    pub fn push(&mut self, index: u32, record: Record, content: Bytes) {
        self.bytes += content.len();
        self.members.push(Member(index, record, Content::Whole(content)));
    }

    /// Whether it is time to send it.
    pub fn is_full(&self) -> bool {
        self.bytes >= BATCH || self.members.len() >= MEMBERS
    }

    /// Makes all that it holds.
    fn make(self, maker: &mut Maker) -> Result<()> {
        let Self { layer, members, copies, .. } = self;
        for Member(index, record, content) in members {
            match content {
                Content::Whole(content) => maker.member(index, &record, &content, layer)?,
                Content::Parts(mut parts) => {
                    let file = maker.stream(index, &record, &mut parts, layer)?;
                    copies.iter().try_for_each(|(index, record)| maker.duplicate(*index, record, &file, layer))?;
                }
            }
        }
        Ok(())
    }
}

/// Where the parts of a long content go. Who drops it before the end sends an error first.
pub type Sender = SyncSender<io::Result<Bytes>>;

/// A long content on its way.
pub struct Parts {
    receiver: Receiver<io::Result<Bytes>>,
    part: Option<Bytes>,
}

impl Parts {
    /// The next bytes of it, `most` at most; none at the end.
    ///
    /// # Errors
    /// Those of reading the layer.
    pub fn next(&mut self, most: usize) -> io::Result<Option<Bytes>> {
        let part = match self.part.take() {
            Some(part) => part,
            None => match self.receiver.recv() {
                Ok(part) => part?,
                Err(_) => return Ok(None),
            },
        };
        let (now, later) = part.split(most);
        self.part = (!later.is_empty()).then_some(later);
        Ok(Some(now))
    }
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let part = self.next(buffer.len())?;
        let read = part.map_or(0, |part| {
            buffer[..part.len()].copy_from_slice(&part);
            part.len()
        });
        Ok(read)
    }
}

/// Makes batch after batch. After a failure, anyone's, takes the rest without a look, so that the reader never waits.
pub fn make_all(maker: &mut Maker, batches: &Mutex<Receiver<Batch>>, failed: &AtomicBool) -> Result<()> {
    let mut result = Ok(());
    loop {
        let next = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return result };
        if failed.load(Relaxed) {
            continue;
        }
        result = batch.make(maker);
        if result.is_err() {
            failed.store(true, Relaxed);
        }
    }
}
