//! Owns the memory that handling input works in: one per thread, reused, so that a connection at rest owns no buffers.

use std::cell::RefCell;
use std::task::Waker;

use mist_core::message::Scan;
use mist_core::{AuthRequest, CustomRequest, Scratch, SessionId};

use super::run::{Batch, Run};
use super::spare::Spare;

/// Bytes read with one system call. Smaller is slower; larger no longer fits the cache.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// Bytes that are appended, over all receivers, before those who change the broker get it in between.
pub(crate) const APPENDED_AT_ONCE: usize = 4 << 20;

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
    pub(crate) out: Outgoing,
}

/// What is on its way out while a lock is held, and what is to be done once none is.
#[derive(Default)]
pub(crate) struct Outgoing {
    pub(crate) run: Run,
    /// The same as frames, if a receiver wants them.
    pub(crate) frames: Batch,
    /// Bytes appended to all outboxes since the broker was last free for others.
    pub(crate) appended: usize,
    pub(crate) spare: Spare,
    /// Connections to wake.
    pub(crate) woken: Vec<Waker>,
    /// Work for the host.
    pub(crate) errands: Vec<Errand>,
}

impl Outgoing {
    /// Whether so much was appended, or is about to be, that others must have the broker in between.
    pub(crate) fn is_full(&self) -> bool {
        self.appended + self.run.weight() >= APPENDED_AT_ONCE
    }

    /// Wakes whom something was appended for. Not to be called under a lock: from here on others may have had the broker.
    pub(crate) fn wake_all(&mut self) {
        self.appended = 0;
        self.woken.drain(..).for_each(Waker::wake);
    }
}

/// What the broker asked the host to find out.
pub(crate) enum Errand {
    Ask(SessionId, AuthRequest),
    Custom(SessionId, CustomRequest),
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
