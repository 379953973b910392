//! Owns the queued work of one connection: its lines, and messages that are published in parts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mist_core::message::Messages;
use mist_core::{Long, Walk};
use tokio::sync::oneshot;

use super::Hub;
use super::handle::{Flow, TURN_COST};
use super::line::QueueEnd;
use super::run::READ_BYTES;
use super::unfinished::Part;
use super::worker::{Errand, Outgoing, Tools, with_worker};
use crate::outbox::Outbox;

/// How many of the bytes, whole lines, are handled in one turn.
fn next_lines(lines: &[u8]) -> usize {
    let Some(rest) = lines.get(READ_BYTES..) else {
        return lines.len();
    };
    match memchr::memrchr(b'\n', &lines[..READ_BYTES]) {
        Some(newline) => newline + 1,
        // One line is longer.
        None => READ_BYTES + memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1),
    }
}

/// A connection with work in the queue.
struct InLine {
    own: Arc<Outbox>,
    /// A message that is being published, and how many outboxes took it. It comes before `lines`.
    walk: Option<(Box<Walk>, usize)>,
    lines: Vec<u8>,
    /// How much of the lines was handled.
    at: usize,
    sender: Option<oneshot::Sender<(Vec<u8>, Flow)>>,
    /// Counts both, which may stay longer than the connection.
    unfinished: Part,
}

impl InLine {
    fn new(
        hub: &Hub,
        own: &Arc<Outbox>,
        walk: Option<Box<Walk>>,
        lines: Vec<u8>,
    ) -> (Self, oneshot::Receiver<(Vec<u8>, Flow)>) {
        let (sender, receiver) = oneshot::channel();
        let mut in_line = Self {
            own: Arc::clone(own),
            walk: walk.map(|walk| (walk, 0)),
            lines,
            at: 0,
            sender: Some(sender),
            unfinished: Part::of(&hub.unfinished, own),
        };
        in_line.count();
        (in_line, receiver)
    }

    fn count(&mut self) {
        let walk = self.walk.as_ref().map_or(0, |(walk, _)| walk.bytes());
        self.unfinished.set(walk + self.lines.len());
    }

    /// Does one turn; returns whether that was the last.
    fn turn(&mut self, hub: &Arc<Hub>) -> bool {
        if self.sender.take_if(|sender| sender.is_closed()).is_some() {
            (self.lines, self.at) = (Vec::new(), 0);
            // There is no connection to cut for what is left.
            self.unfinished = Part::new(&hub.unfinished);
            self.count();
        }
        // Its connection has gone, and there is too much input.
        if self.sender.is_none() && hub.unfinished.is_full() {
            return true;
        }
        let is_last = self.go_on(hub);
        if !is_last {
            self.count();
        }
        is_last
    }

    /// Does what the turn is for; returns whether that was all.
    fn go_on(&mut self, hub: &Arc<Hub>) -> bool {
        if let Some((walk, delivered)) = &mut self.walk {
            // To the end, even if the client has gone, while there is room: some receivers have it already.
            if !hub.go_on_publishing(&self.own, walk, delivered) {
                return false;
            }
            self.walk = None;
        }
        let Some(sender) = self.sender.take_if(|sender| !sender.is_closed()) else {
            return true;
        };
        let flow = match self.lines.len() - self.at {
            0 => Flow::Open,
            // The answer to that message comes first.
            left if self.own.is_gathering() => Flow::Paused(left),
            _ => self.handle_lines(hub),
        };
        let is_done = matches!(flow, Flow::Paused(_)) || self.at == self.lines.len();
        if is_done || self.walk.is_some() {
            // The remaining lines may be kept for long; a message that is being published is kept apart.
            self.lines.drain(..self.at);
            self.lines.shrink_to_fit();
            self.at = 0;
        }
        if is_done && self.walk.is_none() {
            // From here on the connection counts them.
            self.unfinished.set(0);
            // The connection may have ended.
            let _ = sender.send((std::mem::take(&mut self.lines), flow));
            return true;
        }
        self.sender = Some(sender);
        // The connection sleeps, and has answers to write.
        self.own.nudge();
        false
    }

