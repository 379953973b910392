//! Owns which way messages go: to all nodes, or to those alone that need them.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::Node;
use super::envelope::{Kind, Way};
use super::router::Router;
use crate::limits::Limits;
use crate::needs::MOST_PLACES;

/// How often messages that are at hand together go another way than those before them; the rest goes to all.
const MOST_CHANGES: u32 = 8;

/// The nodes that a message goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whom {
    All,
    /// Those at these places, of which there may be none.
    Some(u128),
}

impl Node {
    /// Takes messages of this node's clients, as whole lines.
    pub fn handle_messages(&mut self, lines: &[u8]) {
        if !self.is_joined {
            return self.handle_dropped(count(lines));
        }
        if self.router.places.len() < 2 {
            // The broker has asked already whether the only one needs them.
            return self.publish_all(lines);
        }
        let mut router = core::mem::take(&mut self.router);
        router.own.resize_with(router.places.len(), Vec::new);
        let mut limits = Limits::default();
        (limits.tags_per_message, limits.tag_bytes) = (usize::MAX, usize::MAX);
        // Where the messages begin that go to all and were not sent yet.
        let (mut start, mut at) = (0, 0);
        let (mut tags, mut whom) = (None, Whom::All);
        // How often what follows could not go into one envelope with what went before.
        let mut changes = 0;
        while at < lines.len() {
            let end = memchr::memchr(b'\n', &lines[at..]).map_or(lines.len(), |end| at + end + 1);
            let line = core::str::from_utf8(&lines[at..end]).unwrap_or_default();
            let same = tags.is_some_and(|tags: &str| begins_with_tags(line, tags));
            if !same {
                (tags, whom) = self.find_way(line, &limits, &mut router);
            }
            let is_change = match whom {
                Whom::All => router.filled != 0,
                Whom::Some(_) => start < at,
            };
            changes += u32::from(is_change);
            match whom {
                // An envelope for each message would cost all nodes more than messages that they do not need.
                Whom::Some(_) if changes > MOST_CHANGES => {
                    if router.filled != 0 {
                        self.publish_own(&mut router);
                    }
                }
                Whom::All => {
                    if router.filled != 0 {
                        self.publish_own(&mut router);
                    }
                }
                Whom::Some(places) => {
                    self.publish_all(&lines[start..at]);
                    start = end;
                    router.filled |= places;
                    for place in bits(places) {
                        router.own[place].extend_from_slice(line.as_bytes());
                    }
                }
            }
            at = end;
        }
        self.publish_all(&lines[start..]);
        self.publish_own(&mut router);
        self.router = router;
    }

    /// Finds whom a message goes to, and returns with that what stands in front of the end of its tags.
    fn find_way<'a>(
        &self,
        line: &'a str,
        limits: &Limits,
        router: &mut Router,
    ) -> (Option<&'a str>, Whom) {
        if router.scan.scan(line, 0, limits).is_err() {
            return (None, Whom::All);
        }
        let message = router.scan.message(line);
        let tags: Vec<Cow<'_, str>> = message.tags().collect();
        let names = tags.iter().map(|tag| tag.as_bytes());
        let there = router.places.len();
        if there > MOST_PLACES {
            return (None, Whom::All);
        }
        let everybody = u128::MAX >> (MOST_PLACES - there);
        let places = self.directory.needing(names) & everybody;
        let needing = places.count_ones() as usize;
        let text = message.tags_text();
        let end = text.as_ptr().addr() - line.as_ptr().addr() + text.len();
        // To send the rest of them what they do not need costs less than to send it to each of the others alone.
        let whom = match 4 * needing > 3 * there {
            true => Whom::All,
            false => Whom::Some(places),
        };
        (line.get(..end), whom)
    }

    fn publish_own(&mut self, router: &mut Router) {
        for place in bits(core::mem::take(&mut router.filled)) {
            let node = router.places[place];
            self.publish(Way::Node(node), &router.own[place]);
            router.own[place].clear();
            router.own[place].shrink_to(2 * self.envelope_bytes);
        }
    }

    fn publish_all(&mut self, lines: &[u8]) {
        self.publish(Way::All, lines);
    }

    /// Sends messages in as few envelopes as may be.
    pub(super) fn publish(&mut self, way: Way, mut lines: &[u8]) {
        while !lines.is_empty() {
            let most = self.envelope_bytes.min(lines.len());
            let first = memchr::memchr(b'\n', lines).map_or(lines.len(), |at| at + 1);
            let length = match first > most {
                true => first,
                false => memchr::memrchr(b'\n', &lines[..most]).map_or(most, |at| at + 1),
            };
            let (some, rest) = lines.split_at(length);
            self.publish_some(way, some);
            lines = rest;
        }
    }

    fn publish_some(&mut self, way: Way, lines: &[u8]) {
        let messages = count(lines);
        let number = match way {
            Way::All => self.sent,
            Way::Node(node) => self.peers.get(&node).map_or(0, |peer| peer.sent),
        };
        if lines.len() <= self.envelope_bytes {
            self.send(way, Kind::Messages, number, messages, lines);
        } else {
            let pieces = lines.chunks(self.envelope_bytes);
            let last = pieces.len() as u64 - 1;
            for (at, piece) in (0..).zip(pieces) {
                self.send(way, Kind::Piece { at, last }, number, 1, piece);
            }
        }
        match way {
            Way::All => self.sent += messages,
            Way::Node(node) => {
                if let Some(peer) = self.peers.get_mut(&node) {
                    peer.sent += messages;
                    peer.sent_at = self.now;
                }
                self.sent_to_some += messages;
            }
        }
    }
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// Whether a message begins with what another has up to the end of its tags.
fn begins_with_tags(line: &str, beginning: &str) -> bool {
    line.as_bytes().starts_with(beginning.as_bytes())
}

fn bits(mut places: u128) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let place = (places != 0).then(|| places.trailing_zeros() as usize)?;
        places &= places - 1;
        Some(place)
    })
}
