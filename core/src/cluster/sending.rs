//! Owns how an envelope is sent: with its number, and with what went before it the other way.

use alloc::vec::Vec;
use core::time::Duration;

use super::envelope::{Kind, NAMED_AT_ONCE, Way, write_head};
use super::output::Output;
use super::{Node, NodeId, Peer};

/// No envelope is on its way for longer.
const LATE: Duration = Duration::from_secs(1);

impl Node {
    pub(super) fn send(&mut self, way: Way, kind: Kind, number: u64, messages: u64, body: &[u8]) {
        let mut before = match way {
            // What waits for nothing says nothing of what went before: nobody would keep it in mind.
            Way::All if !kind.is_numbered() => Vec::new(),
            Way::All => self.sent_alone(matches!(kind, Kind::Status { .. })),
            Way::Node(_) => alloc::vec![(self.id, self.sent)],
        };
        while before.len() > NAMED_AT_ONCE {
            // More than one head has room for: the others go in front, in envelopes without messages.
            let some: Vec<_> = before.drain(..NAMED_AT_ONCE).collect();
            self.push(way, Kind::Messages, self.sent, 0, &some, &[]);
        }
        self.push(way, kind, number, messages, &before, body);
    }

    /// To which nodes messages were sent alone, and how many so far: to those that may still be on their way, or, in a
    /// heartbeat, ever. More than one envelope says it, since one may be lost.
    pub(super) fn sent_alone(&self, ever: bool) -> Vec<(NodeId, u64)> {
        let is_late = |peer: &Peer| self.now.saturating_sub(peer.sent_at) > LATE;
        let said = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.sent > 0 && (ever || !is_late(peer)));
        said.map(|(id, peer)| (*id, peer.sent)).collect()
    }

    pub(super) fn push(
        &mut self,
        way: Way,
        kind: Kind,
        number: u64,
        messages: u64,
        before: &[(NodeId, u64)],
        body: &[u8],
    ) {
        let mut payload = Vec::with_capacity(128 + body.len());
        write_head(&mut payload, self.id, kind, number, messages, before);
        payload.extend_from_slice(body);
        self.outputs.push_back(Output::Send { way, payload });
    }
}
