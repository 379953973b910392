//! Owns the memory that handling input works in: one per thread, reused, so that a connection at rest owns no buffers.

use std::cell::RefCell;
use std::task::Waker;
use std::thread::panicking;

use mist_core::message::Scan;
use mist_core::{AuthRequest, CustomRequest, Listing, Scratch, SessionId, Walk};

use super::run::{Batch, Run};
use crate::admission::peer::Peer;
use crate::outbox::Spare;

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
    /// A message to be published in parts, before anything else that its connection has sent.
    pub(crate) walk: Option<Box<Walk>>,
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

/// What is to be done once no lock is held, since it takes its time or runs code that is not ours.
pub(crate) enum Errand {
    /// To find out for the broker.
    Ask(SessionId, AuthRequest),
    Custom(SessionId, CustomRequest),
    /// To have a token looked at whose turn it is.
    LookAtToken(SessionId),
    /// A part of what takes long, once others have had the broker.
    Proceed,
    /// An answer that takes long.
    List(Listing),
    /// To say in the log that tokens from an address have to wait from now on.
    SayThrottled(Peer),
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            input: vec![0; READ_BYTES],
            lines: Vec::new(),
            tools: Tools::default(),
        }
    }
}

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::default();
}

/// Where the work panics, what it left in the worker is nobody else's.
struct Lent<'a>(&'a mut Worker);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if panicking() {
            *self.0 = Worker::default();
        }
    }
}

/// Lends this thread's worker.
///
/// Code of the host's own may run while it is lent: a custom stream that is read or written, a tracing layer that gets
/// a line, a waker. Where that comes back here, as with [`Handle::publish`](crate::Handle::publish), it gets a worker
/// for this one time.
pub(crate) fn with_worker<T>(work: impl FnOnce(&mut Worker) -> T) -> T {
    WORKER.with(|worker| match worker.try_borrow_mut() {
        Ok(mut worker) => {
            let lent = Lent(&mut worker);
            work(lent.0)
        }
        Err(_) => work(&mut Worker::default()),
    })
}
