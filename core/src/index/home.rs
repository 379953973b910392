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
const REVIEW_FROM: u32 = 4096;

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
#[derive(Debug)]
pub(super) enum Home {
    Lists(Lists),
    Split(Split),
}

impl Default for Home {
    fn default() -> Self {
        Self::Lists(Lists::default())
    }
}

/// The sets of a home with few.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Sets of two tags by the other one, and of one by itself.
    pub(super) pairs: List<TagId>,
    pub(super) larger: Option<Box<Larger>>,
}

#[derive(Debug, Default)]
pub(super) struct Larger {
    /// Sets of three tags by the other two.
    pub(super) triples: List<[TagId; 2]>,
    /// Sets of four and more by their signatures.
    pub(super) long: List<u64>,
}

/// The sets of a home with many.
#[derive(Debug)]
pub(super) struct Split {
    /// Sets of two and three tags.
    pub(super) short: HashTable<Short>,
    /// Sets of four and more.
    pub(super) long: Option<Box<HashTable<Long>>>,
    /// The set of the home alone.
    pub(super) alone: Option<Posting>,
    /// With so many sets it is looked over again.
    review_at: u32,
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

impl Lists {
    fn len(&self) -> usize {
        let larger = self.larger.as_deref();
        self.pairs.len() + larger.map_or(0, |larger| larger.triples.len() + larger.long.len())
    }

    fn postings(&self) -> impl Iterator<Item = &Posting> {
        let larger = self.larger.as_deref();
        let triples = larger
            .into_iter()
            .flat_map(|larger| &larger.triples.postings);
        let long = larger.into_iter().flat_map(|larger| &larger.long.postings);
        self.pairs.postings.iter().chain(triples).chain(long)
    }

    fn add(&mut self, home: TagId, tags: &[TagId], posting: Posting) -> Place {
        match tags.len() {
            ..=2 => {
                let other = other_than(tags, home, home).unwrap_or(home);
                self.pairs.push(other, posting)
            }
            3 => {
                let first = other_than(tags, home, home).unwrap_or(home);
                let others = [first, other_than(tags, home, first).unwrap_or(home)];
                let larger = self.larger.get_or_insert_default();
                larger.triples.push(others, posting)
            }
            _ => {
                let larger = self.larger.get_or_insert_default();
                larger.long.push(signature(tags), posting)
            }
        }
    }

    fn remove(&mut self, tags: usize, place: Place) -> Option<SetId> {
        let (moved, is_empty) = match &mut self.larger {
            Some(larger) if tags > 2 => {
                let moved = match tags {
                    3 => larger.triples.remove(place),
                    _ => larger.long.remove(place),
                };
                (moved, larger.triples.len() + larger.long.len() == 0)
            }
            _ => (self.pairs.remove(place), false),
        };
        if is_empty {
            self.larger = None;
        }
        moved
    }
}

impl Split {
    fn len(&self) -> usize {
        let long = self.long.as_ref().map_or(0, |long| long.len());
        self.short.len() + long + usize::from(self.alone.is_some())
    }

    fn postings(&self) -> impl Iterator<Item = &Posting> {
        let long = self.long.iter().flat_map(|long| long.iter());
        let short = self.short.iter().map(|entry| &entry.posting);
        let alone = self.alone.iter();
        alone.chain(short).chain(long.map(|entry| &entry.posting))
    }

    fn add(&mut self, home: TagId, tags: &[TagId], second: TagId, posting: Posting) -> Place {
        let hash = hash_number(second.0);
        match tags.len() {
            ..=1 => {
                self.alone = Some(posting);
                return Place::default();
            }
            2 | 3 => {
                let third = other_than(tags, home, second).unwrap_or(second);
                let entry = Short {
                    second,
                    third,
                    posting,
                };
                self.short.insert_unique(hash, entry, Short::hash);
            }
            _ => {
                let signature = signature(tags);
                let entry = Long {
                    signature,
                    second,
                    posting,
                };
                let long = self.long.get_or_insert_default();
                long.insert_unique(hash, entry, Long::hash);
            }
        }
        Place::in_table(second)
    }

