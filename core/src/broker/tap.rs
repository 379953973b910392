//! Sessions of the host that get every message: taps, and the link to the other nodes of a cluster.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Broker;
use super::config::{Credentials, Others};
use super::session::{Role, SessionId};
use crate::needs::{Directory, NeedChange};

impl Broker {
    /// Opens a session of the host itself that gets every message but its own, whatever tags it has, in the order in
    /// which messages are decided; and each once, whatever it subscribes to. It need not authenticate.
    pub fn connect_tap(&mut self) -> SessionId {
        let session = self.connect(Credentials::default());
        if let Some(state) = self.session_mut(session) {
            state.role = Role::Admin;
        }
        self.taps.push(session);
        session
    }

    /// Opens the session of a [cluster's node](crate::cluster::Node), through which messages of other nodes come, and
    /// which gets the messages of this broker's own that others need. It is not among the sessions that are counted.
    /// There must be no subscriptions yet.
    pub fn connect_link(&mut self) -> SessionId {
        let session = self.connect_tap();
        self.taps.retain(|tap| *tap != session);
        self.link = Some(session);
        self.connected -= 1;
        self.connected_total -= 1;
        self.index.note_needs();
        session
    }

    /// Says which other nodes there are.
    pub fn set_others(&mut self, others: Others) {
        self.others = others;
    }

    /// Says what they need; before that, they need everything.
    pub fn set_directory(&mut self, directory: Arc<Directory>) {
        self.directory = Some(directory);
    }

    /// Whether there is something for [`Broker::take_needs`].
    #[must_use]
    pub fn has_new_needs(&self) -> bool {
        self.index.has_new_needs()
    }

    /// Takes what subscriptions need that have come or gone since the last time, for the cluster's node.
    pub fn take_needs(&mut self) -> Vec<NeedChange> {
        self.index.take_needs()
    }

    /// Adds the cluster's node to the receivers of a message, if other nodes need it; returns how many may, or `None`
    /// without a cluster.
    #[inline]
    pub(super) fn add_link<'a>(
        &self,
        publisher: Option<SessionId>,
        tags: impl Iterator<Item = &'a [u8]>,
        targets: &mut Vec<u32>,
    ) -> Option<usize> {
        let link = self.link?;
        if publisher == Some(link) || !self.others.is_linked {
            return Some(0);
        }
        let needing = match &self.directory {
            Some(directory) if self.others.nodes > 0 => {
                let places = directory.needing(tags).count_ones() as usize;
                if places == 0 {
                    return Some(0);
                }
                places.min(self.others.nodes)
            }
            _ => self.others.nodes,
        };
        targets.insert(0, link.slot);
        Some(needing)
    }

    /// Whether a session is one of the host's own.
    #[must_use]
    pub fn is_tap(&self, session: SessionId) -> bool {
        self.link == Some(session) || self.taps.contains(&session)
    }

    /// Adds the taps to the receivers of a message; in front, since a receiver may publish an answer at once, which a
    /// tap must not see first.
    #[inline]
    pub(super) fn add_taps(&self, publisher: Option<SessionId>, targets: &mut Vec<u32>) {
        for &tap in &self.taps {
            if Some(tap) == publisher {
                continue;
            }
            // Where it has subscribed as well.
            targets.retain(|target| *target != tap.slot);
            targets.insert(0, tap.slot);
        }
    }
}
