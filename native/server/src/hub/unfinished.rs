//! Owns the count of the bytes of incomplete messages, over all connections; knows nothing of sockets.
//!
//! Each message is bounded, and so are connections; but both together come to more than a machine has. Over the bound
//! no long message is read further, and once a second the largest are cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::outbox::Outbox;

/// What is less is not counted: so much is there for every connection.
pub(crate) const COUNTED_FROM: usize = 2 << 10;

#[derive(Debug)]
pub(crate) struct Unfinished {
    bytes: AtomicUsize,
    limit: AtomicUsize,
    /// Whether a connection is not read from until there is room.
    has_waiting: AtomicBool,
}

impl Unfinished {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            has_waiting: AtomicBool::new(false),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes() > self.limit()
    }

    /// Notes that a connection that has part of a message waits for room: the watch wakes it.
    pub(crate) fn note_waiting(&self) {
        self.has_waiting.store(true, Ordering::Release);
    }

    pub(super) fn take_waiting(&self) -> bool {
        self.has_waiting.swap(false, Ordering::Acquire)
    }

    /// Notes that something that was so large is now another size.
    pub(crate) fn change(&self, before: usize, now: usize) {
        // Wraps around to what a subtraction comes to.
        self.bytes
            .fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }
}

/// What one request has of it: of its body, and of the message that is made of that. Or what is done in line for one
/// connection.
pub(crate) struct Part {
    all: Arc<Unfinished>,
    own: Option<Arc<Outbox>>,
    bytes: usize,
}

impl Part {
    pub(crate) fn new(all: &Arc<Unfinished>) -> Self {
        Self {
            all: Arc::clone(all),
            own: None,
            bytes: 0,
        }
    }

    /// A part of a connection, which is cut if that is most.
    pub(crate) fn of(all: &Arc<Unfinished>, own: &Arc<Outbox>) -> Self {
        let mut part = Self::new(all);
        part.own = Some(Arc::clone(own));
        part
    }

    /// Adds bytes; returns whether there was room for them.
    pub(crate) fn add(&mut self, bytes: usize) -> bool {
        self.set(self.bytes + bytes);
        !self.all.is_full()
    }

    /// Notes how much it is now.
    pub(crate) fn set(&mut self, bytes: usize) {
        self.all.change(self.bytes, bytes);
        if let Some(own) = &self.own {
            own.change_unfinished(self.bytes, bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.set(0);
    }
}
