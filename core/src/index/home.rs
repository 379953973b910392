//! Owns the sets whose home is one tag, and finding those among them that a message has all tags of; knows nothing of
//! clients.
//!
//! A set is sifted by its [`Key`]: two more of its tags, the rarest when it was added. A home with few sets has them in a
//! list, which matching walks. One with many is split: its sets stand in a table by the first tag of the key, and matching
//! looks up the tags of the message there.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::bits::is_set;
use super::table::Table;
use super::{SetId, give_back};
use crate::tags::TagId;

/// Sets at one home from which on it is split: walking so many takes as long as looking up the tags of a message.
const SPLIT_FROM: usize = 32;
/// Sets at one home from which on it is looked over for sets that have a better one.
const REVIEW_FROM: usize = 4096;

/// What a home says of a set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Posting {
    /// Whom a match is for: see [`MANY`](super::MANY).
    pub(super) answer: u32,
    pub(super) set: SetId,
}

/// Two tags of a set other than its home. Where there are none, the home or the first fills up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) first: TagId,
    /// The second one, with [`LONG`] for a set that has tags besides.
    second: u32,
}

/// Tags have smaller numbers.
const LONG: u32 = 1 << 31;

impl Key {
    /// The key of a set of so many tags.
    pub(super) fn new(first: TagId, second: TagId, tags: usize) -> Self {
        let flag = if tags > 3 { LONG } else { 0 };
        Self {
            first,
            second: second.0 | flag,
        }
    }

    pub(super) fn second(self) -> TagId {
        TagId(self.second & !LONG)
    }

    pub(super) fn is_long(self) -> bool {
        self.second & LONG != 0
    }
}

/// The tags of a message that subscriptions hold.
#[derive(Clone, Copy)]
pub(super) struct Carried<'a> {
    pub(super) tags: &'a [TagId],
    /// A bit for each.
    pub(super) bits: &'a [u64],
}

impl Carried<'_> {
    /// Whether a set matches whose home is carried; `members` tells all its tags, where the key does not say it all.
    #[inline(always)]
    pub(super) fn matches<'a>(
        &self,
        key: Key,
        set: SetId,
        members: impl Fn(SetId) -> &'a [TagId],
    ) -> bool {
        let is_carried = |tag: TagId| is_set(self.bits, tag.0);
        is_carried(key.first)
            && is_carried(key.second())
            && (!key.is_long() || members(set).iter().all(|&tag| is_carried(tag)))
    }
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
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) keys: Vec<Key>,
    pub(super) postings: Vec<Posting>,
}

impl List {
    pub(super) fn add(&mut self, key: Key, posting: Posting) -> Place {
        if self.keys.capacity() == 0 {
            // Most tags of most brokers are home to one set.
            self.keys.reserve_exact(1);
            self.postings.reserve_exact(1);
        }
        self.keys.push(key);
        self.postings.push(posting);
        Place(self.keys.len() as u32 - 1)
    }

    /// Removes the set at a place; returns which one stands there now, if another one moved there.
    pub(super) fn remove(&mut self, place: Place) -> Option<SetId> {
        self.keys.swap_remove(place.at());
        self.postings.swap_remove(place.at());
        give_back(&mut self.keys);
        give_back(&mut self.postings);
        self.postings.get(place.at()).map(|posting| posting.set)
    }

    /// Appends the answers of the sets that match; returns how many were looked at.
    #[inline]
    pub(super) fn walk<'a>(
        &self,
        carried: &Carried<'_>,
        members: impl Fn(SetId) -> &'a [TagId],
        answers: &mut Vec<u32>,
    ) -> usize {
        for (&key, posting) in self.keys.iter().zip(&self.postings) {
            if carried.matches(key, posting.set, &members) {
                answers.push(posting.answer);
            }
        }
        self.keys.len()
    }
}

/// The sets whose home is one tag.
#[derive(Debug)]
pub(super) enum Home {
    List(List),
    Split(Split),
}

/// The sets of a home with many.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) table: Box<Table>,
    /// With so many sets it is looked over again.
    review_at: usize,
}

impl Default for Home {
    fn default() -> Self {
        Self::List(List::default())
    }
}

impl Home {
    /// Whether it has become so long that it is to be split.
    pub(super) fn is_long(&self) -> bool {
        matches!(self, Self::List(list) if list.keys.len() >= SPLIT_FROM)
    }

    /// Whether it is time to look for sets with a better home; asked again, it says no. That is rare whatever clients
    /// do: there must be twice as many as at the last time.
    pub(super) fn take_due(&mut self) -> bool {
        let Self::Split(split) = self else {
            return false;
        };
        let count = split.table.len();
        let is_due = count >= split.review_at;
        if is_due {
            split.review_at = 2 * count;
        }
        is_due
    }

    /// All sets, in no order.
    pub(super) fn sets(&self) -> Vec<SetId> {
        match self {
            Self::List(list) => list.postings.iter().map(|posting| posting.set).collect(),
            Self::Split(split) => split.table.sets(),
        }
    }

    /// Becomes an empty home that is split; returns the sets that are to be added again.
    pub(super) fn begin_split(&mut self) -> Vec<SetId> {
        let sets = self.sets();
        *self = Self::Split(Split {
            table: Box::default(),
            review_at: REVIEW_FROM,
        });
        sets
    }

    /// Adds a set; returns where it stands.
    pub(super) fn add(&mut self, key: Key, posting: Posting) -> Place {
        match self {
            Self::List(list) => list.add(key, posting),
            Self::Split(split) => split.table.add(key, posting),
        }
    }

    /// Removes a set of these tags; returns which set has its place now, if another one moved there.
    pub(super) fn remove(&mut self, tags: &[TagId], place: Place, set: SetId) -> Option<SetId> {
        match self {
            Self::List(list) => list.remove(place),
            Self::Split(split) => {
                let moved = split.table.remove(tags, place, set);
                if split.table.len() == 0 {
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
            Self::List(list) => list.postings.get_mut(place.at()),
            Self::Split(split) => split.table.posting_mut(tags, place, set),
        }
    }

    /// Appends the answers of the sets that have all their tags among `carried`, of which this home is one; returns how
    /// many sets and tags were looked at.
    #[inline]
    pub(super) fn walk<'a>(
        &self,
        carried: &Carried<'_>,
        members: impl Fn(SetId) -> &'a [TagId],
        answers: &mut Vec<u32>,
    ) -> usize {
        match self {
            Self::List(list) => list.walk(carried, members, answers),
            Self::Split(split) => split.table.walk(carried, members, answers),
        }
    }
}
