//! Owns the wait of publishers for the way to the other nodes of a cluster: it is one for all of them, and without a wait the
//! fastest would leave no room on it to the others.

use std::collections::HashMap;
#[cfg(feature = "cluster")]
use std::sync::atomic::AtomicU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use mist_net::lock::Mutex;

/// For so many looks at a link that takes nothing publishers wait; after that what finds no room is lost, as when there is
/// no NATS.
#[cfg(feature = "cluster")]
const PATIENCE: u32 = 10;

#[derive(Debug, Default)]
pub(crate) struct LinkRoom {
    is_short: AtomicBool,
    /// How often the link was looked at since it has taken something.
    #[cfg(feature = "cluster")]
    looks: AtomicU32,
    is_stalled: AtomicBool,
    /// Who waits, by session.
    waiting: Mutex<HashMap<usize, Waker>>,
}

impl LinkRoom {
    /// Notes that so many bytes wait for the link, and that it may have so many; returns whether its publisher should wait.
    pub(super) fn note(&self, bytes: usize, most: usize) -> bool {
        let is_short = bytes > most / 2 && !self.is_stalled.load(Ordering::Relaxed);
        if is_short {
            self.is_short.store(true, Ordering::Release);
        }
        is_short
    }

    /// Waits until there is room again.
    pub(crate) fn poll(&self, session: usize, cx: &Context<'_>) -> Poll<()> {
        if !self.is_short.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock();
        // Whoever makes room wakes those who are there by then.
        if !self.is_short.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        waiting.insert(session, cx.waker().clone());
        Poll::Pending
    }

    /// Notes that the link has taken something.
    #[cfg(feature = "cluster")]
    pub(super) fn note_taken(&self) {
        self.looks.store(0, Ordering::Relaxed);
        self.is_stalled.store(false, Ordering::Relaxed);
    }

    /// Looks at how many bytes wait for the link; to be called now and then.
    #[cfg(feature = "cluster")]
    pub(super) fn look(&self, bytes: usize, most: usize) {
        if !self.is_short.load(Ordering::Relaxed) {
            return;
        }
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        if looks >= PATIENCE {
            self.is_stalled.store(true, Ordering::Relaxed);
        } else if bytes > most / 4 {
            return;
        }
        let waiting = {
            let mut waiting = self.waiting.lock();
            self.is_short.store(false, Ordering::Release);
            std::mem::take(&mut *waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }
}

#[cfg(all(test, feature = "cluster"))]
mod tests {
    use super::*;

    #[test]
    fn publishers_wait_for_a_link_that_takes_something() {
        let room = LinkRoom::default();
        let cx = Context::from_waker(Waker::noop());
        assert!(!room.note(50, 100));
        assert!(room.poll(1, &cx).is_ready());
        assert!(room.note(51, 100));
        assert!(room.poll(1, &cx).is_pending());
        for _ in 0..3 * PATIENCE {
            room.note_taken();
            room.look(26, 100);
            assert!(room.poll(1, &cx).is_pending());
        }
        room.note_taken();
        room.look(25, 100);
        assert!(room.poll(1, &cx).is_ready());
    }

    #[test]
    fn nobody_waits_for_a_link_that_takes_nothing() {
        let room = LinkRoom::default();
        let cx = Context::from_waker(Waker::noop());
        assert!(room.note(100, 100));
        for _ in 0..PATIENCE {
            room.look(100, 100);
            assert!(room.poll(1, &cx).is_pending());
        }
        room.look(100, 100);
        assert!(room.poll(1, &cx).is_ready());
        assert!(!room.note(100, 100));
        room.note_taken();
        assert!(room.note(100, 100));
    }
}
