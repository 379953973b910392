//! Owns what one connection may do next: which meters it is charged to, and until when it is not read from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mist_core::Standing;
use mist_core::message::Command;
use mist_net::lock::Mutex;

use super::meter::{Act, Meter, Nanos, SECOND, cost};
use super::{Exceeded, HOLDERS, Holder, MESSAGE_SECONDS, Rates};
use crate::admission::peer::Peer;

/// The shortest wait: after it there is credit for several messages, so the connection is not woken for each.
const LEAST: Nanos = 5_000_000;
/// After how long a connection that got no reservation tries again.
const RETRY: Nanos = SECOND;
/// For how long further excesses of a connection are not logged.
const SILENCE: Nanos = 60 * SECOND;

/// What may become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Go,
    /// Nothing is read any more until [`Allowance::until`].
    Wait,
    Refuse(Exceeded),
    /// It is larger than any message may be at this rate of bytes.
    TooLarge(Exceeded),
}

/// Holds one connection to the rates.
#[derive(Debug)]
pub(crate) struct Allowance {
    rates: Arc<Rates>,
    /// Whether it is a request over HTTP, which is refused instead of waiting.
    is_request: bool,
    /// Whether it has presented the server's own token.
    is_exempt: AtomicBool,
    /// Until when the connection is not read from; readable without the lock.
    until: AtomicU64,
    /// The epoch of `until`: a change of the rates ends the wait.
    epoch: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// By [`Holder`].
    meters: [Option<Arc<Meter>>; HOLDERS],
    /// Whether the message that waits was counted as exceeding a rate, and whether it was charged.
    is_counted: bool,
    is_charged: bool,
    /// Why everything is refused from now on.
    refused: Option<Exceeded>,
    /// What is still to be logged, and when something was logged last.
    unsaid: Option<Exceeded>,
    said: Option<Nanos>,
}

impl Rates {
    /// Creates what holds a connection to the rates. Without a meter of its own it is for a request over HTTP, which is
    /// refused instead of waiting.
    pub(crate) fn allowance(
        self: &Arc<Self>,
        own: Option<Arc<Meter>>,
        peer: Option<Peer>,
        standing: Standing<'_>,
    ) -> Box<Allowance> {
        Box::new(Allowance::new(Arc::clone(self), own, peer, standing))
    }

    fn subject(&self, standing: Standing<'_>) -> Option<Arc<Meter>> {
        match standing {
            Standing::Subject(subject) => Some(self.subjects.meter(subject)),
            Standing::Server | Standing::Stranger => None,
        }
    }
}

impl Allowance {
    pub(super) fn new(
        rates: Arc<Rates>,
        own: Option<Arc<Meter>>,
        peer: Option<Peer>,
        standing: Standing<'_>,
    ) -> Self {
        let subject = rates.subject(standing);
        let address = peer.map(|peer| rates.addresses.meter(peer));
        Self {
            rates,
            is_request: own.is_none(),
            is_exempt: AtomicBool::new(standing == Standing::Server),
            until: AtomicU64::new(0),
            epoch: AtomicU32::new(0),
            state: Mutex::new(State {
                meters: [own, subject, address],
                is_counted: false,
                is_charged: false,
                refused: None,
                unsaid: None,
                said: None,
            }),
        }
    }

    /// From now on what a request does counts for the connection that it came on, too.
    pub(crate) fn share(&self, connection: Arc<Meter>) {
        self.state.lock().meters[Holder::Own as usize] = Some(connection);
    }

    /// Sets the subject that the connection counts for from now on, without a check of the rate of connections.
    pub(crate) fn speak_for(&self, standing: Standing<'_>) {
        self.is_exempt
            .store(standing == Standing::Server, Ordering::Relaxed);
        let subject = self.rates.subject(standing);
        self.state.lock().meters[Holder::Subject as usize] = subject;
    }

    /// The same after a token was shown.
    ///
    /// # Errors
    /// The rate at which connections of the subject come. Nothing is done for this one any more.
    pub(crate) fn log_in(&self, standing: Standing<'_>, now: Instant) -> Result<(), Exceeded> {
        let before = self.state.lock().meters[Holder::Subject as usize].clone();
        self.speak_for(standing);
        let mut state = self.state.lock();
        let held = state.meters[Holder::Subject as usize].as_ref();
        // A token that is shown again is no connection.
        let is_same = |held: &&Arc<Meter>| before.is_some_and(|it| Arc::ptr_eq(&it, held));
        let Some(meter) = held.filter(|held| !is_same(held)) else {
            return Ok(());
        };
        let result = self.rates.connect(meter, Holder::Subject, now);
        if let Err(exceeded) = result {
            state.refused = Some(exceeded);
            state.unsaid = Some(exceeded);
        }
        result
    }

