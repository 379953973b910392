//! Owns the sets whose home is one tag, and finding those among them that a message has all tags of; knows nothing of
//! clients.
//!
//! A home with few sets has them in lists, which matching walks. One with many is split: its sets stand in tables by
//! the *second* tag of each, the rarest of its others when it was added, and matching looks up the tags of the message
//! there (`table`).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::bits::is_set;
use super::table::Table;
use super::{SetId, give_back};
use crate::tags::TagId;

/// Sets at one home from which on it is split: walking so many takes as long as looking up the tags of a message.
const SPLIT_FROM: usize = 32;
/// Sets at one home from which on it is looked over for sets that have a better one.
const REVIEW_FROM: u32 = 4096;

/// What a home says of a set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Posting {
    /// Whom a match is for: see [`MANY`](super::MANY).
    pub(super) answer: u32,
    pub(super) set: SetId,
}

/// Where a set stands at its home: a position in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
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
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn push(&mut self, key: K, posting: Posting) -> Place {
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
    pub(super) fn remove(&mut self, place: Place) -> Option<SetId> {
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
    /// Sets of two and three tags, by the third; it is the second again where there is none.
    pub(super) short: Table<TagId>,
    pub(super) rest: Box<Rest>,
    /// How many sets stand in `rest`: nobody needs to look there when none does.
    beside: u32,
    /// With so many sets it is looked over again.
    review_at: u32,
}

#[derive(Debug, Default)]
pub(super) struct Rest {
    /// Sets of four and more, by their signatures.
    pub(super) long: Table<u64>,
    /// The set of the home alone.
    pub(super) alone: Option<Posting>,
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
        self.short.len() + self.beside as usize
    }

    fn postings(&self) -> impl Iterator<Item = &Posting> {
        let long = self.rest.long.entries().map(|(_, _, posting)| posting);
        let short = self.short.entries().map(|(_, _, posting)| posting);
        self.rest.alone.iter().chain(short).chain(long)
    }

    fn add(&mut self, home: TagId, tags: &[TagId], second: TagId, posting: Posting) -> Place {
        self.beside += u32::from(tags.len() == 1 || tags.len() > 3);
        match tags.len() {
            ..=1 => {
                self.rest.alone = Some(posting);
                Place::default()
            }
            2 | 3 => {
                let third = other_than(tags, home, second).unwrap_or(second);
                self.short.add(second, third, posting)
            }
            _ => self.rest.long.add(second, signature(tags), posting),
        }
    }

    fn remove(&mut self, tags: &[TagId], place: Place, set: SetId) -> Option<SetId> {
        self.beside -= u32::from(tags.len() == 1 || tags.len() > 3);
        match tags.len() {
            ..=1 => {
                self.rest.alone = None;
                None
            }
            2 | 3 => self.short.remove(tags, place, set),
            _ => self.rest.long.remove(tags, place, set),
        }
    }

    #[inline]
    fn walk<'a>(
        &self,
        home: TagId,
        carried: &Carried<'_>,
        members: impl Fn(SetId) -> &'a [TagId],
        answers: &mut Vec<u32>,
    ) -> usize {
        let is_short_match = |third: TagId, _: &Posting| is_set(carried.bits, third.0);
        let mut walked = self.short.walk(home, carried, is_short_match, answers);
        if self.beside > 0 {
            answers.extend(self.rest.alone.map(|posting| posting.answer));
            let is_match =
                |wanted: u64, posting: &Posting| carried.match_long(wanted, posting, &members);
            walked += self.rest.long.walk(home, carried, is_match, answers);
        }
        walked
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

    /// Whether it is time to look for sets with a better home; asked again, it says no. That is rare whatever clients
    /// do: there must be twice as many as at the last time.
    pub(super) fn take_due(&mut self) -> bool {
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
            short: Table::default(),
            rest: Box::default(),
            beside: 0,
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

    /// Removes a set of these tags; returns which set has its place now, if another one moved there.
    pub(super) fn remove(&mut self, tags: &[TagId], place: Place, set: SetId) -> Option<SetId> {
        match self {
            Self::Lists(lists) => lists.remove(tags.len(), place),
            Self::Split(split) => {
                let moved = split.remove(tags, place, set);
                if split.len() == 0 {
                    *self = Self::default();
                }
                moved
            }
        }
    }

    /// What stands here about a set of these tags.
    pub(super) fn posting_mut(
        &mut self,
        tags: &[TagId],
        place: Place,
        set: SetId,
    ) -> Option<&mut Posting> {
        match self {
            Self::Lists(lists) => match (tags.len(), &mut lists.larger) {
                (3, Some(larger)) => larger.triples.postings.get_mut(place.at()),
                (4.., Some(larger)) => larger.long.postings.get_mut(place.at()),
                _ => lists.pairs.postings.get_mut(place.at()),
            },
            Self::Split(split) => match tags.len() {
                ..=1 => split.rest.alone.as_mut(),
                2 | 3 => split.short.posting_mut(tags, place, set),
                _ => split.rest.long.posting_mut(tags, place, set),
            },
        }
    }

    /// Appends the answers of the sets that have all their tags among `carried`, of which `home` is one; returns how
    /// many sets and tags were looked at.
    #[inline]
    pub(super) fn walk<'a>(
        &self,
        home: TagId,
        carried: &Carried<'_>,
        members: impl Fn(SetId) -> &'a [TagId],
        answers: &mut Vec<u32>,
    ) -> usize {
        let lists = match self {
            Self::Lists(lists) => lists,
            Self::Split(split) => return split.walk(home, carried, members, answers),
        };
        let bits = carried.bits;
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
            if carried.match_long(wanted, posting, &members) {
                answers.push(posting.answer);
            }
        }
        lists.len()
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

impl Carried<'_> {
    /// Whether a set of many tags matches, of which `wanted` is the signature.
    #[inline]
    fn match_long<'a>(
        &self,
        wanted: u64,
        posting: &Posting,
        members: impl Fn(SetId) -> &'a [TagId],
    ) -> bool {
        let is_carried = |tag: &TagId| is_set(self.bits, tag.0);
        wanted & !self.signature == 0 && members(posting.set).iter().all(is_carried)
    }
}
