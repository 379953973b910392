//! Owns the sets whose home is one tag, and finding those among them that a message has all tags of; knows nothing of
//! clients.
//!
//! A home with few sets has them in lists, which matching walks. One with many is split: its sets stand in tables by
//! the *second* tag of each, the rarest of its others, and matching looks up the tags of the message there.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hashbrown::HashTable;

use super::bits::is_set;
use super::{SetId, give_back, hash_number};
use crate::tags::TagId;

/// Sets at one home from which on it is split: walking so many takes as long as looking up the tags of a message.
const SPLIT_FROM: usize = 32;
/// How many sets are walked in the time that looking up one tag takes.
const WALKED_FOR_A_LOOK_UP: usize = 6;
/// Sets at one home from which on it is looked over for sets that have a better one.
const REVIEW_FROM: usize = 4096;

/// What a home says of a set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Posting {
    /// Whom a match is for: see [`MANY`](super::MANY).
    pub(super) answer: u32,
    pub(super) set: SetId,
}

/// Where a set stands at its home: a position in a list, or its second tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(u32);

/// Set in the place of a set that stands in a table.
const IN_TABLE: u32 = 1 << 31;

impl Place {
    fn in_table(second: TagId) -> Self {
        Self(second.0 | IN_TABLE)
    }

    /// The second tag of a set that stands in a table.
    pub(super) fn second(self) -> Option<TagId> {
        (self.0 & IN_TABLE != 0).then_some(TagId(self.0 & !IN_TABLE))
    }

    /// The position of a set that stands in a list.
    pub(super) fn at(self) -> usize {
        self.0 as usize
    }
}

/// Sets by columns: matching reads all keys, and the other column only where a key fits.
#[derive(Debug)]
pub(super) struct List<K> {
    pub(super) keys: Vec<K>,
    pub(super) postings: Vec<Posting>,
}

impl<K> Default for List<K> {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            postings: Vec::new(),
        }
    }
}

impl<K> List<K> {
    fn len(&self) -> usize {
        self.keys.len()
    }

    fn push(&mut self, key: K, posting: Posting) -> Place {
        if self.keys.capacity() == 0 {
            // Most tags of most brokers are home to one set.
            self.keys.reserve_exact(1);
            self.postings.reserve_exact(1);
        }
        self.keys.push(key);
        self.postings.push(posting);
        Place(self.keys.len() as u32 - 1)
    }

    /// Removes the set at a place; returns which one stands there now.
    fn remove(&mut self, place: Place) -> Option<SetId> {
        self.keys.swap_remove(place.at());
        self.postings.swap_remove(place.at());
        give_back(&mut self.keys);
        give_back(&mut self.postings);
        self.postings.get(place.at()).map(|posting| posting.set)
    }
}

/// The sets whose home is one tag.
#[derive(Debug, Default)]
pub(super) struct Home {
    /// Sets of two tags by the other one, and of one by itself.
    pub(super) pairs: List<TagId>,
    pub(super) more: Option<Box<More>>,
}

/// What only some homes have.
#[derive(Debug, Default)]
pub(super) struct More {
    /// Sets of three tags by the other two.
    pub(super) triples: List<[TagId; 2]>,
    /// Sets of four and more by their signatures.
    pub(super) long: List<u64>,
    pub(super) split: Option<Box<Split>>,
}

/// The sets of a home with many.
#[derive(Debug)]
pub(super) struct Split {
    /// Sets of two and three tags.
    pub(super) short: HashTable<Short>,
    /// Sets of four and more.
    pub(super) long: HashTable<Long>,
    /// With so many sets it is looked over again.
    review_at: usize,
}

/// A set of two or three tags in a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short {
    pub(super) second: TagId,
    /// The third tag; the second again where there is none.
    pub(super) third: TagId,
    pub(super) posting: Posting,
}

/// A larger set in a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Long {
    pub(super) signature: u64,
    pub(super) second: TagId,
    pub(super) posting: Posting,
}

/// A bit for each tag, some of which share one: a set with a bit that a message lacks does not match it.
pub(super) fn signature(tags: &[TagId]) -> u64 {
    tags.iter().fold(0, |bits, tag| {
        bits | 1 << (tag.0.wrapping_mul(0x9E37_79B9) >> 26)
    })
}

impl Split {
    fn len(&self) -> usize {
        self.short.len() + self.long.len()
    }
}

