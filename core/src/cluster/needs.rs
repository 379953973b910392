//! Owns how nodes come to know of each other what they need, and the directory that is made of it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::envelope::{Envelope, Kind, Told, Way};
use super::summary::{Filter, Learnt, News};
use super::{Node, NodeId, Output, Peer};
use crate::needs::{Directory, MOST_PLACES, NeedChange};

/// How long a node that was asked for its summary has to send it.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often the whole is told, where the others could do without.
const WHOLE_EVERY: Duration = Duration::from_secs(5);
/// How often the directory is made anew, where the one in use only sends too much.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// The seed stands in front of what a summary says.
const SEED_BYTES: usize = 8;

impl Node {
    /// Takes note of what the broker's subscriptions need now; the others are told within [`Node::handle_time`].
    pub fn handle_needs(&mut self, changes: &[NeedChange]) {
        changes.iter().for_each(|&change| self.summary.note(change));
    }

    pub(super) fn tell_needs(&mut self) {
        if !self.is_joined {
            // Everything is told when there is a bus.
            return;
        }
        let most = (self.envelope_bytes - SEED_BYTES) / 8;
        let may_be_whole = self.now.saturating_sub(self.told_whole) >= WHOLE_EVERY;
        while let Some(news) = self.summary.news(most, may_be_whole) {
            match news {
                News::Whole => {
                    self.told_whole = self.now;
                    self.send_summary(Way::All);
                }
                News::Added(keys) => {
                    let keys: Vec<_> = keys.iter().flat_map(|key| key.to_le_bytes()).collect();
                    let body = with_seed(self.summary.seed(), &keys);
                    self.send(Way::All, Kind::Added, self.summary.version(), 0, &body);
                }
            }
            self.told_needs = Some(self.now);
        }
    }

    pub(super) fn tell_summary_to(&mut self, node: NodeId) {
        if self.is_joined {
            self.send_summary(Way::Node(node));
        }
    }

    fn send_summary(&mut self, way: Way) {
        let filter = self.summary.filter().0.clone();
        let (seed, version) = (self.summary.seed(), self.summary.version());
        let parts = filter.chunks(self.envelope_bytes - SEED_BYTES);
        let last = parts.len() as u64 - 1;
        for (at, part) in (0..).zip(parts) {
            let body = with_seed(seed, part);
            self.send(way, Kind::Summary { at, last }, version, 0, &body);
        }
    }

    /// Takes what another node tells of its needs.
    pub(super) fn learn(&mut self, now: Duration, sender: NodeId, envelope: &Envelope<'_>) {
        let Some((seed, body)) = envelope.body.split_first_chunk::<SEED_BYTES>() else {
            return;
        };
        let seed = u64::from_le_bytes(*seed);
        let Some(peer) = self.peers.get_mut(&sender) else {
            return;
        };
        let version = envelope.number;
        let learnt = match envelope.kind {
            Kind::Summary { at, last } => peer.needs.take_part(seed, version, (at, last), body),
            _ => peer.needs.take_added(seed, version, body),
        };
        let place = peer.place;
        match learnt {
            Learnt::Nothing => {}
            Learnt::Keys(keys) => {
                if let Some(place) = place {
                    keys.iter()
                        .for_each(|&key| self.directory.enter(place, key));
                }
            }
            Learnt::Whole => {
                let directory = &self.directory;
                let fits = |filter: &&Filter| directory.has_room(seed, filter.bits());
                let filter = peer.needs.filter.as_ref().filter(fits);
                if let (Some(filter), Some(place)) = (filter, place) {
                    // What it does not need any more is sent to it until there is another directory.
                    directory.enter_all(place, &filter.0);
                } else {
                    self.is_directory_wrong = true;
                    self.send_everything(place);
                }
                self.is_directory_old = true;
            }
            Learnt::Missing => {
                self.send_everything(place);
                self.want(now, sender);
            }
        }
    }

    fn send_everything(&self, place: Option<usize>) {
        if let Some(place) = place {
            self.directory.set_always(place);
        }
    }

    fn want(&mut self, now: Duration, node: NodeId) {
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        let is_asked = |asked: Duration| now.saturating_sub(asked) < ASK_AGAIN;
        if self.is_joined && !peer.asked.is_some_and(is_asked) {
            peer.asked = Some(now);
            self.send(Way::Node(node), Kind::Want, 0, 0, &[]);
        }
    }

    /// Looks whether what is known of a node's needs is all that it has told, and whether both go by the same seed.
    ///
    /// All nodes come to go by one seed, the smallest; but whoever is alone yet takes that of those who agree.
    pub(super) fn compare_needs(&mut self, now: Duration, sender: NodeId, told: Told) {
        let rank = |is_agreed: bool, seed: u64| (!is_agreed, seed);
        let own = self.summary.seed();
        if told.seed == own {
            self.is_agreed = true;
        } else if rank(told.is_agreed, told.seed) < rank(self.is_agreed, own) {
            self.summary.set_seed(told.seed);
            self.is_agreed = true;
            self.is_directory_wrong = true;
            self.tell_needs();
        }
        let Some(peer) = self.peers.get_mut(&sender) else {
            return;
        };
        if !peer.needs.is_of(told.seed, told.version) {
            peer.needs.lacks = true;
            let place = peer.place;
            self.send_everything(place);
            self.want(now, sender);
        }
    }

    /// Makes the directory anew where the one in use can no longer be changed to what is known.
    pub(super) fn renew_directory(&mut self) {
        let is_due = self.now.saturating_sub(self.renewed) >= RENEW_EVERY;
        if !(self.is_directory_wrong || self.is_directory_old && is_due) {
            return;
        }
        (self.is_directory_wrong, self.is_directory_old) = (false, false);
        self.renewed = self.now;
        let seed = self.summary.seed();
        let is_sent_to = |peer: &Peer| peer.is_there || peer.awaited.is_some();
        let there = self.peers.values().filter(|peer| is_sent_to(peer)).count();
        let filters = self.peers.values().filter(|peer| is_sent_to(peer));
        let filters = filters.filter_map(|peer| peer.needs.filter.as_ref());
        let bits = filters.map(Filter::bits).max().unwrap_or_default();
        let directory = Directory::new(seed, bits, there);
        self.router.places.clear();
        for (id, peer) in &mut self.peers {
            peer.place = None;
            if !is_sent_to(peer) {
                continue;
            }
            let place = self.router.places.len();
            self.router.places.push(*id);
            if place >= MOST_PLACES {
                continue;
            }
            peer.place = Some(place);
            match &peer.needs.filter {
                Some(filter) if peer.is_there && !peer.needs.lacks && peer.needs.seed == seed => {
                    directory.enter_all(place, &filter.0);
                }
                _ => directory.set_always(place),
            }
        }
        if there > MOST_PLACES {
            directory.set_always(0);
        }
        self.directory = Arc::new(directory);
        self.outputs
            .push_back(Output::Directory(Arc::clone(&self.directory)));
    }
}

fn with_seed(seed: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SEED_BYTES + body.len());
    bytes.extend_from_slice(&seed.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}
