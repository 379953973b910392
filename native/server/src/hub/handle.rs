//! Owns what becomes of the bytes that a connection read: the hot path, and where turns end. Knows nothing of how runs are
//! delivered and outputs carried out.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use mist_core::Verdict;
use mist_core::message::{Command, Messages};
use mist_net::lock::RwLock;

use super::line::QueueEnd;
use super::run::READ_BYTES;
use super::worker::Tools;
use super::{Hub, Shared};
use crate::admission::rates::allowance::Pace;
use crate::outbox::Outbox;

/// Whether a connection may be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// All messages were handled.
    Open,
    /// This many bytes of the input must wait, until the host has answered or the client has read its answers.
    Paused(usize),
    /// This many bytes must wait until others have had their turn on this thread: the turn's budget is spent.
    Spent(usize),
    /// This many bytes are expensive, or follow an `Outgoing::walk`: they go to the queue.
    Long(usize),
}

/// Whether two texts are the same. Where they are not, as with a number that goes up, most differ in the last few bytes.
fn is_same_text(one: &[u8], other: &[u8]) -> bool {
    one.last_chunk::<8>() == other.last_chunk() && one == other
}

/// Whether two lists are the same; most have one entry.
fn are_same_targets(one: &[u32], other: &[u32]) -> bool {
    match (one, other) {
        ([one], [other]) => one == other,
        _ => one == other,
    }
}

/// The range of a part of a text in it.
fn range_in(whole: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
    start..start + part.len()
}

/// Cost after which a connection gives up its thread, and the broker, to others. The unit is one pair or tag set checked,
/// about 3 ns: a turn is 0.3 ms.
pub(crate) const TURN_COST: usize = 100_000;
/// The same for commands of a connection that is not in the queue yet.
const COMMANDS_AT_ONCE: usize = 20_000;
/// Cost of a receipt towards that: a client that waits for the receipts of a hundred messages does not have to queue.
const RECEIPT_COST: usize = 200;
/// Other costs in this unit: a command that changes the broker and each byte of its tags, a command that is answered
/// and each tag it checks, a publish with the same tags as the one before, and the bytes of a message. Commands other
/// than publishes cost more than they take: they need no large batches, and others should not wait for them.
const CHANGE_COST: usize = 2000;
const CHANGE_BYTE_COST: usize = 4;
const REPLY_COST: usize = 600;
const LOOK_COST: usize = 3;
const REPEAT_COST: usize = 8;
const BYTES_PER_COST: usize = 16;

impl Hub {
    /// Queues work for the thread that does expensive work: `turn` is called until it returns true.
    pub(super) fn stand_in_line(
        self: &Arc<Self>,
        end: QueueEnd,
        mut turn: impl FnMut(&Arc<Self>) -> bool + Send + 'static,
    ) {
        let hub = Arc::clone(self);
        // A shutdown waits for it.
        let token = self.tasks.token();
        self.line.stand(end, move || {
            let _token = &token;
            hub.shared.give_way();
            turn(&hub)
        });
    }

    /// Handles messages of one connection in their order.
    pub(crate) fn handle(
        self: &Arc<Self>,
        own: &Outbox,
        messages: Messages<'_>,
        tools: &mut Tools,
    ) -> Flow {
        self.handle_some(own, messages, COMMANDS_AT_ONCE, tools)
    }

