//! Owns the checks that the watch makes of a connection once a second: whether its socket moves, whether its client is
//! heard, how long it takes to authenticate and to end.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Outbox;

/// Seconds between notices to a delayed client. Clients take them as a sign of life, and the server learns from them whether
/// the client is still there, since it reads nothing meanwhile.
const TELL_THROTTLED: u32 = 5;

/// No deadline to authenticate.
const ANY_TIME: u32 = u32::MAX;

/// A finding about a connection that the watch may have to act on.
pub(crate) enum Concern {
    /// It has just begun to lose messages.
    Dropping,
    /// It has caught up after losing this many.
    CaughtUp(u64),
    /// Its socket took nothing for this many seconds, while this many bytes wait for it.
    Stalled(u32, usize),
    /// Nothing was heard from it for this many seconds.
    Silent(u32),
    /// It has been held up, and should be told.
    Throttled,
    /// It should have ended this many seconds ago.
    Ending(u32),
    /// Its time to authenticate is over.
    Unauthenticated,
}

impl Outbox {
    /// From now on the session has this many seconds to authenticate; without a number, any time.
    pub(crate) fn begin_probation(&self, seconds: Option<u32>) {
        // Plus one: the first tick may come immediately.
        let left = seconds.map_or(ANY_TIME, |seconds| seconds.max(1).saturating_add(1));
        self.probation.store(left, Ordering::Relaxed);
    }

    pub(crate) fn end_probation(&self) {
        self.probation.store(0, Ordering::Relaxed);
    }

    /// Whether the session has still to authenticate.
    pub(crate) fn is_on_probation(&self) -> bool {
        self.probation.load(Ordering::Relaxed) != 0
    }

    /// Counts one second of the probation; returns whether it is over.
    fn is_overdue(&self) -> bool {
        let left = self.probation.load(Ordering::Relaxed);
        if left > 1 && left != ANY_TIME {
            // Unless it has authenticated meanwhile.
            let order = Ordering::Relaxed;
            let _ = self
                .probation
                .compare_exchange(left, left - 1, order, order);
        }
        left == 1
    }

    pub(crate) fn note_moved(&self) {
        self.has_moved.store(true, Ordering::Relaxed);
    }

    pub(crate) fn note_heard(&self) {
        self.was_heard.store(true, Ordering::Relaxed);
    }

    /// Whether the client does more than it may in a second, and is held up.
    pub(crate) fn is_throttled(&self) -> bool {
        let allowance = self.allowance.get();
        allowance.is_some_and(|it| it.is_throttled(Instant::now()))
    }

    /// Counts one second; calls `tell` for every finding. Only the watch calls this.
    pub(crate) fn look(&self, mut tell: impl FnMut(Concern)) {
        let mut state = self.state.lock();
        let moved = self.has_moved.swap(false, Ordering::Relaxed);
        let heard = self.was_heard.swap(false, Ordering::Relaxed);
        state.stalled = if state.is_blocked && !moved {
            state.stalled + 1
        } else {
            0
        };
        let is_throttled = self.is_throttled();
        state.throttled = if is_throttled { state.throttled + 1 } else { 0 };
        // A ping is queued behind the waiting bytes: its answer is not due before those are taken. Until then only
        // `stalled` counts.
        // Nor is the answer of a client that is not read from.
        state.silent = match heard || state.waiting() > 0 || is_throttled {
            true => 0,
            false => state.silent + 1,
        };
        // Seconds in which a slow reader takes some of the waiting bytes do not count.
        state.ending_for = if state.ending.is_none() || moved {
            0
        } else {
            state.ending_for + 1
        };
        let dropped = state.dropped_in_episode;
        let before = std::mem::replace(&mut state.dropped_at_last_look, dropped);
        let concerns = [
            (before == 0 && dropped > 0).then_some(Concern::Dropping),
            (before > 0 && dropped == before).then(|| {
                state.dropped_in_episode = 0;
                state.dropped_at_last_look = 0;
                Concern::CaughtUp(dropped)
            }),
            (state.stalled > 0).then(|| Concern::Stalled(state.stalled, state.waiting())),
            (state.silent > 0).then_some(Concern::Silent(state.silent)),
            // What it has to read is a sign of life, too.
            (is_throttled
                && state.throttled.is_multiple_of(TELL_THROTTLED)
                && state.waiting() == 0)
                .then_some(Concern::Throttled),
            (state.ending_for > 0).then_some(Concern::Ending(state.ending_for)),
            self.is_overdue().then_some(Concern::Unauthenticated),
        ];
        drop(state);
        concerns.into_iter().flatten().for_each(&mut tell);
    }
}
