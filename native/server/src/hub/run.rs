//! Owns messages in a row that go to the same receivers, until each receiver gets them in one piece; knows nothing of
//! how the receivers were found.

use std::ops::Range;

use mist_core::Scratch;
use mist_core::message::Message;

use crate::outbox::{SHARED_FROM_BYTES, Segment, SharedBytes, SharedPart, TEXT, write_frame};

/// Bytes read with one system call. Smaller is slower; larger no longer fits the cache.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// Bytes appended, over all receivers, before the read lock is released for writers.
pub(crate) const APPENDED_AT_ONCE: usize = 4 << 20;

/// From so many receivers on they share what is sent to all of them.
const SHARED_FROM_RECEIVERS: usize = 4;
/// They share less where there are so many that copying would hold up others.
const SHARED_AMONG_MANY_FROM_BYTES: usize = 1 << 10;
/// To put a shared piece into an outbox takes as long as to copy so many bytes.
const SHARED_WEIGHT: usize = 256;

/// From so many bytes on, receivers hold what was read instead of a copy. With fewer the last of them could hold far more
/// memory than what is counted.
const LENT_FROM_BYTES: usize = READ_BYTES / 2;

/// Messages in one framing, one behind the other.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    /// Where each message ends.
    pub(crate) ends: Vec<u32>,
}

impl Batch {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        // One large message does not make the thread large for good.
        self.bytes.shrink_to(4 * READ_BYTES);
    }

    pub(crate) fn segment(&self) -> Segment<'_> {
        Segment {
            bytes: &self.bytes,
            ends: &self.ends,
            shared: None,
        }
    }

    /// Becomes the same messages as frames.
    pub(crate) fn frame(&mut self, lines: Segment<'_>) {
        let mut start = 0;
        for &end in lines.ends {
            let end = end as usize;
            write_frame(TEXT, &lines.bytes[start..end - 1], &mut self.bytes);
            self.ends.push(self.bytes.len() as u32);
            start = end;
        }
    }
}

/// Messages as lines, and their receivers.
///
/// Most messages go out as they came in. As long as all of a run do, and stand one behind the other in the input, the
/// run is that part of the input, and nothing is written.
#[derive(Default)]
pub(crate) struct Run {
    /// The slots of the receivers' sessions.
    pub(crate) targets: Vec<u32>,
    /// The lines, unless `verbatim` says where they stand; where they end in any case.
    pub(crate) lines: Batch,
    verbatim: Range<usize>,
}

impl Run {
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.ends.is_empty()
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> usize {
        self.lines.ends.len()
    }

    /// Whether one copy for all receivers is cheaper than one for each.
    pub(crate) fn is_worth_sharing(&self) -> bool {
        let bytes = self.bytes();
        self.targets.len() >= SHARED_FROM_RECEIVERS
            && (bytes >= SHARED_FROM_BYTES
                || bytes >= SHARED_AMONG_MANY_FROM_BYTES
                    && bytes * self.targets.len() >= APPENDED_AT_ONCE)
    }

    /// How many bytes are written to give it to all receivers.
    pub(crate) fn weight(&self) -> usize {
        match self.is_worth_sharing() {
            true => self.bytes() + SHARED_WEIGHT * self.targets.len(),
            false => self.bytes() * self.targets.len(),
        }
    }

    fn bytes(&self) -> usize {
        self.lines.bytes.len() + self.verbatim.len()
    }

    /// Adds a message that was decided with `scratch`; its line ends at `end` in `input`.
    #[inline]
    pub(crate) fn push(
        &mut self,
        scratch: &Scratch,
        message: &Message<'_>,
        input: &[u8],
        end: usize,
    ) {
        if scratch.is_verbatim()
            && self.lines.bytes.is_empty()
            && let Some(whole) = message.compact()
        {
            let start = end - whole.len() - 1;
            if self.is_empty() {
                self.verbatim = start..start;
            }
            if self.verbatim.end == start {
                self.verbatim.end = end;
                self.lines.ends.push((end - self.verbatim.start) as u32);
                return;
            }
        }
        let read = std::mem::take(&mut self.verbatim);
        self.lines.bytes.extend_from_slice(&input[read]);
        scratch.write_body(message, &mut self.lines.bytes);
        self.end_line();
    }

    /// Ends the line that was written last into `lines`, and with it the message.
    pub(crate) fn end_line(&mut self) {
        self.lines.bytes.push(b'\n');
        self.lines.ends.push(self.lines.bytes.len() as u32);
    }

    /// The messages; `input` is what they were pushed with.
    pub(crate) fn segment<'a>(&'a self, input: &'a [u8]) -> Segment<'a> {
        match self.verbatim.is_empty() {
            true => self.lines.segment(),
            false => Segment {
                bytes: &input[self.verbatim.clone()],
                ends: &self.lines.ends,
                shared: None,
            },
        }
    }

    /// The messages as a part of what was read, if they are most of it.
    pub(crate) fn part_of(&self, read: &SharedBytes) -> Option<SharedPart> {
        (self.verbatim.len() >= LENT_FROM_BYTES)
            .then(|| SharedPart::new(read.clone(), self.verbatim.start, self.verbatim.len()))
    }

    /// Whether the lines were written, so that their buffer may be given away.
    pub(crate) fn is_written(&self) -> bool {
        self.verbatim.is_empty()
    }

    /// Forgets the messages, not the receivers.
    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        self.verbatim = 0..0;
    }
}