    fn remove(&mut self, tags: usize, place: Place, set: SetId) {
        let Some(second) = place.second() else {
            self.alone = None;
            return;
        };
        let hash = hash_number(second.0);
        match &mut self.long {
            Some(long) if tags > 3 => {
                if let Ok(entry) = long.find_entry(hash, |entry| entry.posting.set == set) {
                    entry.remove();
                }
                give_back_table(long, Long::hash);
                if long.is_empty() {
                    self.long = None;
                }
            }
            _ => {
                let short = &mut self.short;
                if let Ok(entry) = short.find_entry(hash, |entry| entry.posting.set == set) {
                    entry.remove();
                }
                give_back_table(short, Short::hash);
            }
        }
    }
}

impl Short {
    fn hash(&self) -> u64 {
        hash_number(self.second.0)
    }
}

impl Long {
    fn hash(&self) -> u64 {
        hash_number(self.second.0)
    }
}

/// The first of some tags that is neither of two.
fn other_than(tags: &[TagId], one: TagId, two: TagId) -> Option<TagId> {
    let mut tags = tags.iter().copied();
    tags.find(|&tag| tag != one && tag != two)
}

impl Home {
    /// Whether a set of several tags is to be added by its second one.
    pub(super) fn is_split(&self) -> bool {
        matches!(self, Self::Split(_))
    }

    /// Whether it has become so long that it is to be split.
    pub(super) fn is_long(&self) -> bool {
        matches!(self, Self::Lists(lists) if lists.len() >= SPLIT_FROM)
    }

    /// Whether it is time to look for sets with a better home. That is rare whatever clients do: there must be twice as
    /// many as at the last time.
    pub(super) fn is_due(&mut self) -> bool {
        let Self::Split(split) = self else {
            return false;
        };
        let count = split.len() as u32;
        let is_due = count >= split.review_at;
        if is_due {
            split.review_at = count.saturating_mul(2);
        }
        is_due
    }

    /// All sets, in no order.
    pub(super) fn sets(&self) -> Vec<SetId> {
        match self {
            Self::Lists(lists) => lists.postings().map(|posting| posting.set).collect(),
            Self::Split(split) => split.postings().map(|posting| posting.set).collect(),
        }
    }

    /// Becomes an empty home that is split; returns the sets that are to be added again.
    pub(super) fn begin_split(&mut self) -> Vec<SetId> {
        let sets = self.sets();
        *self = Self::Split(Split {
            short: HashTable::new(),
            long: None,
            alone: None,
            review_at: REVIEW_FROM,
        });
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
        match self {
            Self::Lists(lists) => lists.add(home, tags, posting),
            Self::Split(split) => split.add(home, tags, second, posting),
        }
    }

    /// Removes a set with so many tags; returns which set has its place now, if another one moved there.
    pub(super) fn remove(&mut self, tags: usize, place: Place, set: SetId) -> Option<SetId> {
        match self {
            Self::Lists(lists) => lists.remove(tags, place),
            Self::Split(split) => {
                split.remove(tags, place, set);
                if split.len() == 0 {
                    *self = Self::default();
                }
                None
            }
        }
    }

