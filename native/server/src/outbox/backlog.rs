//! Owns the count of what waits in all outboxes, and how much one of them may hold; knows nothing of what it is.

use std::sync::atomic::{AtomicUsize, Ordering};

use mist_core::Limits;

/// The bytes that wait in all outboxes.
#[derive(Debug, Default)]
pub(crate) struct Backlog(AtomicUsize);

impl Backlog {
    /// Notes bytes that [`Outbox::append`](super::Outbox::append) took; once for many outboxes, since all threads meet here.
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Zero where more was removed than added: a connection may have written what others have yet to note.
    pub(crate) fn bytes(&self) -> usize {
        let bytes = self.0.load(Ordering::Relaxed);
        usize::try_from(bytes.cast_signed()).unwrap_or(0)
    }

    /// What one outbox may hold as long as there is this much in all.
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