    fn handle_lines(&mut self, hub: &Arc<Hub>) -> Flow {
        let end = self.at + next_lines(&self.lines[self.at..]);
        let messages = Messages::lines(&self.lines[self.at..end]);
        let flow = with_worker(|worker| {
            let flow = hub.handle_some(&self.own, messages, TURN_COST, &mut worker.tools);
            self.walk = worker.tools.out.walk.take().map(|walk| (walk, 0));
            flow
        });
        self.at = match flow {
            Flow::Open => end,
            Flow::Paused(waiting) | Flow::Spent(waiting) | Flow::Long(waiting) => end - waiting,
        };
        flow
    }
}

impl Hub {
    /// Handles one connection's expensive input in the queue: first a message to publish, if there is one, then whole
    /// lines. Sends the remaining lines, and why they remain, once they wait for anything but their turn.
    pub(crate) fn handle_in_line(
        self: &Arc<Self>,
        own: &Arc<Outbox>,
        walk: Option<Box<Walk>>,
        lines: Vec<u8>,
    ) -> oneshot::Receiver<(Vec<u8>, Flow)> {
        let (mut in_line, receiver) = InLine::new(self, own, walk, lines);
        self.stand_in_line(QueueEnd::Back, move |hub| in_line.turn(hub));
        receiver
    }

    /// Puts off long work; `behind` is the number of bytes after the message that asked for it.
    pub(super) fn put_off(own: &Outbox, long: Long, behind: usize, out: &mut Outgoing) -> Flow {
        match long {
            Long::Listing(listing) => {
                own.begin_gathering();
                out.errands.push(Errand::List(listing));
                Flow::Paused(behind)
            }
            Long::Nodes(query) => {
                own.begin_gathering();
                out.errands.push(Errand::Nodes(query));
                Flow::Paused(behind)
            }
            Long::Publish(walk) => {
                out.walk = Some(walk);
                Flow::Long(behind)
            }
        }
    }

    /// Publishes a message to some more of its receivers; returns whether these were the last. Then the publisher is
    /// answered.
    fn go_on_publishing(
        self: &Arc<Self>,
        own: &Outbox,
        walk: &mut Walk,
        delivered: &mut usize,
    ) -> bool {
        with_worker(|worker| {
            let is_last = self.publish_some(walk, delivered, &mut worker.tools);
            if is_last && let Some(receipt) = walk.take_receipt() {
                let counted = (walk.message(), *delivered);
                let out = &mut worker.tools.out;
                self.answer_publish(&self.shared.read(), own, receipt, counted, out);
                self.settle(out);
            }
            is_last
        })
    }

    /// Publishes a message to some more of its receivers, and adds to `delivered` how many outboxes took it; returns
    /// whether these were the last.
    pub(super) fn publish_some(
        &self,
        walk: &mut Walk,
        delivered: &mut usize,
        tools: &mut Tools,
    ) -> bool {
        let Tools { scratch, out, .. } = tools;
        let shared = self.shared.read();
        let is_last = shared.broker.publish_some(walk, scratch);
        if !scratch.targets().is_empty() {
            out.run.lines.bytes.extend_from_slice(walk.message());
            out.run.end_line();
            scratch.exchange_targets(&mut out.run.targets);
            // Before the lock is released, so that no client gets it after its `unsubscribe` was answered.
            let count = self.deliver(&shared, &[], out);
            *delivered += count;
            let counter = &self.counters.delivered;
            counter.fetch_add(count as u64, Ordering::Relaxed);
        }
        drop(shared);
        out.wake_all();
        is_last
    }
}

#[cfg(test)]
mod tests {

    use mist_core::{Config, Credentials};

    use super::super::Arrival;
    use super::*;
    use crate::outbox::Framing;

    fn say(hub: &Arc<Hub>, own: &Outbox, line: &str) -> Flow {
        let line = format!("{line}\n");
        with_worker(|worker| hub.handle(own, Messages::lines(line.as_bytes()), &mut worker.tools))
    }

    const BEHIND: &str = "{\"command\":\"publish\",\"tags\":[\"a\",\"b\",\"0\"]}\n";

