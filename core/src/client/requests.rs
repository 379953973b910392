//! Owns the numbers of requests, who waits for which answer, and until when; knows nothing of what is asked.

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::event::{RequestId, SubscriptionId};
use super::subscriptions::Slot;

/// A command's name; those this crate sends itself need no memory.
pub(super) type Name = Cow<'static, str>;

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    /// The answer to the message with the request's own number.
    Wire,
    /// The same, for a command whose effect a lost connection has as well.
    WireOrLoss,
    /// The acknowledgement of a subscription, on whatever connection.
    Subscription(SubscriptionId),
    /// The next connection: the message is in the offline buffer.
    Buffer,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) command: Name,
    pub(super) awaits: Awaits,
}

/// What the client asks for on its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// The token of this connection; whether the next attempt would present the same.
    Auth { is_static: bool },
    /// A wanted set; whether `open` waits for it.
    Subscribe { slot: Slot, is_restore: bool },
    /// A set that is not wanted any more, with nobody waiting for it.
    Unsubscribe,
    /// A proof of life; whether `open` waits for it.
    Ping { is_restore: bool },
}

/// The outstanding requests and errands.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u64,
    waiting: BTreeMap<u64, Waiting>,
    errands: BTreeMap<u64, Errand>,
    /// In the order they were made, which is that of their deadlines; answered ones are passed over.
    deadlines: VecDeque<(Duration, u64)>,
}

impl Requests {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn add(&mut self, deadline: Duration, command: Name, awaits: Awaits) -> RequestId {
        let number = self.number();
        self.waiting.insert(number, Waiting { command, awaits });
        self.deadlines.push_back((deadline, number));
        RequestId(number)
    }

    pub(super) fn add_errand(&mut self, errand: Errand) -> u64 {
        let number = self.number();
        self.errands.insert(number, errand);
        number
    }

    /// Takes out a request, which must be answered now.
    pub(super) fn take(&mut self, request: RequestId) -> Option<Waiting> {
        let waiting = self.waiting.remove(&request.0);
        self.pass_over();
        waiting
    }

    /// Takes out the request that waits for the wire's answer with this number.
    pub(super) fn take_wire(&mut self, number: u64) -> Option<Waiting> {
        let waiting = self.waiting.get(&number)?;
        matches!(waiting.awaits, Awaits::Wire | Awaits::WireOrLoss)
            .then(|| self.take(RequestId(number)))?
    }

    pub(super) fn take_errand(&mut self, number: u64) -> Option<Errand> {
        self.errands.remove(&number)
    }

    /// Notes that a buffered request is on the wire now; `false` when nobody waits for it any more.
    pub(super) fn leaves_buffer(&mut self, request: RequestId) -> bool {
        match self.waiting.get_mut(&request.0) {
            Some(waiting) => {
                waiting.awaits = Awaits::Wire;
                true
            }
            None => false,
        }
    }

    /// Takes out the next request that is past its deadline.
    pub(super) fn expired(&mut self, now: Duration) -> Option<(RequestId, Waiting)> {
        self.pass_over();
        let &(deadline, number) = self.deadlines.front()?;
        if deadline > now {
            return None;
        }
        let waiting = self.take(RequestId(number))?;
        Some((RequestId(number), waiting))
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.front().map(|&(deadline, _)| deadline)
    }

    /// Forgets the errands and takes out what waited for an answer on the lost connection.
    pub(super) fn connection_lost(&mut self) -> Vec<(RequestId, Waiting)> {
        self.errands.clear();
        self.take_where(|awaits| matches!(awaits, Awaits::Wire | Awaits::WireOrLoss))
    }

    pub(super) fn take_all(&mut self) -> Vec<(RequestId, Waiting)> {
        self.errands.clear();
        self.take_where(|_| true)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn take_where(&mut self, is_meant: impl Fn(Awaits) -> bool) -> Vec<(RequestId, Waiting)> {
        let mut taken = Vec::new();
        let mut kept = BTreeMap::new();
        for (number, waiting) in core::mem::take(&mut self.waiting) {
            if is_meant(waiting.awaits) {
                taken.push((RequestId(number), waiting));
            } else {
                kept.insert(number, waiting);
            }
        }
        self.waiting = kept;
        self.pass_over();
        taken
    }

    fn pass_over(&mut self) {
        while let Some((_, number)) = self.deadlines.front() {
            if self.waiting.contains_key(number) {
                break;
            }
            self.deadlines.pop_front();
        }
    }
}

/// What happens to a publish while there is no connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offline {
    /// It is refused at once, so that the application knows.
    #[default]
    Reject,
    /// It is kept for the next connection, up to these bounds.
    Buffer {
        /// Publishes kept at most.
        messages: usize,
        /// Bytes kept at most.
        bytes: usize,
        /// A publish that had to wait longer is discarded, and the application told.
        max_age: Duration,
    },
}

/// A publish that waits for the next connection.
#[derive(Debug)]
pub(super) struct Buffered {
    pub(super) kept_at: Duration,
    /// The message, without a line end.
    pub(super) text: Vec<u8>,
    pub(super) request: Option<RequestId>,
}

/// The publishes that wait for the next connection.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    pub(super) publishes: VecDeque<Buffered>,
    pub(super) bytes: usize,
}

impl Buffer {
    pub(super) fn push(&mut self, publish: Buffered) {
        self.bytes += publish.text.len();
        self.publishes.push_back(publish);
    }

    pub(super) fn pop(&mut self) -> Option<Buffered> {
        let publish = self.publishes.pop_front()?;
        self.bytes -= publish.text.len();
        Some(publish)
    }

    /// Takes out the oldest publish if it was kept at or before `time`.
    pub(super) fn pop_kept_until(&mut self, time: Duration) -> Option<Buffered> {
        if self.publishes.front()?.kept_at > time {
            return None;
        }
        self.pop()
    }
}

/// Returns an owned name for a command that the application named.
pub(super) fn name(command: &str) -> Name {
    Name::Owned(String::from(command))
}
