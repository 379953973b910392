//! Owns how often clients may publish, subscribe and connect: what each connection, subject and address has done
//! lately. Knows nothing of sockets; it reads no clock.
//!
//! A rate is a token bucket that holds what one second allows. A message that it has no room for is charged at once, as
//! a reservation, and waits until the bucket has caught up; so all that wait for one bucket go on in the order of their
//! arrival. Reservations reach a few seconds ahead and no further. A connection that gets none tries again a second
//! later and is charged nothing: thus those that leave hold no places, and the wait has a bound.

pub(crate) mod allowance;
mod holders;
pub(crate) mod meter;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mist_core::Limits;

use self::holders::Holders;
use self::meter::{ACTS, Act, Meter, Nanos, cost};
use super::peer::Peer;

/// How many seconds' worth of a byte rate one message may take. All connections that share the rate wait meanwhile.
const MESSAGE_SECONDS: u32 = 10;

/// What shares a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// A connection; for [`Act::Connect`], all clients together.
    Own,
    Subject,
    Address,
}

const HOLDERS: usize = 3;

/// All rates, by [`Act`] and [`Holder`]: their names, and what a second allows.
type Table<T> = [[T; HOLDERS]; ACTS];

const NAMES: Table<&str> = [
    [
        "publishes-per-second",
        "publishes-per-second-per-subject",
        "publishes-per-second-per-address",
    ],
    [
        "publish-bytes-per-second",
        "publish-bytes-per-second-per-subject",
        "publish-bytes-per-second-per-address",
    ],
    [
        "subscribes-per-second",
        "subscribes-per-second-per-subject",
        "subscribes-per-second-per-address",
    ],
    [
        "connects-per-second",
        "connects-per-second-per-subject",
        "connects-per-second-per-address",
    ],
];

fn allowed(limits: &Limits) -> Table<u32> {
    [
        [
            limits.publishes_per_second,
            limits.publishes_per_second_per_subject,
            limits.publishes_per_second_per_address,
        ],
        [
            limits.publish_bytes_per_second,
            limits.publish_bytes_per_second_per_subject,
            limits.publish_bytes_per_second_per_address,
        ],
        [
            limits.subscribes_per_second,
            limits.subscribes_per_second_per_subject,
            limits.subscribes_per_second_per_address,
        ],
        [
            limits.connects_per_second,
            limits.connects_per_second_per_subject,
            limits.connects_per_second_per_address,
        ],
    ]
}

/// The rates per connection that a client can escape by connecting again, because no wider rate is set beside them.
pub(crate) fn escapable(limits: &Limits) -> impl Iterator<Item = &'static str> {
    let rates = allowed(limits);
    let [.., [_, by_subject, by_address]] = rates;
    let has_connects = by_subject > 0 || by_address > 0;
    let of_messages = rates.into_iter().zip(NAMES).take(Act::Connect as usize);
    of_messages
        .filter(move |([own, wider @ ..], _)| *own > 0 && wider == &[0, 0] && !has_connects)
        .map(|(_, [name, ..])| name)
}

/// The rates of a server, and the meters of those that are held to them.
#[derive(Debug)]
pub(crate) struct Rates {
    /// Each may change at any time.
    allowed: Table<AtomicU32>,
    /// Whether there is any that holds connections which have been let in.
    are_on: AtomicBool,
    /// Incremented by each change: what was metered before no longer counts.
    epoch: AtomicU32,
    /// How often a client had to wait or was refused.
    exceeded: Table<AtomicU64>,
    begin: Instant,
    everybody: Meter,
    /// Kept apart, so that no message is charged to one meter twice, and meters are always locked in the same order.
    subjects: Holders,
    addresses: Holders,
}

/// A rate that a client has exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) setting: &'static str,
    pub(crate) limit: u32,
    /// How long it takes until there is credit again.
    pub(crate) wait: Duration,
}

impl Exceeded {
    /// The error for a client: of a refused command, with its `id` as it was written; of a refused connection, without
    /// one.
    pub(crate) fn answer(&self, command: &str, id: Option<&str>) -> Vec<u8> {
        mist_core::rate_exceeded(command, id, self.limit, self.setting)
    }

    /// The error for a message that is larger than the rate allows any to be.
    pub(crate) fn answer_large(&self, bytes: usize, id: Option<&str>) -> Vec<u8> {
        let most = u64::from(self.limit) * u64::from(MESSAGE_SECONDS);
        mist_core::message_over_rate(id, bytes, most, self.setting)
    }

    /// The wait in whole seconds, for HTTP.
    pub(crate) fn retry_after(&self) -> u64 {
        self.wait.as_millis().div_ceil(1000).max(1) as u64
    }
}

impl Rates {
    pub(crate) fn new(limits: &Limits) -> Self {
        let rates = Self {
            allowed: Table::default(),
            are_on: AtomicBool::new(false),
            epoch: AtomicU32::new(0),
            exceeded: Table::default(),
            begin: Instant::now(),
            everybody: Meter::default(),
            subjects: Holders::default(),
            addresses: Holders::default(),
        };
        rates.set(limits);
        rates
    }