    /// What stands here about a set with so many tags.
    pub(super) fn posting_mut(
        &mut self,
        tags: usize,
        place: Place,
        set: SetId,
    ) -> Option<&mut Posting> {
        match self {
            Self::Lists(lists) => match (tags, &mut lists.larger) {
                (3, Some(larger)) => larger.triples.postings.get_mut(place.at()),
                (4.., Some(larger)) => larger.long.postings.get_mut(place.at()),
                _ => lists.pairs.postings.get_mut(place.at()),
            },
            Self::Split(split) => {
                let Some(second) = place.second() else {
                    return split.alone.as_mut();
                };
                let hash = hash_number(second.0);
                match &mut split.long {
                    Some(long) if tags > 3 => {
                        let entry = long.find_mut(hash, |entry| entry.posting.set == set);
                        entry.map(|entry| &mut entry.posting)
                    }
                    _ => {
                        let short = &mut split.short;
                        let entry = short.find_mut(hash, |entry| entry.posting.set == set);
                        entry.map(|entry| &mut entry.posting)
                    }
                }
            }
        }
    }

    /// Appends the answers of the sets that have all their tags among `carried`, of which `home` is one; returns how
    /// many sets were looked at.
    #[inline]
    pub(super) fn walk<'a>(
        &self,
        home: TagId,
        carried: &Carried<'_>,
        members: impl Fn(SetId) -> &'a [TagId],
        answers: &mut Vec<u32>,
    ) -> usize {
        let Carried {
            tags,
            bits,
            signature,
        } = *carried;
        let is_match = |wanted: u64, posting: &Posting| {
            wanted & !signature == 0 && members(posting.set).iter().all(|tag| is_set(bits, tag.0))
        };
        match self {
            Self::Lists(lists) => {
                for (other, posting) in lists.pairs.keys.iter().zip(&lists.pairs.postings) {
                    if is_set(bits, other.0) {
                        answers.push(posting.answer);
                    }
                }
                let Some(larger) = &lists.larger else {
                    return lists.pairs.len();
                };
                let triples = &larger.triples;
                for ([first, second], posting) in triples.keys.iter().zip(&triples.postings) {
                    if is_set(bits, first.0) && is_set(bits, second.0) {
                        answers.push(posting.answer);
                    }
                }
                for (&wanted, posting) in larger.long.keys.iter().zip(&larger.long.postings) {
                    if is_match(wanted, posting) {
                        answers.push(posting.answer);
                    }
                }
                lists.len()
            }
            Self::Split(split) => {
                answers.extend(split.alone.map(|posting| posting.answer));
                let long = split.long.as_deref();
                let is_short_match =
                    |entry: &Short| is_set(bits, entry.second.0) && is_set(bits, entry.third.0);
                if split.len() <= tags.len() * WALKED_FOR_A_LOOK_UP {
                    for entry in split.short.iter().filter(|entry| is_short_match(entry)) {
                        answers.push(entry.posting.answer);
                    }
                    for entry in long.into_iter().flatten() {
                        if is_match(entry.signature, &entry.posting) {
                            answers.push(entry.posting.answer);
                        }
                    }
                    return split.len();
                }
                let mut walked = tags.len();
                for &second in tags.iter().filter(|&&tag| tag != home) {
                    let hash = hash_number(second.0);
                    for entry in split.short.iter_hash(hash) {
                        walked += 1;
                        // The same hash may be of another tag, whose own turn comes.
                        if entry.second == second && is_short_match(entry) {
                            answers.push(entry.posting.answer);
                        }
                    }
                    let Some(long) = long else { continue };
                    for entry in long.iter_hash(hash) {
                        walked += 1;
                        if entry.second == second && is_match(entry.signature, &entry.posting) {
                            answers.push(entry.posting.answer);
                        }
                    }
                }
                walked
            }
        }
    }
}

/// The tags of a message that subscriptions hold.
#[derive(Clone, Copy)]
pub(super) struct Carried<'a> {
    pub(super) tags: &'a [TagId],
    /// A bit for each.
    pub(super) bits: &'a [u64],
    pub(super) signature: u64,
}

/// Returns memory of a table that has become far smaller than it was.
fn give_back_table<T>(table: &mut HashTable<T>, hash: impl Fn(&T) -> u64) {
    if table.capacity() > 64 && table.len() < table.capacity() / 4 {
        table.shrink_to(table.capacity() / 2, hash);
    }
}
