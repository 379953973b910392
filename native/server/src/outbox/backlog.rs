//! Owns the count of bytes that wait in all outboxes, and how much one of them may hold; knows nothing of messages.

use std::sync::atomic::{AtomicUsize, Ordering};

use mist_core::Limits;

/// The bytes that wait in all outboxes.
#[derive(Debug, Default)]
pub(crate) struct Backlog(AtomicUsize);

impl Backlog {
    /// Counts bytes that [`Outbox::append`](super::Outbox::append) took; once for many outboxes, since all threads
    /// contend for this counter.
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> usize {
        let bytes = self.0.load(Ordering::Relaxed);
        // `remove` may run before the matching `add`; show 0 then.
        usize::try_from(bytes.cast_signed()).unwrap_or(0)
    }

    /// What one outbox may hold at the present total.
    pub(crate) fn room(&self, limits: &Limits) -> Room {
        let bytes = if self.bytes() < limits.outbox_total_bytes {
            limits.outbox_bytes
        } else {
            limits.squeezed_bytes()
        };
        Room {
            bytes,
            messages: limits.outbox_messages,
        }
    }
}

/// What one outbox may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) bytes: usize,
    pub(crate) messages: usize,
}