    /// Sets the rates; returns whether they have changed. If so, all records are cleared, and no connection waits any more.
    pub(crate) fn set(&self, limits: &Limits) -> bool {
        let new = allowed(limits);
        let old = self.allowed.as_flattened().iter();
        let mut is_changed = false;
        for (old, new) in old.zip(new.as_flattened()) {
            is_changed |= old.swap(*new, Ordering::Relaxed) != *new;
        }
        if is_changed {
            self.epoch.fetch_add(1, Ordering::Relaxed);
        }
        let [.., [_, connects_of_subject, _]] = new;
        let of_open = new[..Act::Connect as usize].as_flattened();
        let are_on = connects_of_subject > 0 || of_open.iter().any(|rate| *rate > 0);
        self.are_on.store(are_on, Ordering::Relaxed);
        self.subjects.set_connections(limits.connections);
        self.addresses.set_connections(limits.connections);
        is_changed
    }

    fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Whether there is any that holds connections which have been let in.
    pub(crate) fn are_on(&self) -> bool {
        self.are_on.load(Ordering::Relaxed)
    }

    fn since_begin(&self, now: Instant) -> Nanos {
        now.saturating_duration_since(self.begin).as_nanos() as Nanos
    }

    fn allowed(&self, act: Act, holder: Holder) -> u32 {
        self.allowed[act as usize][holder as usize].load(Ordering::Relaxed)
    }

    fn note(&self, act: Act, holder: Holder) {
        self.exceeded[act as usize][holder as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn exceeded(&self, act: Act, holder: Holder, wait: Nanos) -> Exceeded {
        Exceeded {
            setting: NAMES[act as usize][holder as usize],
            limit: self.allowed(act, holder),
            wait: Duration::from_nanos(wait),
        }
    }

    /// How often each rate that is set was exceeded, by its name.
    pub(crate) fn figures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let allowed = self.allowed.as_flattened().iter();
        let names = NAMES.as_flattened().iter();
        let counts = self.exceeded.as_flattened().iter();
        let all = allowed.zip(names.zip(counts));
        all.filter(|(allowed, _)| allowed.load(Ordering::Relaxed) > 0)
            .map(|(_, (name, count))| (*name, count.load(Ordering::Relaxed)))
    }

    /// When another connection may be accepted, if it is not now.
    pub(crate) fn next_connect(&self, now: Instant) -> Option<Instant> {
        let limit = self.allowed(Act::Connect, Holder::Own);
        if limit == 0 {
            return None;
        }
        let now = self.since_begin(now);
        let buckets = self.everybody.lock(self.epoch());
        let due = buckets.of[Act::Connect as usize].due(cost(1, limit), now);
        (due > now).then(|| self.begin + Duration::from_nanos(due))
    }

    /// Counts that a connection was there already when the next might be accepted.
    pub(crate) fn note_late_connect(&self) {
        self.note(Act::Connect, Holder::Own);
    }

    /// Counts a connection that is let in.
    pub(crate) fn note_connect(&self, now: Instant) {
        let limit = self.allowed(Act::Connect, Holder::Own);
        if limit > 0 {
            let now = self.since_begin(now);
            let mut buckets = self.everybody.lock(self.epoch());
            buckets.of[Act::Connect as usize].charge(cost(1, limit), now);
        }
    }

    /// Counts a connection from an address, unless there were too many lately.
    ///
    /// # Errors
    /// The rate that was exceeded.
    pub(crate) fn connect_from(&self, peer: Option<Peer>, now: Instant) -> Result<(), Exceeded> {
        match peer {
            Some(peer) if self.allowed(Act::Connect, Holder::Address) > 0 => {
                self.connect(&self.addresses.meter(peer), Holder::Address, now)
            }
            _ => Ok(()),
        }
    }

    /// Charges a connection if the meter has credit for it. Nothing is reserved: a client that is refused may not come
    /// back.
    fn connect(&self, meter: &Meter, holder: Holder, now: Instant) -> Result<(), Exceeded> {
        let limit = self.allowed(Act::Connect, holder);
        if limit == 0 {
            return Ok(());
        }
        let now = self.since_begin(now);
        let mut buckets = meter.lock(self.epoch());
        let bucket = &mut buckets.of[Act::Connect as usize];
        let due = bucket.due(cost(1, limit), now);
        if due > now {
            self.note(Act::Connect, holder);
            return Err(self.exceeded(Act::Connect, holder, due - now));
        }
        bucket.charge(cost(1, limit), now);
        Ok(())
    }

    /// Forgets meters that no connection uses and that have full credit; to be called once a second.
    pub(crate) fn forget_idle(&self, now: Instant) {
        let (now, epoch) = (self.since_begin(now), self.epoch());
        self.subjects.forget_idle(now, epoch);
        self.addresses.forget_idle(now, epoch);
    }
}

#[cfg(test)]
mod tests;
