//! Owns which other nodes there are: who is there, who is silent, and who is remembered.

use core::time::Duration;

use super::envelope::{self, Kind, Way};
use super::output::Output;
use super::status::Figures;
use super::{AWAITED, Node, NodeId, Status};

impl Node {
    /// Returns figures of the node.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut figures = Figures {
            sent: self.sent - self.lost,
            sent_to_some: self.sent_to_some,
            received: self.received,
            lost: self.lost,
            awaited: self
                .peers
                .values()
                .filter(|peer| peer.awaited.is_some())
                .count(),
            ..Figures::default()
        };
        for status in self.peers() {
            figures.peers += 1;
            figures.connections += status.connections;
            figures.subscribers += status.subscribers;
        }
        // Those that have gone have had theirs.
        let known = self
            .peers
            .values()
            .map(|peer| peer.status.connections_total);
        figures.connections_total = self.connections_forgotten + known.sum::<u64>();
        figures
    }

    /// What the other nodes that are there have said last of themselves.
    pub fn peers(&self) -> impl Iterator<Item = &Status> {
        let there = self.peers.values().filter(|peer| peer.is_there);
        there.map(|peer| &peer.status)
    }

    /// What another node has told of itself last, and when, by its name; of two the one that was heard of last.
    #[must_use]
    pub fn told_by(&self, name: &str) -> Option<(&Status, Duration)> {
        let of_name = self
            .peers
            .values()
            .filter(|peer| peer.is_known && peer.status.name == name);
        let last = of_name.max_by_key(|peer| peer.heard)?;
        Some((&last.status, last.heard))
    }

    /// Nodes that have gone without a goodbye and are still awaited. One that is back under its name is not among them.
    pub(super) fn silent(&self) -> impl Iterator<Item = &Status> {
        let silent = self
            .peers
            .values()
            .filter(|peer| peer.is_known && peer.awaited.is_some());
        let is_back = |name: &str| self.peers().any(|there| there.name == name);
        let silent = silent.map(|peer| &peer.status);
        silent.filter(move |status| !is_back(&status.name))
    }

    pub(super) fn handle_status(
        &mut self,
        now: Duration,
        sender: NodeId,
        is_hello: bool,
        body: &[u8],
    ) {
        let Some((status, told)) = envelope::read_status(body) else {
            let why = "a heartbeat that says something else than this version";
            return self.outputs.push_back(Output::Unreadable(why));
        };
        let others = self
            .peers
            .iter()
            .filter(|(id, it)| **id != sender && it.is_there);
        let is_taken = others
            .map(|(_, it)| &it.status.name)
            .any(|name| *name == status.name)
            || self.status.name == status.name;
        let Some(peer) = self.peers.get_mut(&sender) else {
            return;
        };
        let is_new = !peer.is_there;
        peer.status = status.clone();
        (peer.is_there, peer.awaited, peer.is_known) = (true, None, true);
        if is_new {
            if is_taken {
                self.outputs
                    .push_back(Output::SameName(status.name.clone()));
            }
            self.outputs.push_back(Output::Joined(status));
            self.is_directory_wrong = true;
        }
        self.compare_needs(now, sender, told);
        if is_hello && self.is_joined {
            // So that the newcomer need not wait for the next heartbeat.
            let body = self.status_body();
            let way = Way::Node(sender);
            let number = self.peers.get(&sender).map_or(0, |peer| peer.sent);
            self.send(way, Kind::Status { is_hello: false }, number, 0, &body);
        }
    }

    pub(super) fn let_go(&mut self, now: Duration, id: NodeId, is_goodbye: bool) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let was_there = core::mem::take(&mut peer.is_there);
        peer.awaited = match is_goodbye {
            true => None,
            false if was_there => Some(now + AWAITED),
            false => peer.awaited,
        };
        if was_there {
            self.is_directory_wrong = true;
            self.outputs.push_back(Output::Left {
                node: peer.status.name.clone(),
                is_goodbye,
            });
        }
        self.questions.forget(id, &mut self.outputs);
    }

    /// Forgets the one that has been silent longest.
    pub(super) fn forget_one(&mut self) {
        let gone = self.peers.iter().filter(|(_, peer)| !peer.is_there);
        let oldest = gone.min_by_key(|(_, peer)| peer.heard).map(|(id, _)| *id);
        if let Some(peer) = oldest.and_then(|id| self.peers.remove(&id)) {
            self.connections_forgotten += peer.status.connections_total;
        }
    }
}
