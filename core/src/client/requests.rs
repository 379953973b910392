//! Owns the numbers of requests, and which answers are awaited until when; knows nothing of what is asked.

use alloc::borrow::Cow;
use alloc::collections::VecDeque;
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

impl Awaits {
    fn is_of_connection(self) -> bool {
        matches!(self, Self::Wire | Self::WireOrLoss)
    }
}

#[derive(Debug)]
pub(super) struct Waiting {
    number: u64,
    deadline: Duration,
    pub(super) command: Name,
    pub(super) awaits: Awaits,
}

impl Waiting {
    pub(super) fn request(&self) -> RequestId {
        RequestId(self.number)
    }
}

/// What the client asks for on its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// The token of this connection; whether the next attempt would present the same.
    Auth { is_static: bool },
    /// A wanted set; whether `open` waits for it.
    Subscribe { slot: Slot, is_restore: bool },
    /// Of a set that is no longer wanted; no caller waits for it.
    Unsubscribe,
    /// A proof of life; whether `open` waits for it.
    Ping { is_restore: bool },
}

/// The outstanding requests and errands, in the order they were made: that of their numbers, of their deadlines, and
/// mostly of their answers.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u64,
    waiting: VecDeque<Waiting>,
    errands: VecDeque<(u64, Errand)>,
}

impl Requests {
    /// The last number given out.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn add(&mut self, deadline: Duration, command: Name, awaits: Awaits) -> RequestId {
        let number = self.number();
        self.waiting.push_back(Waiting {
            number,
            deadline,
            command,
            awaits,
        });
        RequestId(number)
    }

    pub(super) fn add_errand(&mut self, errand: Errand) -> u64 {
        let number = self.number();
        self.errands.push_back((number, errand));
        number
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.waiting
            .binary_search_by(|waiting| waiting.number.cmp(&number))
            .ok()
    }

    /// Takes out a request, which must be answered now.
    pub(super) fn take(&mut self, request: RequestId) -> Option<Waiting> {
        self.waiting.remove(self.place(request.0)?)
    }

    /// Takes out the request that waits for the wire's answer with this number.
    pub(super) fn take_wire(&mut self, number: u64) -> Option<Waiting> {
        let place = self.place(number)?;
        let is_meant = self.waiting[place].awaits.is_of_connection();
        is_meant.then(|| self.waiting.remove(place))?
    }

    pub(super) fn take_errand(&mut self, number: u64) -> Option<Errand> {
        let place = self
            .errands
            .binary_search_by(|(other, _)| other.cmp(&number));
        Some(self.errands.remove(place.ok()?)?.1)
    }

    /// Notes that a buffered request is on the wire now; `false` if no caller waits for it any more.
    pub(super) fn leaves_buffer(&mut self, request: RequestId) -> bool {
        match self.place(request.0) {
            Some(place) => {
                self.waiting[place].awaits = Awaits::Wire;
                true
            }
            None => false,
        }
    }

    /// Takes out the next request that is past its deadline.
    pub(super) fn expired(&mut self, now: Duration) -> Option<Waiting> {
        if self.next_deadline()? > now {
            return None;
        }
        self.waiting.pop_front()
    }

    /// Extends the deadlines of all waiting requests to this one, which is no earlier than any of them.
    pub(super) fn put_off(&mut self, deadline: Duration) {
        for waiting in &mut self.waiting {
            waiting.deadline = deadline;
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.waiting.front().map(|waiting| waiting.deadline)
    }

    /// Forgets what was asked for on a token that has ended.
    pub(super) fn forget_subscribes(&mut self) {
        let is_auth = |errand: &Errand| matches!(errand, Errand::Auth { .. });
        self.errands.retain(|(_, errand)| is_auth(errand));
    }

    /// Forgets the errands and takes out what waited for an answer on the lost connection.
    pub(super) fn connection_lost(&mut self) -> VecDeque<Waiting> {
        let all = self.take_all().into_iter();
        let (taken, kept) = all.partition(|waiting| waiting.awaits.is_of_connection());
        self.waiting = kept;
        taken
    }

    pub(super) fn take_all(&mut self) -> VecDeque<Waiting> {
        self.errands.clear();
        core::mem::take(&mut self.waiting)
    }
}

/// What happens to a publish while there is no connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Offline {
    /// It is refused at once, so that the application knows.
    #[default]
    Reject,
    /// It is kept for the next connection, up to these bounds.
    #[non_exhaustive]
    Buffer {
        /// Publishes kept at most.
        messages: usize,
        /// Bytes kept at most.
        bytes: usize,
        /// A publish that had to wait longer is discarded, and the application told.
        max_age: Duration,
    },
}

impl Offline {
    /// Keeps so many publishes and bytes for the next connection, and each for so long.
    #[must_use]
    pub fn buffer(messages: usize, bytes: usize, max_age: Duration) -> Self {
        Self::Buffer {
            messages,
            bytes,
            max_age,
        }
    }
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

/// Publishes without acknowledgement that were lost.
#[derive(Debug)]
pub(super) struct Loss {
    /// The last number given out before the last of them.
    pub(super) after: u64,
    pub(super) reason: String,
}

/// Returns an owned name for a command that the application named.
pub(super) fn name(command: &str) -> Name {
    Name::Owned(String::from(command))
}
