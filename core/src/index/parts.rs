//! Owns matching in parts, for a message that makes the index look at so much that others must have it in between; knows
//! nothing of messages.
//!
//! What stays while the index changes are names, since numbers of tags and of lists are given out again; and the place of
//! a set that stays: sets are not moved under other pairs as long as there is a [`Walk`], and a list is walked from the end
//! down, since the last set of a list takes the place of one that is removed. So a set may be looked at twice, but none is
//! passed over that was there from the first part to the last. What came between may be found or not.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::bits::{clear, fit, is_set, set};
use super::pairs::{Carried, Under};
use super::sets::{ClientId, MANY};
use super::walk::{Place, Walk};
use super::{CLIENTS_PER_SET, Index, MatchScratch, PAIRS_PER_SET};

/// What a client costs that is found, which gets the message in the same hold of the lock.
const FOUND: usize = 32;
/// Sets that are looked at in a row, where all of them are.
const SETS_AT_ONCE: usize = 256;

/// One part of a walk.
struct Part<'a> {
    index: &'a Index,
    /// The tags in their order; none for those that no set holds.
    tags: Vec<Option<Carried>>,
    bits: &'a [u64],
    served: &'a mut Vec<u64>,
    answers: &'a mut Vec<u32>,
    targets: &'a mut Vec<ClientId>,
    walked: usize,
}

impl Part<'_> {
    /// Goes on at a place until all of it is looked at, or enough; returns where to go on.
    fn step(&mut self, at: Place, most: usize) -> Place {
        let index = self.index;
        match at {
            Place::Alone(place) if place < self.tags.len() => {
                let tag = self.tags[place].map(|carried| carried.tag);
                if let Some(set) = tag.and_then(|tag| index.tags.alone(tag)) {
                    self.find(index.sets.answer(set));
                }
                self.walked += 1;
                Place::Alone(place + 1)
            }
            Place::Alone(_) if index.is_sooner_by_sets(self.tags.iter().flatten().count()) => {
                Place::Set(0)
            }
            Place::Alone(_) => Place::next_pair(0, 0),
            Place::Pair { one, .. } if one >= self.tags.len() => Place::End,
            Place::Pair { one, other, rows } => self.step_pair(one, other, rows, most),
            Place::Set(number) if number < index.sets.bound() => {
                let end = number + SETS_AT_ONCE;
                self.answers.clear();
                index.sets.walk(number..end, self.bits, self.answers);
                self.walked += SETS_AT_ONCE;
                for at in 0..self.answers.len() {
                    self.find(self.answers[at]);
                }
                Place::Set(end)
            }
            Place::Set(_) | Place::End => Place::End,
        }
    }

    fn step_pair(&mut self, one: usize, other: usize, rows: usize, most: usize) -> Place {
        let index = self.index;
        self.walked += 1;
        if let (Some(first), Some(second)) = (self.tags[one], self.tags[other]) {
            match index.pairs.under(first, second, &index.sets) {
                Under::Nothing => {}
                Under::Set(set) => {
                    self.walked += 1;
                    if let Some(answer) = index.sets.answer_if_rest_in(set, self.bits) {
                        self.find(answer);
                    }
                }
                Under::Rows(all) => {
                    // Fewer than there were, perhaps.
                    for at in (0..rows.min(all.len())).rev() {
                        let row = &all[at];
                        self.walked += 1;
                        if let Some(answer) =
                            row.answer_if_in(self.bits, &index.sets, &mut self.walked)
                        {
                            self.find(answer);
                        }
                        if self.walked >= most && at > 0 {
                            let rows = at;
                            return Place::Pair { one, other, rows };
                        }
                    }
                }
            }
        }
        Place::next_pair(one, other)
    }

    /// Takes those for whom a match is who were not found before.
    fn find(&mut self, answer: u32) {
        let one = [answer];
        let clients = match answer & MANY {
            0 => &one,
            _ => self.index.sets.clients(answer & !MANY),
        };
        let before = self.targets.len();
        for &client in clients {
            if !is_set(self.served, client) {
                set(self.served, client);
                self.targets.push(client);
            }
        }
        self.walked += clients.len() / CLIENTS_PER_SET + FOUND * (self.targets.len() - before);
    }
}

impl Index {
    /// Begins to find the clients with a set whose tags are all on a message, each once, without `except`.
    pub(crate) fn begin_walk(&self, except: Option<ClientId>) -> Walk {
        let mut served = Vec::new();
        if let Some(client) = except {
            fit(&mut served, client as usize + 1);
            set(&mut served, client);
        }
        Walk {
            _mark: Arc::clone(&self.walks),
            served,
            at: Place::Alone(0),
        }
    }

    /// Whether a message is still matched in parts.
    pub(super) fn is_walked(&self) -> bool {
        Arc::strong_count(&self.walks) > 1
    }

    /// Whether it takes longer to ask for all pairs of so many tags than to look at all sets.
    #[inline]
    pub(super) fn is_sooner_by_sets(&self, tags: usize) -> bool {
        let pairs = tags.saturating_mul(tags) / 2;
        pairs / PAIRS_PER_SET > self.sets.bound()
    }

    /// Finds some of the clients: `scratch.targets`, and looks at little more for that than it [may](Index::set_most) at once;
    /// returns whether those were all.
    ///
    /// `names` are the message's tags, the same ones in the same order for all parts, each once.
    pub(crate) fn walk_some<'a>(
        &self,
        names: impl Iterator<Item = &'a [u8]>,
        walk: &mut Walk,
        scratch: &mut MatchScratch,
    ) -> bool {
        let most = self.pairs.most;
        fit(&mut scratch.tag_bits, self.tags.bound());
        fit(&mut walk.served, self.held.len());
        let carried = |name| {
            let tag = self.tags.find(name)?;
            let hash = self.tags.hash_id(tag);
            Some(Carried { tag, hash })
        };
        let tags: Vec<_> = names.map(carried).collect();
        for Carried { tag, .. } in tags.iter().flatten() {
            set(&mut scratch.tag_bits, tag.0);
        }
        scratch.targets.clear();
        let mut part = Part {
            index: self,
            bits: &scratch.tag_bits,
            served: &mut walk.served,
            answers: &mut scratch.answers,
            targets: &mut scratch.targets,
            walked: tags.len(),
            tags,
        };
        // At least one step, so that there is an end.
        loop {
            walk.at = part.step(walk.at, most);
            if matches!(walk.at, Place::End) || part.walked >= most {
                break;
            }
        }
        scratch.walked = part.walked;
        for Carried { tag, .. } in part.tags.into_iter().flatten() {
            clear(&mut scratch.tag_bits, tag.0);
        }
        matches!(walk.at, Place::End)
    }
}
