//! Owns matching in parts, for a message that takes so long to match that others must have the index in between; knows
//! nothing of messages.
//!
//! Between parts only tag names and the positions of remaining sets are stable: ids are reused. No set moves to another
//! pair while there is a [`Walk`]. Within a list the last set fills the gap of a removed one, so a list is walked from
//! its end down. A set may then be checked twice, but none that is there from the first part to the last is missed. A
//! set that is added in between may be found or not.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::bits::{clear, fit, is_set, set};
use super::pairs::{Carried, Under};
use super::sets::{ClientId, MANY};
use super::walk::{Position, Walk};
use super::{CLIENTS_PER_SET, Index, MatchScratch, PAIRS_PER_SET};

/// Cost of one matched client; it is delivered to under the same lock.
const FOUND: usize = 32;
/// Sets checked per step when matching goes through all sets.
const SETS_AT_ONCE: usize = 256;

/// One part of a walk.
struct Part<'a> {
    index: &'a Index,
    /// The message's tags in order; `None` for a tag that no set has.
    tags: Vec<Option<Carried>>,
    bits: &'a [u64],
    served: &'a mut Vec<u64>,
    answers: &'a mut Vec<u32>,
    targets: &'a mut Vec<ClientId>,
    walked: usize,
}

impl Part<'_> {
    /// Matches from a position until it is done or `most` is reached; returns the next position.
    fn step(&mut self, at: Position, most: usize) -> Position {
        let index = self.index;
        match at {
            Position::Alone(tag_at) if tag_at < self.tags.len() => {
                let tag = self.tags[tag_at].map(|carried| carried.tag);
                if let Some(set) = tag.and_then(|tag| index.tags.alone(tag)) {
                    self.find(index.sets.answer(set));
                }
                self.walked += 1;
                Position::Alone(tag_at + 1)
            }
            Position::Alone(_) if index.is_sooner_by_sets(self.tags.iter().flatten().count()) => {
                Position::Set(0)
            }
            Position::Alone(_) => Position::next_pair(0, 0),
            Position::Pair { one, .. } if one >= self.tags.len() => Position::End,
            Position::Pair { one, other, rows } => self.step_pair(one, other, rows, most),
            Position::Set(number) if number < index.sets.bound() => {
                let end = number + SETS_AT_ONCE;
                self.answers.clear();
                index.sets.walk(number..end, self.bits, self.answers);
                self.walked += SETS_AT_ONCE;
                for at in 0..self.answers.len() {
                    self.find(self.answers[at]);
                }
                Position::Set(end)
            }
            Position::Set(_) | Position::End => Position::End,
        }
    }

    fn step_pair(&mut self, one: usize, other: usize, rows: usize, most: usize) -> Position {
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
                    // Sets may have been removed since the last part.
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
                            return Position::Pair { one, other, rows };
                        }
                    }
                }
            }
        }
        Position::next_pair(one, other)
    }

    /// Adds the clients of a matching set that were not found before to the targets.
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
    /// Begins to find all clients except `except` with a set whose tags are all on a message, each once.
    pub(crate) fn begin_walk(&self, except: Option<ClientId>) -> Walk {
        let mut served = Vec::new();
        if let Some(client) = except {
            fit(&mut served, client as usize + 1);
            set(&mut served, client);
        }
        Walk {
            _mark: Arc::clone(&self.walks),
            served,
            at: Position::Alone(0),
        }
    }

    /// Whether any message is being matched in parts.
    pub(super) fn is_walked(&self) -> bool {
        Arc::strong_count(&self.walks) > 1
    }

    /// Whether checking all sets is faster than looking up all pairs of this many tags.
    #[inline]
    pub(super) fn is_sooner_by_sets(&self, tags: usize) -> bool {
        let pairs = tags.saturating_mul(tags) / 2;
        pairs / PAIRS_PER_SET > self.sets.bound()
    }

    /// Finds some of the clients, in `scratch.targets`, at little more than the cost [allowed](Index::set_most) at once;
    /// returns whether these were the last.
    ///
    /// `names` are the message's tags without duplicates, the same in the same order for all parts.
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
            if matches!(walk.at, Position::End) || part.walked >= most {
                break;
            }
        }
        scratch.walked = part.walked;
        for Carried { tag, .. } in part.tags.into_iter().flatten() {
            clear(&mut scratch.tag_bits, tag.0);
        }
        matches!(walk.at, Position::End)
    }
}