impl More {
    fn is_empty(&self) -> bool {
        self.triples.len() + self.long.len() == 0 && self.split.is_none()
    }
}

impl Home {
    fn in_lists(&self) -> usize {
        let more = self.more.as_deref();
        self.pairs.len() + more.map_or(0, |more| more.triples.len() + more.long.len())
    }

    fn split(&self) -> Option<&Split> {
        self.more.as_ref()?.split.as_deref()
    }

    /// Whether a set of several tags is to be added by its second one.
    pub(super) fn is_split(&self) -> bool {
        self.split().is_some()
    }

    /// Whether it has become so long that it is to be split.
    pub(super) fn is_long(&self) -> bool {
        !self.is_split() && self.in_lists() >= SPLIT_FROM
    }

    /// Whether it is time to look for sets with a better home. That is rare whatever clients do: there must be twice as
    /// many as at the last time.
    pub(super) fn is_due(&mut self) -> bool {
        let Some(split) = self.more.as_mut().and_then(|more| more.split.as_mut()) else {
            return false;
        };
        let count = split.len();
        let is_due = count >= split.review_at;
        if is_due {
            split.review_at = 2 * count;
        }
        is_due
    }

    /// All sets, in no order.
    pub(super) fn sets(&self) -> impl Iterator<Item = SetId> {
        let more = self.more.as_deref();
        let triples = more.into_iter().flat_map(|more| &more.triples.postings);
        let long = more.into_iter().flat_map(|more| &more.long.postings);
        let listed = self.pairs.postings.iter().chain(triples).chain(long);
        let split = self.split();
        let short = split.into_iter().flat_map(|split| &split.short);
        let long = split.into_iter().flat_map(|split| &split.long);
        listed
            .chain(short.map(|entry| &entry.posting))
            .chain(long.map(|entry| &entry.posting))
            .map(|posting| posting.set)
    }

    /// Becomes an empty home that is split; returns the sets that are to be added again.
    pub(super) fn begin_split(&mut self) -> Vec<SetId> {
        let sets = self.sets().collect();
        let split = Split {
            short: HashTable::new(),
            long: HashTable::new(),
            review_at: REVIEW_FROM,
        };
        *self = Self {
            pairs: List::default(),
            more: Some(Box::new(More {
                split: Some(Box::new(split)),
                ..More::default()
            })),
        };
        sets
    }

    /// Adds a set of these tags, of which `second` is the rarest but for `home`; returns where it stands.
    pub(super) fn add(
        &mut self,
        home: TagId,
        tags: &[TagId],
        second: TagId,
        posting: Posting,
    ) -> Place {
        let other = |not: TagId| tags.iter().copied().find(|&tag| tag != home && tag != not);
        if let ([_, _, ..], Some(more)) = (tags, &mut self.more)
            && let Some(split) = &mut more.split
        {
            let hash = hash_number(second.0);
            if tags.len() > 3 {
                let signature = signature(tags);
                let entry = Long {
                    signature,
                    second,
                    posting,
                };
                let hash_of = |entry: &Long| hash_number(entry.second.0);
                split.long.insert_unique(hash, entry, hash_of);
            } else {
                let third = other(second).unwrap_or(second);
                let entry = Short {
                    second,
                    third,
                    posting,
                };
                let hash_of = |entry: &Short| hash_number(entry.second.0);
                split.short.insert_unique(hash, entry, hash_of);
            }
            return Place::in_table(second);
        }
        match tags.len() {
            ..=2 => {
                let other = other(home).unwrap_or(home);
                self.pairs.push(other, posting)
            }
            3 => {
                let first = other(home).unwrap_or(home);
                let others = [first, other(first).unwrap_or(home)];
                let more = self.more.get_or_insert_default();
                more.triples.push(others, posting)
            }
            _ => {
                let more = self.more.get_or_insert_default();
                more.long.push(signature(tags), posting)
            }
        }
    }

