//! Owns the buffers for handling input: one set per thread, reused, so that an idle connection owns none.

use std::cell::RefCell;
use std::task::Waker;
use std::thread::panicking;

use mist_core::message::Scan;
use mist_core::{AuthRequest, CustomRequest, Listing, NodesQuery, Scratch, SessionId, Walk};

use super::counting::Counted;
use super::run::{APPENDED_AT_ONCE, Batch, READ_BYTES, Run};
use crate::admission::peer::Peer;
use crate::admission::rates::Exceeded;
use crate::outbox::{SharedBytes, Spare};

pub(crate) struct Worker {
    /// Bytes just read, behind those left over from the read before. Outboxes may hold parts of them.
    pub(crate) input: SharedBytes,
    /// The payloads of frames, as lines.
    pub(crate) lines: Vec<u8>,
    pub(crate) tools: Tools,
}

impl Worker {
    /// Where to read into: the input, or another buffer in its place if an outbox still holds it.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.input.get_mut().is_none() {
            let other = self.tools.out.spare.take_full(READ_BYTES);
            self.input = SharedBytes::new(other);
        }
        self.input.get_mut().expect("nobody else holds it now")
    }
}

#[derive(Default)]
pub(crate) struct Tools {
    pub(crate) scan: Scan,
    pub(crate) scratch: Scratch,
    pub(crate) out: Outgoing,
}

/// Output that is prepared while a lock is held, and errands for when none is.
#[derive(Default)]
pub(crate) struct Outgoing {
    pub(crate) run: Run,
    /// The same as frames, if a receiver wants them.
    pub(crate) frames: Batch,
    /// What was read, if the messages that are handled stand at its beginning, and outboxes may hold it.
    pub(crate) read: Option<SharedBytes>,
    /// Bytes appended to all outboxes since the broker was last free for others.
    pub(crate) appended: usize,
    pub(crate) spare: Spare,
    /// Connections to wake.
    pub(crate) woken: Vec<Waker>,
    pub(crate) errands: Vec<Errand>,
    /// Whether what was delivered leaves little room on the way to other nodes.
    pub(crate) is_link_short: bool,
    /// A message to be published in parts, before anything else that its connection has sent.
    pub(crate) walk: Option<Box<Walk>>,
}

impl Outgoing {
    /// Whether so much was appended, or is about to be, that the lock must be released for others.
    pub(crate) fn is_full(&self) -> bool {
        self.appended + self.run.weight() >= APPENDED_AT_ONCE
    }

    /// Wakes the connections that something was appended for. Not to be called under a lock: `appended` counts from zero
    /// again, since others can have the broker now.
    pub(crate) fn wake_all(&mut self) {
        self.appended = 0;
        self.woken.drain(..).for_each(Waker::wake);
    }
}

/// Work for when no lock is held: it is slow, or runs code that is not ours.
pub(crate) enum Errand {
    /// Ask the token store.
    Ask(SessionId, AuthRequest),
    /// Ask the token store for some of its tokens, which stand behind one.
    ListTokens(SessionId, String, usize),
    Nodes(NodesQuery),
    /// Answer a publish once the other nodes of the cluster have said what they delivered.
    Count(Counted),
    /// Run a custom command.
    Custom(SessionId, CustomRequest),
    /// Check a presented token whose turn has come.
    LookAtToken(SessionId),
    /// Do the next part of a revocation, once others have had the broker.
    Proceed,
    /// Gather a long answer.
    List(Listing),
    /// Log that tokens from an address are throttled from now on.
    SayThrottled(Peer),
    /// Log that a connection from there came too soon after others.
    SayRefused(Option<Peer>, Exceeded),
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            input: SharedBytes::new(vec![0; READ_BYTES]),
            lines: Vec::new(),
            tools: Tools::default(),
        }
    }
}

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::default();
}

/// Replaces the worker if the work panics: no other work may see the state it left.
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
