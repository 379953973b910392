//! Owns the memory that handling input works in: one per thread, reused, so that a connection at rest owns no buffers.

use std::cell::RefCell;
use std::task::Waker;

use mist_core::message::{Message, Scan};
use mist_core::{AuthRequest, CustomRequest, Scratch, SessionId};

use super::framing::{TEXT, write_frame};
use super::outbox::Segment;
use super::spare::Spare;

/// Bytes read with one system call. Smaller is slower; larger no longer fits the cache.
pub(crate) const READ_BYTES: usize = 64 << 10;

pub(crate) struct Worker {
    /// What was read, behind what was left of the read before.
    pub(crate) input: Vec<u8>,
    /// What was taken out of frames, as lines.
    pub(crate) lines: Vec<u8>,
    pub(crate) tools: Tools,
}

#[derive(Default)]
pub(crate) struct Tools {
    pub(crate) scan: Scan,
    pub(crate) scratch: Scratch,
    /// The tags of the run of messages that is being gathered.
    pub(crate) run_tags: String,
    pub(crate) out: Outgoing,
}

/// What is on its way out while a lock is held, and what is to be done once none is.
#[derive(Default)]
pub(crate) struct Outgoing {
    pub(crate) batch: Batch,
    /// The same as frames, if a receiver wants them.
    pub(crate) frames: Batch,
    pub(crate) spare: Spare,
    /// Connections to wake.
    pub(crate) woken: Vec<Waker>,
    /// Work for the host.
    pub(crate) errands: Vec<Errand>,
}

impl Outgoing {
    /// Wakes whom something was appended for. Not to be called under a lock.
    pub(crate) fn wake_all(&mut self) {
        self.woken.drain(..).for_each(Waker::wake);
    }
}

/// What the broker asked the host to find out.
pub(crate) enum Errand {
    Ask(SessionId, AuthRequest),
    Custom(SessionId, CustomRequest),
}

/// Messages that go to the same receivers, in one framing.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Vec<u32>,
}

impl Batch {
    /// Adds a message that was decided with `scratch`, unless nobody is to get it.
    pub(crate) fn push(&mut self, scratch: &Scratch, message: &Message<'_>) {
        if !scratch.targets().is_empty() {
            scratch.write_body(message, &mut self.bytes);
            self.end_line();
        }
    }

    /// Ends the line that was written last, and with it the message.
    pub(crate) fn end_line(&mut self) {
        self.bytes.push(b'\n');
        self.ends.push(self.bytes.len() as u32);
    }

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
        }
    }

    /// Becomes the same messages as frames; `lines` holds them as lines.
    pub(crate) fn frame(&mut self, lines: &Self) {
        let mut start = 0;
        for &end in &lines.ends {
            let end = end as usize;
            write_frame(TEXT, &lines.bytes[start..end - 1], &mut self.bytes);
            self.ends.push(self.bytes.len() as u32);
            start = end;
        }
    }
}

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::new(Worker {
        input: vec![0; READ_BYTES],
        lines: Vec::new(),
        tools: Tools::default(),
    });
}

/// Lends this thread's worker. Not to be called from within itself.
pub(crate) fn with_worker<T>(work: impl FnOnce(&mut Worker) -> T) -> T {
    WORKER.with_borrow_mut(work)
}
