//! Owns one node's part in a cluster: which others there are, what is sent to them, and in which order what they send is
//! taken; cannot open a socket or read a clock, and knows nothing of subscriptions and clients.
//!
//! Nodes share a *bus*, which carries envelopes to all of them or to one: at most once, and in the order in which one node
//! sent them, as far as they went the same *way*. A host moves envelopes between the bus and a [`Node`], and messages
//! between the node and its broker, in which the node is a session ([`Broker::connect_link`](crate::Broker::connect_link)):
//!
//! ```text
//!   broker ──lines──► Node::handle_messages ──► poll_output: Send ──► bus ──► Node::handle_envelope ──lines──► broker
//! ```
//!
//! What holds of the messages of each node, at every other one that is there all the time: each is taken once, in the order
//! in which it was sent, or it is part of a gap that [`Output::Gap`] tells the size of. What was received is never sent on.

mod asking;
mod envelope;
mod inbox;
mod members;
mod needs;
mod output;
mod questions;
mod route;
mod router;
mod sending;
mod status;
mod summary;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub use self::envelope::Way;
use self::envelope::{Envelope, Kind, Unreadable};
use self::inbox::{Inbox, Took};
pub use self::output::{Answers, Output, QuestionId};
pub use self::questions::ANSWER_WITHIN;
use self::questions::Questions;
use self::router::Router;
pub use self::status::{Figures, NodeId, Status};
use self::summary::{Known, Summary};
use crate::needs::Directory;

/// How often a node tells the others that it is there.
pub const HEARTBEAT: Duration = Duration::from_secs(2);
/// How soon after the last that was told of needs a heartbeat says which that was: it may have been lost. While there is
/// more to tell, that says so, too.
const SAY_AGAIN: Duration = Duration::from_millis(100);
/// After how long without a word a node counts as gone.
pub const SILENCE: Duration = Duration::from_secs(7);
/// For how long messages go to a node that has gone without a goodbye: it may be there and not be heard, and is to know
/// what it has missed.
pub const AWAITED: Duration = Duration::from_secs(60);
/// Bytes of messages in one envelope, at most: a bigger message goes in pieces.
pub const ENVELOPE_BYTES: usize = 64 << 10;
/// Nodes that have gone are remembered, so that what was lost meanwhile is known when they are back; at most so many.
const REMEMBERED: usize = 1024;

#[derive(Debug)]
struct Peer {
    status: Status,
    /// Whether it has said what it is called; until then it is not told of.
    is_known: bool,
    is_there: bool,
    /// Until when it may come back, having missed what is sent meanwhile.
    awaited: Option<Duration>,
    heard: Duration,
    inbox: Inbox,
    /// Messages that were sent to it alone.
    sent: u64,
    /// When that was last.
    sent_at: Duration,
    needs: Known,
    /// Its place in the directory.
    place: Option<usize>,
    /// When it was asked for its summary.
    asked: Option<Duration>,
}

/// One node of a cluster. Inputs are method calls, each with the time since an arbitrary start; outputs are taken out with
/// [`Node::poll_output`].
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    status: Status,
    /// Bytes of a message that is taken in pieces, at most.
    message_bytes: usize,
    /// Bytes of one envelope, without its head.
    envelope_bytes: usize,
    is_joined: bool,
    told: Duration,
    /// The time that the host told last.
    now: Duration,
    /// Messages that were sent to all.
    sent: u64,
    /// Messages that were sent to one, counted for each.
    sent_to_some: u64,
    /// Messages that were sent to nobody, since there is no bus.
    lost: u64,
    received: u64,
    /// Connections that nodes have had which are not remembered any more.
    connections_forgotten: u64,
    peers: BTreeMap<NodeId, Peer>,
    questions: Questions,
    summary: Summary,
    /// Whether others have the same seed.
    is_agreed: bool,
    directory: Arc<Directory>,
    /// Whether something has changed that the directory has to be made anew for.
    is_directory_old: bool,
    /// Whether it is to be at once, since somebody has no place in it or gets everything.
    is_directory_wrong: bool,
    renewed: Duration,
    told_whole: Duration,
    /// When something was told of the needs of which no heartbeat has said that it was.
    told_needs: Option<Duration>,
    router: Router,
    outputs: VecDeque<Output>,
}

