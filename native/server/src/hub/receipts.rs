//! Owns the answers to publishes: at once with what this server delivered, or once the other nodes of the cluster have said
//! what they did.

use std::sync::Arc;

use mist_core::Receipt;

use super::counting::Counted;
use super::worker::{Errand, Outgoing};
use super::{Hub, Shared};
use crate::outbox::{Outbox, Segment};

impl Hub {
    /// Answers a publish, which `delivered` outboxes took here, or sees to it that it is answered later. Then its connection
    /// waits: [`Outbox::is_gathering`].
    pub(super) fn answer_publish(
        &self,
        shared: &Shared,
        own: &Outbox,
        receipt: Receipt,
        (message, delivered): (&[u8], usize),
        out: &mut Outgoing,
    ) {
        if own.is_link {
            return self.others.say_counted(receipt.id(), delivered);
        }
        if !receipt.is_for_cluster() {
            return own.append_reply(&mut out.spare, &mut out.woken, &receipt.reply(delivered));
        }
        let (number, line, counted) = self.others.counting.begin(receipt, message, delivered);
        let room = self.backlog.room(shared.broker.limits());
        let segment = Segment {
            bytes: &line,
            ends: &[line.len() as u32],
            shared: None,
        };
        let link = self.link.get();
        let appended = link.map(|link| link.append(segment, room, &mut out.spare, &mut out.woken));
        match appended {
            Some(appended) if appended.messages > 0 => self.backlog.add(appended.bytes),
            // Too much waits for the other nodes: none of them gets it.
            _ => self.others.say_uncounted(number),
        }
        own.begin_gathering();
        out.errands.push(Errand::Count(counted));
    }

    /// Waits for the other nodes, and answers.
    pub(super) async fn answer_counted(self: Arc<Self>, counted: Counted) {
        let (session, answer) = counted.answer(&self.others.counting).await;
        self.end_gathering(session, Some(answer));
    }
}