    fn own(number: usize) -> String {
        format!(r#"["a","b","{number}"]"#)
    }

    type Begun = (
        Arc<Hub>,
        Arc<Outbox>,
        Vec<Arc<Outbox>>,
        InLine,
        oneshot::Receiver<(Vec<u8>, Flow)>,
    );

    /// A message for twenty readers, one in each part, and another behind it.
    fn begin() -> Begun {
        let config = Config {
            turn: Some(1),
            ..Config::default()
        };
        let hub = Arc::new(Hub::of(config));
        let connect = || hub.connect(Credentials::default(), Framing::Lines, Arrival::default());
        let publisher = connect();
        let readers: Vec<_> = (0..20).map(|_| connect()).collect();
        for (number, reader) in readers.iter().enumerate() {
            let subscribe = format!(r#"{{"command":"subscribe","tags":{}}}"#, own(number));
            assert_eq!(say(&hub, reader, &subscribe), Flow::Open);
        }
        // With so many sets the message asks for its pairs, one after the other.
        for number in 0..100 {
            let subscribe = format!(r#"{{"command":"subscribe","tags":["c","c{number}"]}}"#);
            assert_eq!(say(&hub, &publisher, &subscribe), Flow::Open);
        }
        let all: String = (0..20).map(|number| format!(r#","{number}""#)).collect();
        let publish = format!(r#"{{"command":"publish","tags":["a","b"{all}],"id":1}}"#);
        let flow = say(&hub, &publisher, &publish);
        assert!(matches!(flow, Flow::Long(_)), "{flow:?}");
        let walk = with_worker(|worker| worker.tools.out.walk.take());
        let (in_line, receiver) = InLine::new(&hub, &publisher, walk, BEHIND.into());
        (hub, publisher, readers, in_line, receiver)
    }

    /// In between two of the readers go.
    fn publish_while_some_go(publisher_goes: bool) {
        let (hub, publisher, readers, mut in_line, mut receiver) = begin();
        let length = BEHIND.len();
        let counted = || (hub.unfinished.bytes(), publisher.unfinished());

        let has_it = |reader: &Arc<Outbox>| !reader.is_written();
        let served = || readers.iter().filter(|reader| has_it(reader)).count();
        while served() < 5 {
            let before = served();
            assert!(!in_line.turn(&hub), "there is more to do");
            assert!(served() <= before + 1, "the lock is held for one at most");
        }
        let mut waiting = (0..20).filter(|&number| !has_it(&readers[number]));
        let [first, second] = [waiting.next(), waiting.next()].map(|number| number.expect("15"));
        let unsubscribe = format!(r#"{{"command":"unsubscribe","tags":{}}}"#, own(first));
        assert_eq!(say(&hub, &readers[first], &unsubscribe), Flow::Open);
        hub.disconnect(readers[second].session);
        if publisher_goes {
            hub.disconnect(publisher.session);
            receiver.close();
        }
        assert!(publisher.is_written(), "it is answered in the end");
        let (all, own) = counted();
        assert!(
            all == own && all > length,
            "{all} bytes, {own} of them its own"
        );
        assert!(!in_line.turn(&hub));
        let left = match publisher_goes {
            true => (all - length, 0),
            false => (all, all),
        };
        assert_eq!(counted(), left);
        while !in_line.turn(&hub) {}
        drop(in_line);
        assert_eq!(counted(), (0, 0));
        assert!(!publisher.is_written() || publisher_goes);
        for (number, reader) in readers.iter().enumerate() {
            assert_eq!(has_it(reader), ![first, second].contains(&number));
        }
        let delivered = hub.counters.delivered.load(Ordering::Relaxed);
        // What came behind it was for one; where the publisher has gone, for nobody.
        let behind = u64::from(!publisher_goes && ![first, second].contains(&0));
        assert_eq!(delivered, 18 + behind);
        if !publisher_goes {
            let returned = receiver.try_recv().expect("it has come to the end");
            assert_eq!(returned, (Vec::new(), Flow::Open));
        }
    }

    #[test]
    fn a_message_in_parts_is_for_those_who_stay() {
        publish_while_some_go(false);
    }

    #[test]
    fn a_message_in_parts_is_published_to_the_end_when_its_publisher_goes() {
        publish_while_some_go(true);
    }

    #[test]
    fn what_nobody_waits_for_is_dropped_where_there_is_too_much() {
        let (hub, publisher, readers, mut in_line, mut receiver) = begin();
        let much = hub.in_force().limits.input_total_bytes;
        hub.unfinished.change(0, much);
        assert!(hub.unfinished.is_full());
        assert!(!in_line.turn(&hub), "the publisher is there, and waits");
        hub.disconnect(publisher.session);
        receiver.close();
        assert!(in_line.turn(&hub));
        drop(in_line);
        assert_eq!(hub.unfinished.bytes(), much);
        let served = readers.iter().filter(|reader| !reader.is_written());
        assert!(served.count() < 5);
    }
}
