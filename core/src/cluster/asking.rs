//! Owns what nodes ask each other: of all at once, and how a message is answered for.

use alloc::vec::Vec;
use core::time::Duration;

use super::envelope::{Kind, Way};
use super::output::QuestionId;
use super::{Node, NodeId};

impl Node {
    /// Asks all others that are there; [`Output::Answered`](super::Output::Answered) follows in any case.
    pub fn ask(&mut self, now: Duration, body: &[u8]) -> QuestionId {
        let question = self.begin_question(now);
        if self.is_joined {
            self.send(Way::All, Kind::Ask, question.0, 0, body);
        }
        question
    }

    /// Sends a message, one JSON object without an `id` and a line end, to all others in its turn, and asks them how many
    /// clients of theirs got it: it comes to their brokers with an `id` that [`QuestionId::read`] takes apart, and what they
    /// [answer](Node::answer) is theirs to say. [`Output::Answered`](super::Output::Answered) follows in any case.
    pub fn ask_to_count(&mut self, now: Duration, message: &[u8]) -> QuestionId {
        let question = self.begin_question(now);
        let open = message.strip_suffix(b"}").unwrap_or(message);
        let id = alloc::format!(",\"id\":\"{}-{}\"}}\n", self.id, question.0);
        match self.is_joined {
            true => self.publish(Way::All, &[open, id.as_bytes()].concat()),
            false => self.handle_dropped(1),
        }
        question
    }

    fn begin_question(&mut self, now: Duration) -> QuestionId {
        let there = self.peers.iter().filter(|(_, peer)| peer.is_there);
        let there = there.map(|(id, peer)| (*id, peer.status.name.clone()));
        let silent = self.silent().map(|status| status.name.clone());
        let (there, silent) = (there.collect(), silent.collect());
        self.questions.begin(now, there, silent, &mut self.outputs)
    }

    /// Answers a question of another node.
    pub fn answer(&mut self, asker: NodeId, question: QuestionId, body: &[u8]) {
        if !self.is_joined {
            return;
        }
        let way = Way::Node(asker);
        let pieces: Vec<_> = match body.is_empty() {
            true => alloc::vec![body],
            false => body.chunks(self.envelope_bytes).collect(),
        };
        let last = pieces.len() as u64 - 1;
        for (at, piece) in (0..).zip(pieces) {
            self.send(way, Kind::Answer { at, last }, question.0, 0, piece);
        }
    }
}
