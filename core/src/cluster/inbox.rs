//! Owns the order in which the messages of one other node are taken. They come two ways, each in order by itself: for all
//! nodes, and for this one. Every envelope says how many messages went before it, on its own way and on the other, so that
//! one which has overtaken others waits for them, and what is lost is known.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::envelope::{Envelope, Kind, Way};

/// For how long an envelope waits for those of the other way that went before it.
const HOLD: Duration = Duration::from_millis(500);
/// What stands behind each message.
const LINE_END: usize = 1;
/// Bytes that wait, at most.
const HELD_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub(super) struct Inbox {
    all: Lane,
    own: Lane,
    held_bytes: usize,
    /// A message of which some pieces have come.
    pieces: Option<Pieces>,
}

/// What comes one way.
#[derive(Debug, Default)]
struct Lane {
    /// How many messages were taken or lost so far; nothing before the first is known.
    count: Option<u64>,
    waiting: VecDeque<Held>,
}

impl Lane {
    /// Whether all that went before number `count` of this lane is taken or lost.
    fn is_past(&self, count: Option<u64>) -> bool {
        let Some(count) = count else {
            return true;
        };
        self.count.is_none_or(|taken| taken >= count)
            || self
                .waiting
                .front()
                .is_some_and(|next| next.number >= count)
    }
}

#[derive(Debug)]
struct Held {
    since: Duration,
    kind: Kind,
    number: u64,
    messages: u64,
    before: Option<u64>,
    body: Vec<u8>,
}

#[derive(Debug)]
struct Pieces {
    number: u64,
    next: u64,
    bytes: Vec<u8>,
}

/// What came of an envelope.
#[derive(Debug, Default)]
pub(super) struct Took<'a> {
    /// Messages that go to the broker at once.
    pub(super) now: Option<&'a [u8]>,
    /// What comes behind them.
    pub(super) later: Vec<Later>,
    /// How many messages that is.
    pub(super) messages: u64,
}

#[derive(Debug)]
pub(super) enum Later {
    Lines(Vec<u8>),
    Gap(u64),
}

impl Inbox {
    /// Begins with the first envelope of a node: what went before it is none of this node's business.
    pub(super) fn new() -> Self {
        Self {
            all: Lane::default(),
            own: Lane::default(),
            held_bytes: 0,
            pieces: None,
        }
    }

    /// Takes an envelope, at once where it is its turn. Messages of more than `most` bytes are not put together.
    pub(super) fn take<'a>(
        &mut self,
        now: Duration,
        way: Way,
        envelope: &Envelope<'a>,
        most: usize,
    ) -> Took<'a> {
        let mut took = Took::default();
        if !envelope.kind.is_numbered() {
            return took;
        }
        let (lane, other) = match way {
            Way::All => (&mut self.all, &mut self.own),
            Way::Node(_) => (&mut self.own, &mut self.all),
        };
        if lane.count.is_none() {
            lane.count = Some(envelope.number);
            // A node of which nothing is known yet has sent this one nothing alone.
            other.count = other.count.or(Some(envelope.before.unwrap_or(0)));
        }
        let is_in_order = lane.count == Some(envelope.number);
        let is_due = lane.waiting.is_empty() && other.is_past(envelope.before);
        if is_in_order && is_due && envelope.kind == Kind::Messages {
            lane.count = Some(envelope.number + envelope.messages);
            took.now = Some(envelope.body).filter(|body| !body.is_empty());
            took.messages = envelope.messages;
        } else {
            let body = match envelope.kind {
                Kind::Messages | Kind::Piece { .. } => envelope.body.to_vec(),
                _ => Vec::new(),
            };
            self.held_bytes += body.len();
            lane.waiting.push_back(Held {
                since: now,
                kind: envelope.kind,
                number: envelope.number,
                messages: envelope.messages,
                before: envelope.before,
                body,
            });
        }
        self.advance(most, &mut took);
        while self.held_bytes > HELD_BYTES && self.force(most, &mut took) {}
        took
    }

    /// Waits no longer for what should have been here long ago.
    pub(super) fn give_up(&mut self, now: Duration, most: usize) -> Took<'static> {
        let mut took = Took::default();
        let is_overdue = |lane: &Lane| {
            let first = lane.waiting.front();
            first.is_some_and(|held| now.saturating_sub(held.since) >= HOLD)
        };
        while (is_overdue(&self.all) || is_overdue(&self.own)) && self.force(most, &mut took) {}
        took
    }

    /// Takes all that wait no longer for anything.
    fn advance(&mut self, most: usize, took: &mut Took<'_>) {
        loop {
            let Self { all, own, .. } = self;
            let is_due = |lane: &Lane, other: &Lane| {
                let first = lane.waiting.front();
                first.is_some_and(|held| other.is_past(held.before))
            };
            if is_due(all, own) {
                self.take_first(true, most, took);
            } else if is_due(own, all) {
                self.take_first(false, most, took);
            } else {
                return;
            }
        }
    }

    /// Takes the one that has waited longest, and counts as lost what it waited for. Returns whether there was one.
    fn force(&mut self, most: usize, took: &mut Took<'_>) -> bool {
        let since = |lane: &Lane| lane.waiting.front().map(|held| held.since);
        let is_of_all = match (since(&self.all), since(&self.own)) {
            (Some(all), Some(own)) => all <= own,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return false,
        };
        let (lane, other) = match is_of_all {
            true => (&self.all, &mut self.own),
            false => (&self.own, &mut self.all),
        };
        let before = lane.waiting.front().and_then(|held| held.before);
        if let Some(before) = before {
            let missed = before.saturating_sub(other.count.unwrap_or(before));
            took.gap(missed);
            other.count = Some(other.count.unwrap_or(before).max(before));
        }
        self.take_first(is_of_all, most, took);
        self.advance(most, took);
        true
    }

    fn take_first(&mut self, is_of_all: bool, most: usize, took: &mut Took<'_>) {
        let lane = if is_of_all {
            &mut self.all
        } else {
            &mut self.own
        };
        let Some(held) = lane.waiting.pop_front() else {
            return;
        };
        self.held_bytes -= held.body.len();
        let count = lane.count.get_or_insert(held.number);
        if held.number < *count {
            // It was counted as lost.
            return;
        }
        took.gap(held.number - *count);
        *count = held.number;
        match held.kind {
            Kind::Messages => {
                *count += held.messages;
                took.messages += held.messages;
                took.later.push(Later::Lines(held.body));
            }
            Kind::Piece { at, last } => {
                self.pieces = match self.pieces.take() {
                    _ if at == 0 => Some(Pieces {
                        number: held.number,
                        next: 1,
                        bytes: held.body,
                    }),
                    Some(mut pieces) if (pieces.number, pieces.next) == (held.number, at) => {
                        pieces.next += 1;
                        pieces.bytes.extend_from_slice(&held.body);
                        Some(pieces)
                    }
                    _ => None,
                };
                if self
                    .pieces
                    .as_ref()
                    .is_some_and(|pieces| pieces.bytes.len() > most + LINE_END)
                {
                    self.pieces = None;
                }
                if at == last {
                    *count += 1;
                    match self.pieces.take() {
                        Some(pieces) => {
                            took.messages += 1;
                            took.later.push(Later::Lines(pieces.bytes));
                        }
                        None => took.gap(1),
                    }
                }
            }
            _ => {}
        }
    }
}

impl Took<'_> {
    fn gap(&mut self, messages: u64) {
        match self.later.last_mut() {
            _ if messages == 0 => {}
            Some(Later::Gap(before)) => *before += messages,
            _ => self.later.push(Later::Gap(messages)),
        }
    }
}