    /// Removes a set with so many tags; returns which set has its place now, if another one moved there.
    pub(super) fn remove(&mut self, tags: usize, place: Place, set: SetId) -> Option<SetId> {
        let Some(more) = &mut self.more else {
            return self.pairs.remove(place);
        };
        let moved = match (place.second(), &mut more.split, tags) {
            (Some(second), Some(split), _) => {
                let hash = hash_number(second.0);
                if tags > 3 {
                    let table = &mut split.long;
                    if let Ok(entry) = table.find_entry(hash, |entry| entry.posting.set == set) {
                        entry.remove();
                    }
                    give_back_table(table, |entry| hash_number(entry.second.0));
                } else {
                    let table = &mut split.short;
                    if let Ok(entry) = table.find_entry(hash, |entry| entry.posting.set == set) {
                        entry.remove();
                    }
                    give_back_table(table, |entry| hash_number(entry.second.0));
                }
                if split.len() == 0 {
                    more.split = None;
                }
                None
            }
            (None, _, 3) => more.triples.remove(place),
            (None, _, 4..) => more.long.remove(place),
            _ => self.pairs.remove(place),
        };
        if more.is_empty() {
            self.more = None;
        }
        moved
    }

    /// What stands here about a set with so many tags.
    pub(super) fn posting_mut(
        &mut self,
        tags: usize,
        place: Place,
        set: SetId,
    ) -> Option<&mut Posting> {
        let Some(more) = &mut self.more else {
            return self.pairs.postings.get_mut(place.at());
        };
        if let (Some(second), Some(split)) = (place.second(), &mut more.split) {
            let hash = hash_number(second.0);
            return if tags > 3 {
                let entry = split.long.find_mut(hash, |entry| entry.posting.set == set);
                entry.map(|entry| &mut entry.posting)
            } else {
                let entry = split.short.find_mut(hash, |entry| entry.posting.set == set);
                entry.map(|entry| &mut entry.posting)
            };
        }
        match tags {
            ..=2 => self.pairs.postings.get_mut(place.at()),
            3 => more.triples.postings.get_mut(place.at()),
            _ => more.long.postings.get_mut(place.at()),
        }
    }

    /// Appends the answers of the sets that have all their tags among `tags`, of which `home` is one, `bits` has a bit
    /// for each, and `sifted` is the signature; returns how many sets were looked at.
    #[inline]
    pub(super) fn walk<'a>(
        &self,
        home: TagId,
        tags: &[TagId],
        bits: &[u64],
        sifted: u64,
        members: impl Fn(SetId) -> &'a [TagId],
        answers: &mut Vec<u32>,
    ) -> usize {
        for (other, posting) in self.pairs.keys.iter().zip(&self.pairs.postings) {
            if is_set(bits, other.0) {
                answers.push(posting.answer);
            }
        }
        let Some(more) = &self.more else {
            return self.pairs.len();
        };
        for ([first, second], posting) in more.triples.keys.iter().zip(&more.triples.postings) {
            if is_set(bits, first.0) && is_set(bits, second.0) {
                answers.push(posting.answer);
            }
        }
        let is_match = |signature: u64, posting: &Posting| {
            signature & !sifted == 0 && members(posting.set).iter().all(|tag| is_set(bits, tag.0))
        };
        for (&signature, posting) in more.long.keys.iter().zip(&more.long.postings) {
            if is_match(signature, posting) {
                answers.push(posting.answer);
            }
        }
        let listed = self.in_lists();
        let Some(split) = &more.split else {
            return listed;
        };
        let is_short_match =
            |entry: &Short| is_set(bits, entry.second.0) && is_set(bits, entry.third.0);
        if split.len() <= tags.len() * WALKED_FOR_A_LOOK_UP {
            for entry in split.short.iter().filter(|entry| is_short_match(entry)) {
                answers.push(entry.posting.answer);
            }
            for entry in &split.long {
                if is_match(entry.signature, &entry.posting) {
                    answers.push(entry.posting.answer);
                }
            }
            return listed + split.len();
        }
        let mut walked = listed + tags.len();
        for &second in tags.iter().filter(|&&tag| tag != home) {
            let hash = hash_number(second.0);
            for entry in split.short.iter_hash(hash) {
                walked += 1;
                // The same hash may be of another tag, whose own turn comes.
                if entry.second == second && is_short_match(entry) {
                    answers.push(entry.posting.answer);
                }
            }
            if split.long.is_empty() {
                continue;
            }
            for entry in split.long.iter_hash(hash) {
                walked += 1;
                if entry.second == second && is_match(entry.signature, &entry.posting) {
                    answers.push(entry.posting.answer);
                }
            }
        }
        walked
    }
}

/// Returns memory of a table that has become far smaller than it was.
fn give_back_table<T>(table: &mut HashTable<T>, hash: impl Fn(&T) -> u64) {
    if table.capacity() > 64 && table.len() < table.capacity() / 4 {
        table.shrink_to(table.capacity() / 2, hash);
    }
}