impl Node {
    /// Creates a node that has no bus yet. Messages of more than `message_bytes` are not taken from others.
    #[must_use]
    pub fn new(id: NodeId, status: Status, message_bytes: usize) -> Self {
        Self {
            id,
            status,
            message_bytes,
            envelope_bytes: ENVELOPE_BYTES,
            is_joined: false,
            told: Duration::ZERO,
            now: Duration::ZERO,
            sent: 0,
            sent_to_some: 0,
            lost: 0,
            received: 0,
            connections_forgotten: 0,
            peers: BTreeMap::new(),
            questions: Questions::default(),
            summary: Summary::new(id.0),
            is_agreed: false,
            directory: Arc::new(Directory::new(id.0, 0, 0)),
            is_directory_old: false,
            is_directory_wrong: false,
            renewed: Duration::ZERO,
            told_whole: Duration::ZERO,
            told_needs: None,
            router: Router::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Its own id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Takes the next output, oldest first.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether there is a bus.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.is_joined
    }

    /// Says that there is a bus, which takes envelopes of so many bytes; from now on the others hear of this node.
    pub fn handle_joined(&mut self, now: Duration, most: usize) {
        self.is_joined = true;
        // The rest is for the head.
        self.envelope_bytes = ENVELOPE_BYTES.min(most.saturating_sub(envelope::HEAD_BYTES).max(1));
        for peer in self.peers.values_mut() {
            peer.awaited = peer.awaited.map(|_| now + AWAITED);
        }
        self.tell_status(now, true);
    }

    /// Says that there is no bus any more. Nobody else is there then, and nobody is told so by an output.
    pub fn handle_lost(&mut self) {
        self.is_joined = false;
        // All is told when there is a bus again.
        self.summary.tell_again();
        for (id, peer) in &mut self.peers {
            if core::mem::take(&mut peer.is_there) {
                // It counts from when there is a bus again.
                peer.awaited = Some(Duration::MAX);
            }
            self.questions.forget(*id, &mut self.outputs);
        }
        self.is_directory_wrong = true;
    }

    /// Says goodbye. Nothing is sent afterwards.
    pub fn handle_leaving(&mut self) {
        if self.is_joined {
            self.send(Way::All, Kind::Bye, 0, 0, &[]);
        }
        self.is_joined = false;
    }

    /// Says what is to be told of this node from now on.
    pub fn set_status(&mut self, status: Status) {
        self.status = status;
        self.status.received = self.received;
        self.status.sent = self.sent - self.lost + self.sent_to_some;
    }

    /// From now on messages of more bytes are not taken from others.
    pub fn set_message_bytes(&mut self, bytes: usize) {
        self.message_bytes = bytes;
    }

    /// Says that so many messages of this node's clients did not get here.
    pub fn handle_dropped(&mut self, messages: u64) {
        // The others see a gap there.
        self.sent += messages;
        self.lost += messages;
    }

    /// Takes an envelope that came for all, or for this node. Returns messages for the broker, as lines; what is in the
    /// outputs comes behind them.
    pub fn handle_envelope<'a>(
        &mut self,
        now: Duration,
        way: Way,
        payload: &'a [u8],
    ) -> Option<&'a [u8]> {
        let envelope = match Envelope::read(payload, self.id) {
            Ok(envelope) => envelope,
            Err(Unreadable(why)) => {
                self.outputs.push_back(Output::Unreadable(why));
                return None;
            }
        };
        let sender = envelope.sender;
        if sender == self.id {
            return None;
        }
        let is_new = !self.peers.contains_key(&sender);
        if is_new && self.peers.len() >= REMEMBERED {
            self.forget_one();
        }
        let peer = self.peers.entry(sender).or_insert_with(|| Peer {
            status: Status::default(),
            is_known: false,
            is_there: false,
            awaited: None,
            heard: now,
            inbox: Inbox::new(),
            sent: 0,
            sent_at: Duration::ZERO,
            needs: Known::default(),
            place: None,
            asked: None,
        });
        peer.heard = now;
        let took = peer.inbox.take(now, way, &envelope, self.message_bytes);
        let lines = self.settle(sender, took);
        match envelope.kind {
            Kind::Messages | Kind::Piece { .. } => {}
            Kind::Status { is_hello } => self.handle_status(now, sender, is_hello, envelope.body),
            Kind::Want => self.tell_summary_to(sender),
            Kind::Summary { .. } | Kind::Added => self.learn(now, sender, &envelope),
            Kind::Bye => self.let_go(now, sender, true),
            Kind::Told => self.outputs.push_back(Output::Told(envelope.body.to_vec())),
            Kind::Ask => self.outputs.push_back(Output::Asked {
                asker: sender,
                question: QuestionId(envelope.number),
                body: envelope.body.to_vec(),
            }),
            Kind::Answer { at, last } => {
                let question = QuestionId(envelope.number);
                let piece = (at, last, envelope.body);
                self.questions
                    .take(now, question, sender, piece, &mut self.outputs);
            }
        }
        lines
    }

    /// Counts what was taken, and notes what comes behind it.
    fn settle<'a>(&mut self, sender: NodeId, took: Took<'a>) -> Option<&'a [u8]> {
        let name = || match self.peers.get(&sender) {
            Some(peer) if peer.is_known => peer.status.name.clone(),
            _ => alloc::format!("{sender}"),
        };
        let Took {
            now,
            later,
            messages,
        } = took;
        self.received += messages;
        for step in later {
            self.outputs.push_back(match step {
                inbox::Later::Gap(messages) => Output::Gap {
                    node: name(),
                    messages,
                },
                inbox::Later::Lines(lines) => Output::Deliver(lines),
            });
        }
        now
    }

    /// Says what time it is; to be called several times a second.
    pub fn handle_time(&mut self, now: Duration) {
        self.now = now;
        let since = |then: Duration| now.saturating_sub(then);
        let is_unsaid = self.told_needs.is_some_and(|told| since(told) >= SAY_AGAIN);
        if self.is_joined && (is_unsaid || since(self.told) >= HEARTBEAT) {
            self.tell_status(now, false);
        }
        let ids: Vec<_> = self.peers.keys().copied().collect();
        for id in ids {
            let Some(peer) = self.peers.get_mut(&id) else {
                continue;
            };
            let is_silent = peer.is_there && now.saturating_sub(peer.heard) >= SILENCE;
            if peer.awaited.is_some_and(|end| now >= end) {
                peer.awaited = None;
                self.is_directory_wrong = true;
            }
            let took = peer.inbox.give_up(now, self.message_bytes);
            // There is nothing that could be borrowed.
            let _ = self.settle(id, took);
            if is_silent {
                self.let_go(now, id, false);
            }
        }
        self.questions.expire(now, &mut self.outputs);
        self.tell_needs();
        self.renew_directory();
    }

    /// What is told of this node.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// What another node tells of itself, from what it has answered with [`Node::own_status`].
    #[must_use]
    pub fn read_status(body: &[u8]) -> Option<Status> {
        envelope::read_status(body).map(|(status, _)| status)
    }

    /// This node's status, for another that asks.
    #[must_use]
    pub fn own_status(&self) -> Vec<u8> {
        self.status_body()
    }

    fn status_body(&self) -> Vec<u8> {
        let told = envelope::Told {
            version: self.summary.version(),
            seed: self.summary.seed(),
            is_agreed: self.is_agreed,
        };
        envelope::write_status(&self.status, told)
    }

    fn tell_status(&mut self, now: Duration, is_hello: bool) {
        self.told = now;
        if is_hello {
            // In front of it, so that the others know at once.
            self.summary.tell_again();
            self.tell_needs();
        }
        self.told_needs = None;
        let body = self.status_body();
        self.send(Way::All, Kind::Status { is_hello }, self.sent, 0, &body);
    }

    /// Tells all others that something has changed; what it is, only hosts know.
    pub fn tell(&mut self, body: &[u8]) {
        if self.is_joined {
            self.send(Way::All, Kind::Told, self.sent, 0, body);
        }
    }
}