    pub(super) fn handle_some(
        self: &Arc<Self>,
        own: &Outbox,
        mut messages: Messages<'_>,
        commands_at_once: usize,
        tools: &mut Tools,
    ) -> Flow {
        let mut lock = Lock::Free;
        let mut flow = Flow::Open;
        let (mut published, mut delivered) = (0, 0);
        // The turn's cost so far, and how much of it was for commands other than publishing.
        let (mut walked, mut for_commands) = (0, 0);
        let Tools { scan, scratch, out } = tools;
        let input = messages.rest();
        let in_force = self.in_force();
        let mut limits = in_force.limits_of(own);
        let allowance = self.allowance(own).map(|it| (it, Instant::now()));
        // The range of the last decided tags in the input, and whether messages with them have receivers.
        let (mut decided, mut has_targets) = (0..0, false);
        loop {
            if (walked >= TURN_COST || for_commands >= commands_at_once)
                && !messages.rest().is_empty()
            {
                let waiting = messages.rest().len();
                flow = match for_commands >= COMMANDS_AT_ONCE {
                    true => Flow::Long(waiting),
                    false => Flow::Spent(waiting),
                };
                break;
            }
            let begin = input.len() - messages.rest().len();
            if messages.rest().len() > READ_BYTES {
                // The next message may be long: the lock is not held while it is parsed. Decisions are valid under this
                // lock only: the next owner may give a receiver's slot to another session.
                if !out.run.is_empty() {
                    delivered += self.deliver(lock.read(&self.shared), input, out);
                }
                decided = 0..0;
                lock = Lock::Free;
            }
            let Some(next) = messages.next(scan, limits) else {
                break;
            };
            let end = input.len() - messages.rest().len();
            if let (Some((allowance, now)), Ok(message)) = (&allowance, &next) {
                match allowance.next(message.command(), end - begin, *now) {
                    Pace::Go => {}
                    Pace::Wait => {
                        flow = Flow::Paused(input.len() - begin);
                        break;
                    }
                    pace @ (Pace::Refuse(exceeded) | Pace::TooLarge(exceeded)) => {
                        decided = 0..0;
                        walked += REPLY_COST;
                        let (command, id) = (message.command_name(), message.id_literal());
                        let reply = match pace {
                            Pace::TooLarge(_) => exceeded.answer_large(end - begin, id),
                            _ => exceeded.answer(&command, id),
                        };
                        own.append_own_reply(&mut out.spare, &reply);
                        continue;
                    }
                }
            }
            walked += (end - begin) / BYTES_PER_COST;
            if let Ok(message) = &next
                && !decided.is_empty()
                && is_same_text(message.tags_text().as_bytes(), &input[decided.clone()])
                && message.command() == Command::Publish
                && message.id_literal().is_none()
                && !out.is_full()
            {
                // Messages with the same tags in a row are decided once.
                published += 1;
                walked += REPEAT_COST;
                if has_targets {
                    out.run.push(scratch, message, input, end);
                }
                continue;
            }
            decided = 0..0;
            let message = match next {
                Ok(message) => message,
                Err(unreadable) => {
                    walked += CHANGE_COST;
                    for_commands += CHANGE_COST;
                    self.counters.unreadable.fetch_add(1, Ordering::Relaxed);
                    delivered += self.deliver(lock.read(&self.shared), input, out);
                    if own.is_link {
                        self.others.refuse();
                        continue;
                    }
                    let shared = lock.write(&self.shared);
                    shared.broker.handle_unreadable(own.session, &unreadable);
                    self.execute(shared, out);
                    continue;
                }
            };
            if own.is_link && message.command() != Command::Publish {
                // No node says anything else.
                self.counters.unreadable.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if out.is_full() {
                delivered += self.deliver(lock.read(&self.shared), input, out);
                out.appended = 0;
                lock = Lock::Free;
            }
            published += u64::from(message.command() == Command::Publish);
            if message.id_literal().is_some() {
                own.tell_drops();
            }
            let shared = lock.read(&self.shared);
            match shared.broker.decide(own.session, &message, scratch) {
                Verdict::Deliver(receipt) => {
                    walked += scratch.walked();
                    has_targets = !scratch.targets().is_empty();
                    // Messages to the same receivers in a row are appended in one piece, whatever their tags are.
                    if has_targets && !are_same_targets(&out.run.targets, scratch.targets()) {
                        delivered += self.deliver(shared, input, out);
                        scratch.exchange_targets(&mut out.run.targets);
                    }
                    let Some(receipt) = receipt else {
                        if has_targets {
                            out.run.push(scratch, &message, input, end);
                        }
                        decided = range_in(input, message.tags_text());
                        continue;
                    };
                    walked += REPLY_COST;
                    for_commands += RECEIPT_COST;
                    // What was published before is not counted in the answer.
                    delivered += self.deliver(shared, input, out);
                    let mut count = 0;
                    if has_targets {
                        out.run.push(scratch, &message, input, end);
                        count = self.deliver(shared, input, out);
                    }
                    delivered += count;
                    if own.is_link || receipt.is_for_cluster() {
                        let mut body = Vec::new();
                        scratch.write_body(&message, &mut body);
                        self.answer_publish(shared, own, receipt, (&body, count), out);
                        if own.is_gathering() {
                            flow = Flow::Paused(messages.rest().len());
                        }
                    } else {
                        own.append_own_reply(&mut out.spare, &receipt.reply(count));
                    }
                }
                Verdict::Reply => {
                    let cost = REPLY_COST + LOOK_COST * scratch.walked();
                    walked += cost;
                    for_commands += cost;
                    if own.is_link {
                        // There is nothing else that a node is told.
                        self.others.refuse();
                    }
                    own.append_own_reply(&mut out.spare, scratch.reply());
                }
                Verdict::Long(long) => {
                    walked += scratch.walked();
                    flow = Self::put_off(own, long, messages.rest().len(), out);
                }
                Verdict::Exclusive => {
                    let cost = CHANGE_COST + CHANGE_BYTE_COST * message.tags_text().len();
                    walked += cost;
                    for_commands += cost;
                    delivered += self.deliver(shared, input, out);
                    let shared = lock.write(&self.shared);
                    if let Some(long) = shared.broker.handle(own.session, &message) {
                        flow = Self::put_off(own, long, messages.rest().len(), out);
                    }
                    delivered += self.execute(shared, out);
                    limits = in_force.limits_of(own);
                    if shared.broker.is_waiting(own.session) || own.is_gathering() {
                        flow = Flow::Paused(messages.rest().len());
                    }
                }
            }
            if own.is_congested() && out.walk.is_none() {
                flow = Flow::Paused(messages.rest().len());
            }
            if flow != Flow::Open {
                break;
            }
        }
        if !out.run.is_empty() {
            delivered += self.deliver(lock.read(&self.shared), input, out);
        }
        drop(lock);
        // What comes from another node was counted there.
        if published > 0 && !own.is_link {
            self.counters
                .published
                .fetch_add(published, Ordering::Relaxed);
            self.counters
                .delivered
                .fetch_add(delivered as u64, Ordering::Relaxed);
        }
        self.settle(out);
        flow
    }
}

/// How the broker is held while a batch of messages is handled.
enum Lock<'a> {
    Free,
    Read(RwLockReadGuard<'a, Shared>),
    Write(RwLockWriteGuard<'a, Shared>),
}

impl<'a> Lock<'a> {
    pub(super) fn read(&mut self, lock: &'a RwLock<Shared>) -> &Shared {
        *self = match std::mem::replace(self, Self::Free) {
            Self::Free => Self::Read(lock.read()),
            Self::Read(guard) => Self::Read(guard),
            Self::Write(guard) => {
                drop(guard);
                Self::Read(lock.read())
            }
        };
        match self {
            Self::Read(guard) => guard,
            _ => unreachable!("the line above made it so"),
        }
    }

    pub(super) fn write(&mut self, lock: &'a RwLock<Shared>) -> &mut Shared {
        let held = std::mem::replace(self, Self::Free);
        *self = match held {
            Self::Write(guard) => Self::Write(guard),
            held => {
                drop(held);
                Self::Write(lock.write())
            }
        };
        match self {
            Self::Write(guard) => guard,
            _ => unreachable!("the lines above made it so"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::task::{Context, Waker};

    use mist_core::{Config, Credentials};

    use super::*;
    use crate::hub::Arrival;
    use crate::hub::worker::with_worker;
    use crate::outbox::{Framing, Spare, Taken, Writing};

    #[test]
    fn who_makes_the_broker_look_at_much_lets_others_have_their_turn() {
        let hub = Arc::new(Hub::of(Config::default()));
        let connect = || hub.connect(Credentials::default(), Framing::Lines, Arrival::default());
        let (reader, publisher) = (connect(), connect());
        // How many turns it takes to handle an input.
        let handle = |own: &Outbox, input: &str| {
            let (mut left, mut turns) = (input.len(), 0);
            loop {
                let messages = Messages::lines(&input.as_bytes()[input.len() - left..]);
                turns += 1;
                match with_worker(|worker| {
                    hub.handle_some(own, messages, TURN_COST, &mut worker.tools)
                }) {
                    Flow::Open => return turns,
                    Flow::Paused(rest) | Flow::Spent(rest) | Flow::Long(rest) => {
                        assert!(rest > 0 && rest < left, "{rest} of {left}");
                        left = rest;
                    }
                }
            }
        };
        // Outside of the line, commands end a turn earlier, and go on there.
        let pings = "{\"command\":\"ping\"}\n".repeat(3000);
        let flow = with_worker(|worker| {
            hub.handle(
                &reader,
                Messages::lines(pings.as_bytes()),
                &mut worker.tools,
            )
        });
        let Flow::Long(left) = flow else {
            panic!("{flow:?}");
        };
        assert!(left > pings.len() * 9 / 10, "{left} of {}", pings.len());
        let in_line = hub.handle_in_line(&reader, None, pings.as_bytes()[..left].to_vec());
        let (left, flow) = in_line.blocking_recv().expect("nothing panics");
        assert_eq!((left.capacity(), flow), (0, Flow::Open));

        // Each message has all pairs of these.
        let tags: Vec<_> = (0..64).map(|number| format!("\"{number}\"")).collect();
        let pairs = tags
            .iter()
            .flat_map(|one| tags.iter().map(move |other| [one, other]));
        let subscribe: String = pairs
            .map(|[one, other]| format!("{{\"command\":\"subscribe\",\"tags\":[{one},{other}]}}\n"))
            .collect();
        let turns = handle(&reader, &subscribe);
        assert!(
            (60..130).contains(&turns),
            "{turns} turns for 4,096 commands"
        );
        let turns = handle(&reader, &pings);
        assert!((15..30).contains(&turns), "{turns} turns for 3,000 pings");

        // No two in a row have the same text of tags.
        let publish = |number: usize| {
            let (end, start) = tags.split_at(number % 2);
            let tags = [start, end].concat().join(",");
            format!("{{\"command\":\"publish\",\"tags\":[{tags}],\"data\":\"{number}\"}}\n")
        };
        let input: String = (0..150).map(publish).collect();
        let turns = handle(&publisher, &input);
        assert!((4..80).contains(&turns), "{turns} turns");
        assert_eq!(hub.counters.published.load(Ordering::Relaxed), 150);
        assert_eq!(hub.counters.delivered.load(Ordering::Relaxed), 150);
    }

    /// A long input gives the lock away between its messages; what was decided under it is good no longer.
    #[test]
    fn nothing_comes_behind_an_unsubscribe_while_a_long_input_is_published() {
        let hub = Arc::new(Hub::of(Config::default()));
        let connect = || hub.connect(Credentials::default(), Framing::Lines, Arrival::default());
        let handle = |own: &Outbox, input: &[u8]| {
            let mut left = input.len();
            while left > 0 {
                let messages = Messages::lines(&input[input.len() - left..]);
                left = match with_worker(|worker| hub.handle(own, messages, &mut worker.tools)) {
                    Flow::Open => 0,
                    Flow::Paused(rest) | Flow::Spent(rest) | Flow::Long(rest) => rest,
                };
            }
        };
        // Somebody always gets the messages, so that there is a run to go on with.
        let (listener, publisher) = (connect(), connect());
        handle(&listener, b"{\"command\":\"subscribe\",\"tags\":[\"x\"]}\n");
        let input = "{\"command\":\"publish\",\"tags\":[\"x\"],\"data\":\"1\"}\n"
            .repeat(4 * READ_BYTES / 40);
        let is_over = AtomicBool::new(false);
        let drain = |own: &Outbox| {
            let (mut writing, mut spare, mut bytes) = (Writing::default(), Spare::default(), 0);
            let cx = Context::from_waker(Waker::noop());
            while let Taken::Bytes = own.take(&mut writing, &mut spare, &cx) {
                bytes += writing.bytes().len();
            }
            bytes
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    handle(&publisher, input.as_bytes());
                    drain(&listener);
                }
            });
            let (mut readers, mut received) = (Vec::new(), 0);
            while received < 100 {
                let reader = connect();
                handle(&reader, b"{\"command\":\"subscribe\",\"tags\":[\"x\"]}\n");
                handle(&reader, b"{\"command\":\"unsubscribe\",\"tags\":[\"x\"]}\n");
                received += usize::from(drain(&reader) > 0);
                readers.push(reader);
            }
            is_over.store(true, Ordering::Relaxed);
            for reader in &readers {
                assert_eq!(drain(reader), 0, "a message came behind the unsubscribe");
            }
        });
    }
}
