//! Owns what one connection may do next: which meters it is charged to, and until when it is not read from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mist_core::Standing;
use mist_core::message::Command;
use mist_net::lock::Mutex;

use super::{Act, Exceeded, HOLDERS, Holder, Meter, Nanos, Rates, SECOND, cost};
use crate::admission::peer::Peer;

/// How long a connection waits at least: it then has credit for several messages, and is not woken for each.
const LEAST: Nanos = 5_000_000;
/// How long a connection that goes over a rate again and again is not spoken of again.
const SILENCE: Nanos = 60 * SECOND;

/// What may become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Go,
    /// Nothing is read any more until [`Allowance::until`].
    Wait,
    Refuse(Exceeded),
}

/// Holds one connection to the rates.
#[derive(Debug)]
pub(crate) struct Allowance {
    rates: Arc<Rates>,
    /// Whether it is refused what others wait for: a request over HTTP.
    is_request: bool,
    /// Whether it has shown the server's own token.
    is_exempt: AtomicBool,
    /// Until when it is not read from. A copy for those who only look.
    until: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// By [`Holder`].
    meters: [Option<Arc<Meter>>; HOLDERS],
    until: Nanos,
    /// Whether what waits has been charged.
    is_charged: bool,
    /// Why nothing is done for a request.
    refused: Option<Exceeded>,
    /// What is to be said of it, and since when something was.
    unsaid: Option<Exceeded>,
    said: Option<Nanos>,
}

impl Rates {
    fn subject(&self, standing: Standing<'_>) -> Option<Arc<Meter>> {
        match standing {
            Standing::Subject(subject) => Some(self.holders.subject(subject)),
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
        let address = peer.map(|peer| rates.holders.address(peer));
        Self {
            rates,
            is_request: own.is_none(),
            is_exempt: AtomicBool::new(standing == Standing::Server),
            until: AtomicU64::new(0),
            state: Mutex::new(State {
                meters: [own, subject, address],
                until: 0,
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

    /// Takes for whom the connection speaks from now on.
    pub(crate) fn log_in(&self, standing: Standing<'_>, now: Instant) {
        let is_server = standing == Standing::Server;
        self.is_exempt.store(is_server, Ordering::Relaxed);
        let subject = self.rates.subject(standing);
        let mut state = self.state.lock();
        let held = &mut state.meters[Holder::Subject as usize];
        let is_same = match (&subject, &held) {
            (Some(new), Some(held)) => Arc::ptr_eq(new, held),
            _ => false,
        };
        *held = subject;
        // A token that is shown again is no connection.
        if !is_same {
            let pace = self.charge(&mut state, &[(Act::Connect, 1)], now);
            // What comes next was not asked for yet.
            state.is_charged = false;
            if let Pace::Refuse(exceeded) = pace {
                state.refused = Some(exceeded);
            }
        }
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
        if self.rates.since_begin(now) < state.until {
            return Pace::Wait;
        }
        if std::mem::take(&mut state.is_charged) {
            return Pace::Go;
        }
        match command {
            Command::Publish => {
                let acts = [(Act::Publish, 1), (Act::PublishByte, bytes)];
                self.charge(&mut state, &acts, now)
            }
            Command::Subscribe => self.charge(&mut state, &[(Act::Subscribe, 1)], now),
            _ => Pace::Go,
        }
    }

    /// Charges all of it to each meter, or nothing where it is refused.
    fn charge(&self, state: &mut State, acts: &[(Act, usize)], now: Instant) -> Pace {
        const ALL: [Holder; HOLDERS] = [Holder::Own, Holder::Subject, Holder::Address];
        let now = self.rates.since_begin(now);
        let meters = state.meters.each_ref();
        // In the same order everywhere.
        let mut meters = meters.map(|meter| meter.as_ref().map(|meter| meter.0.lock()));
        let bounded = |act: Act, holder| {
            // There is one of its own for all connections, and for those of an address, before there is a session.
            let is_here = act != Act::Connect || holder == Holder::Subject;
            let allowed = self.rates.allowed(act, holder);
            (is_here && allowed > 0).then_some(allowed)
        };
        let mut worst: Option<(Nanos, Act, Holder)> = None;
        for (meter, holder) in meters.iter().zip(ALL) {
            let Some(meter) = meter else { continue };
            for &(act, count) in acts {
                let Some(allowed) = bounded(act, holder) else {
                    continue;
                };
                let due = meter[act as usize].due(cost(count, allowed), now);
                if due > now && worst.is_none_or(|(latest, ..)| latest < due) {
                    worst = Some((due, act, holder));
                }
            }
        }
        let exceeded = worst.map(|(due, act, holder)| {
            self.rates.note(act, holder);
            self.rates.exceeded(act, holder, due - now)
        });
        if let (Some(exceeded), true) = (exceeded, self.is_request) {
            drop(meters);
            state.unsaid = Some(exceeded);
            return Pace::Refuse(exceeded);
        }
        for (meter, holder) in meters.iter_mut().zip(ALL) {
            let Some(meter) = meter else { continue };
            for &(act, count) in acts {
                if let Some(allowed) = bounded(act, holder) {
                    meter[act as usize].charge(cost(count, allowed), now);
                }
            }
        }
        drop(meters);
        let Some((due, ..)) = worst else {
            return Pace::Go;
        };
        state.until = due.max(now + LEAST);
        self.until.store(state.until, Ordering::Relaxed);
        state.is_charged = true;
        if state.said.is_none_or(|said| now >= said + SILENCE) {
            state.said = Some(now);
            state.unsaid = exceeded;
        }
        Pace::Wait
    }

    /// Until when it is not to be read from, if it is not over.
    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        let until = self.until.load(Ordering::Relaxed);
        (until > self.rates.since_begin(now))
            .then(|| self.rates.begin + Duration::from_nanos(until))
    }

    /// Whether it was held up within the last second or is now: then it does not count that nothing is heard from it, nor
    /// that it reads nothing while it waits until more can be sent.
    pub(crate) fn is_throttled(&self, now: Instant) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until > 0 && until + SECOND > self.rates.since_begin(now)
    }

    /// Why it was held up or refused something, if that was not said yet.
    pub(crate) fn take_unsaid(&self) -> Option<Exceeded> {
        self.state.lock().unsaid.take()
    }
}