    /// Charges for a message of so many bytes that is about to be handled. One that has to wait is to come again.
    pub(crate) fn next(&self, command: Command, bytes: usize, now: Instant) -> Pace {
        if self.is_exempt.load(Ordering::Relaxed) {
            return Pace::Go;
        }
        let mut state = self.state.lock();
        if let Some(exceeded) = state.refused {
            return Pace::Refuse(exceeded);
        }
        if self.until(now).is_some() {
            return Pace::Wait;
        }
        let pace = match (command, std::mem::take(&mut state.is_charged)) {
            (_, true) => Pace::Go,
            (Command::Publish, _) => {
                let acts = [(Act::Publish, 1), (Act::PublishByte, bytes)];
                self.charge(&mut state, &acts, now)
            }
            (Command::Subscribe, _) => self.charge(&mut state, &[(Act::Subscribe, 1)], now),
            _ => Pace::Go,
        };
        state.is_counted &= pace == Pace::Wait;
        pace
    }

    /// Charges all of it to each meter, or nothing where it is refused or finds no place.
    fn charge(&self, state: &mut State, acts: &[(Act, usize)], now: Instant) -> Pace {
        const ALL: [Holder; HOLDERS] = [Holder::Own, Holder::Subject, Holder::Address];
        let rates = &self.rates;
        let (now, epoch) = (rates.since_begin(now), rates.epoch());
        let meters = state.meters.each_ref();
        // In the same order everywhere.
        let mut meters = meters.map(|meter| meter.as_ref().map(|meter| meter.lock(epoch)));
        let mut worst: Option<(Nanos, Act, Holder)> = None;
        let mut is_booked_out = false;
        for (meter, holder) in meters.iter().zip(ALL) {
            let Some(meter) = meter else { continue };
            for &(act, count) in acts {
                let allowed = rates.allowed(act, holder);
                if allowed == 0 {
                    continue;
                }
                let cost = cost(count, allowed);
                if act == Act::PublishByte && cost > Nanos::from(MESSAGE_SECONDS) * SECOND {
                    rates.note(act, holder);
                    return Pace::TooLarge(rates.exceeded(act, holder, 0));
                }
                let bucket = meter.of[act as usize];
                let due = bucket.due(cost, now);
                is_booked_out |= bucket.is_booked_out(now);
                if due > now && worst.is_none_or(|(latest, ..)| latest < due) {
                    worst = Some((due, act, holder));
                }
            }
        }
        let exceeded = worst.map(|(due, act, holder)| {
            if !std::mem::replace(&mut state.is_counted, !self.is_request) {
                rates.note(act, holder);
            }
            rates.exceeded(act, holder, due - now)
        });
        if let (Some(exceeded), true) = (exceeded, self.is_request) {
            state.unsaid = Some(exceeded);
            return Pace::Refuse(exceeded);
        }
        if !is_booked_out {
            for (meter, holder) in meters.iter_mut().zip(ALL) {
                let Some(meter) = meter else { continue };
                for &(act, count) in acts {
                    let allowed = rates.allowed(act, holder);
                    if allowed > 0 {
                        meter.of[act as usize].charge(cost(count, allowed), now);
                    }
                }
            }
        }
        drop(meters);
        let Some((due, ..)) = worst else {
            return Pace::Go;
        };
        let until = match is_booked_out {
            true => now + RETRY,
            false => due.max(now + LEAST),
        };
        self.epoch.store(epoch, Ordering::Relaxed);
        self.until.store(until, Ordering::Relaxed);
        state.is_charged = !is_booked_out;
        if state.said.is_none_or(|said| now >= said + SILENCE) {
            state.said = Some(now);
            state.unsaid = exceeded;
        }
        Pace::Wait
    }

    fn latest_until(&self) -> Nanos {
        match self.epoch.load(Ordering::Relaxed) == self.rates.epoch() {
            true => self.until.load(Ordering::Relaxed),
            false => 0,
        }
    }

    /// Until when it is not to be read from, if it is not over.
    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        let until = self.latest_until();
        (until > self.rates.since_begin(now))
            .then(|| self.rates.begin + Duration::from_nanos(until))
    }

    /// Whether it was held up within the last second or is now: then it does not count for a while that nothing is
    /// heard from it, nor that it reads nothing.
    pub(crate) fn is_throttled(&self, now: Instant) -> bool {
        let until = self.latest_until();
        until > 0 && until + SECOND > self.rates.since_begin(now)
    }

    /// Whether it may have to wait, so that little is to be read from it ahead.
    pub(crate) fn may_wait(&self) -> bool {
        !self.is_request && !self.is_exempt.load(Ordering::Relaxed)
    }

    /// Why it was held up or refused something, if that was not said yet.
    pub(crate) fn take_unsaid(&self) -> Option<Exceeded> {
        self.state.lock().unsaid.take()
    }
}
