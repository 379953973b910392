//! Owns the token buckets of one holder, one for each rate. It reads no clock.

use std::sync::MutexGuard;

use mist_net::lock::Mutex;

/// Nanoseconds since the server was made.
pub(super) type Nanos = u64;

/// What a bucket holds, as the time in which it fills.
pub(super) const SECOND: Nanos = 1_000_000_000;
/// How far ahead reservations reach.
const AHEAD: Nanos = 5 * SECOND;

/// What a rate is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Publish,
    PublishByte,
    Subscribe,
    Connect,
}

/// How many there are.
pub(super) const ACTS: usize = 4;

/// What one holder has done lately.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Buckets>);

#[derive(Debug, Default)]
pub(super) struct Buckets {
    epoch: u32,
    pub(super) of: [Bucket; ACTS],
}

/// The time at which it is full again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket(Nanos);

impl Meter {
    pub(super) fn lock(&self, epoch: u32) -> MutexGuard<'_, Buckets> {
        let mut buckets = self.0.lock();
        if buckets.epoch != epoch {
            *buckets = Buckets {
                epoch,
                ..Buckets::default()
            };
        }
        buckets
    }

    /// Whether it has all of its credit.
    pub(super) fn is_idle(&self, now: Nanos, epoch: u32) -> bool {
        let buckets = self.lock(epoch);
        buckets.of.iter().all(|bucket| bucket.0 <= now)
    }
}

/// The cost of a number of things: the time in which the rate allows them.
pub(super) fn cost(count: usize, allowed: u32) -> Nanos {
    let cost = count as u128 * u128::from(SECOND) / u128::from(allowed);
    Nanos::try_from(cost).unwrap_or(Nanos::MAX / 4)
}

impl Bucket {
    /// When there is enough in it; for more than it holds, when it is full.
    pub(super) fn due(self, cost: Nanos, now: Nanos) -> Nanos {
        let paid = self.0.max(now).saturating_add(cost.min(SECOND));
        // The bucket holds a second's worth.
        paid.saturating_sub(SECOND)
    }

    /// Whether as much is reserved as may be.
    pub(super) fn is_booked_out(self, now: Nanos) -> bool {
        self.0 > now.saturating_add(AHEAD)
    }

    /// Takes credit even if there is not enough.
    pub(super) fn charge(&mut self, cost: Nanos, now: Nanos) {
        self.0 = self.0.max(now).saturating_add(cost);
    }
}
