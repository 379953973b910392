//! Owns the table of all sets of two tags and more by two of these, and finding those that a message has all tags of;
//! knows nothing of clients.
//!
//! A message of several tags asks for each pair of them. Most pairs are of no set, and the sieve says so; under most of
//! the others stands one set. Several stand in a list, so that adding and removing take the same time however many
//! there are.

#[cfg(test)]
mod checks;

use alloc::vec::Vec;
use core::ops::Range;

use super::bits::is_set;
use super::sets::{Pair, SetId, Sets, give_back};
use super::shards::Shards;
use super::sieve::Sieve;
use super::tags::{Interner, TagId};
use crate::slots::Slots;

/// Sets in a list from which on it is looked over for sets that have a better pair.
pub(super) const REVIEW_FROM: usize = 1024;
/// Sets of such a list that are looked at for each one that is added. All of them at once would hold up everybody.
const REVIEWED_AT_ONCE: usize = 4;

/// What the table says of a pair: the only set, or a list.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The number of the set; or [`LIST`] with that of the list.
    number: u32,
    /// A tag besides the pair; where there is none, and for a list, one of the pair. Most sets of which the pair is
    /// carried do not match, and are not even looked at since this tag is not.
    third: TagId,
}

/// Set in an entry's number when it is that of a list.
const LIST: u32 = 1 << 31;

impl Entry {
    /// The list's number, if it stands for one.
    #[inline(always)]
    fn list(self) -> Option<u32> {
        (self.number & LIST != 0).then_some(self.number & !LIST)
    }

    #[inline(always)]
    fn pair(self, sets: &Sets, lists: &Slots<List>) -> Pair {
        match self.list() {
            None => sets.pair(self.number),
            Some(list) => lists[list].pair,
        }
    }
}

/// Pairs that are sifted before the sets of those that are left are looked at.
const SIFTED_AT_ONCE: usize = 1024;

/// Set in a row's third tag when the set has more tags besides.
const LONG: u32 = 1 << 31;
/// What a long set counts besides its tags: it and they stand elsewhere, and among very many sets in no cache.
const FAR: usize = 16;
/// What a row counts with the tags of its set, if these are as many as by default may be.
const MOST_OF_A_ROW: usize = 48;

/// A set in a list. Walking one reads nothing else where the third tag is not carried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// A tag besides the pair; where there is none, one of the pair.
    third: u32,
    /// The receiver of a match: see [`Sets::answer`].
    answer: u32,
    set: SetId,
}

impl Row {
    fn new(number: SetId, sets: &Sets, tags: &Interner) -> Self {
        let flag = if sets.rest(number).len() > 1 { LONG } else { 0 };
        Self {
            third: third(number, sets, tags).0 | flag,
            answer: sets.answer(number),
            set: number,
        }
    }

    /// The receiver of a match, if the set has all its tags besides the pair in `bits`. What that costs besides the row
    /// is added to `walked`.
    pub(super) fn answer_if_in(
        &self,
        bits: &[u64],
        sets: &Sets,
        walked: &mut usize,
    ) -> Option<u32> {
        if !is_set(bits, self.third & !LONG) {
            return None;
        }
        if self.third & LONG != 0 {
            let rest = sets.rest(self.set);
            *walked += FAR + rest.len();
            if !rest.iter().all(|tag| is_set(bits, tag.0)) {
                return None;
            }
        }
        Some(self.answer)
    }
}

/// What stands under a pair.
pub(super) enum Under<'a> {
    Nothing,
    Set(SetId),
    Rows(&'a [Row]),
}

/// The rarest tag of a set besides its pair; where there is none, one of the pair.
fn third(number: SetId, sets: &Sets, tags: &Interner) -> TagId {
    let rest = sets.rest(number).iter();
    let rarest = rest.copied().min_by_key(|&tag| tags.uses(tag));
    rarest.unwrap_or(sets.pair(number).low())
}

/// Several sets with the same pair.
#[derive(Debug, Default)]
struct List {
    pair: Pair,
    rows: Vec<Row>,
    /// Where looking it over goes on.
    review_at: usize,
}

impl List {
    /// The sets that are to be looked at now: a few, in turn.
    fn due(&mut self) -> Vec<SetId> {
        if self.rows.len() < REVIEW_FROM {
            return Vec::new();
        }
        if self.review_at >= self.rows.len() {
            self.review_at = 0;
        }
        let due = self.rows[self.review_at..].iter().take(REVIEWED_AT_ONCE);
        self.review_at += REVIEWED_AT_ONCE;
        due.map(|row| row.set).collect()
    }
}

/// A tag of a message that subscriptions hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried {
    pub(super) tag: TagId,
    pub(super) hash: u64,
}

/// Two tags of a message, by their places among those that are carried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    hash: u64,
    one: u32,
    other: u32,
}

/// Sets by their pairs.
#[derive(Debug)]
pub(super) struct Pairs {
    table: Shards<Entry>,
    /// How many pairs there are.
    count: usize,
    sieve: Sieve,
    lists: Slots<List>,
    /// How many pairs and sets a message may look at; what takes more takes a [`Walk`](super::Walk).
    pub(super) most: usize,
}

fn hash(pair: Pair, tags: &Interner) -> u64 {
    let hashes = pair.tags().map(|tag| tags.hash_id(tag));
    hashes.fold(0, |sum, hash| sum ^ hash)
}

impl Pairs {
    pub(super) fn new() -> Self {
        Self {
            table: Shards::new(),
            count: 0,
            sieve: Sieve::default(),
            lists: Slots::default(),
            most: usize::MAX,
        }
    }

    fn find(&self, hash: u64, pair: Pair, sets: &Sets) -> Option<Entry> {
        let is_it = |entry: &Entry| entry.pair(sets, &self.lists) == pair;
        self.table.find(hash, is_it).copied()
    }

    /// What stands under the pair of two tags.
    pub(super) fn under(&self, one: Carried, other: Carried, sets: &Sets) -> Under<'_> {
        let hash = one.hash ^ other.hash;
        if !self.sieve.may_hold(hash) {
            return Under::Nothing;
        }
        let entry = self.find(hash, Pair::new(one.tag, other.tag), sets);
        match entry.map(|entry| (entry, entry.list())) {
            None => Under::Nothing,
            Some((entry, None)) => Under::Set(entry.number),
            Some((_, Some(list))) => Under::Rows(&self.lists[list].rows),
        }
    }

    /// Adds a set; returns the list in which it stands, if there is one.
    pub(super) fn add(&mut self, number: SetId, sets: &mut Sets, tags: &Interner) -> Option<u32> {
        let pair = sets.pair(number);
        let hash_of = hash(pair, tags);
        let lists = &mut self.lists;
        let is_it = |entry: &Entry| entry.pair(sets, lists) == pair;
        let Some(entry) = self.table.find_mut(hash_of, is_it) else {
            let third = third(number, sets, tags);
            let rehash = |entry: &Entry| hash(entry.pair(sets, lists), tags);
            self.table.insert(hash_of, Entry { number, third }, rehash);
            self.count += 1;
            sets.set_place(number, 0);
            self.note(hash_of, sets, tags);
            return None;
        };
        // The set that brought the pair along may go before a sieve that is being built has come to it.
        self.sieve.add_again(hash_of);
        let in_list = entry.list().unwrap_or_else(|| {
            sets.set_place(entry.number, 0);
            let list = lists.add(List {
                pair,
                rows: alloc::vec![Row::new(entry.number, sets, tags)],
                review_at: 0,
            });
            *entry = Entry {
                number: LIST | list,
                third: pair.low(),
            };
            list
        });
        let list = &mut lists[in_list];
        sets.set_place(number, list.rows.len());
        list.rows.push(Row::new(number, sets, tags));
        Some(in_list)
    }

    /// Some sets of a list, where these are many, that may have a better pair by now.
    pub(super) fn due(&mut self, list: u32) -> Vec<SetId> {
        self.lists[list].due()
    }

    /// Takes note of a new pair, the set of which is there already.
    fn note(&mut self, hash_of: u64, sets: &Sets, tags: &Interner) {
        let bound = sets.bound();
        for pair in sets.pairs(self.sieve.add(hash_of, self.count, bound)) {
            self.sieve.add_again(hash(pair, tags));
        }
        self.sieve.finish(self.count, bound);
    }

    pub(super) fn remove(&mut self, number: SetId, sets: &mut Sets, tags: &Interner) {
        let pair = sets.pair(number);
        let hash_of = hash(pair, tags);
        let lists = &mut self.lists;
        let is_it = |entry: &Entry| entry.pair(sets, lists) == pair;
        let Some(entry) = self.table.find_mut(hash_of, is_it) else {
            return;
        };
        let Some(in_list) = entry.list() else {
            let rehash = |entry: &Entry| hash(entry.pair(sets, lists), tags);
            let is_it = |entry: &Entry| entry.number == number;
            self.table.remove(hash_of, is_it, rehash);
            self.count -= 1;
            if self.count == 0 {
                self.sieve = Sieve::default();
            }
            return;
        };
        let list = &mut lists[in_list];
        let place = sets.place(number);
        list.rows.swap_remove(place);
        if let Some(moved) = list.rows.get(place) {
            sets.set_place(moved.set, place);
        }
        if let [only] = list.rows[..] {
            *entry = Entry {
                number: only.set,
                third: TagId(only.third & !LONG),
            };
            lists.take(in_list);
        } else {
            give_back(&mut list.rows);
        }
    }

    /// Updates the receivers that a match of a set is for.
    pub(super) fn update_answer(&mut self, number: SetId, sets: &Sets, tags: &Interner) {
        let pair = sets.pair(number);
        let entry = self.find(hash(pair, tags), pair, sets);
        if let Some(list) = entry.and_then(Entry::list) {
            let row = &mut self.lists[list].rows[sets.place(number)];
            row.answer = sets.answer(number);
        }
    }

    /// Appends the answers of the sets that have all their tags among those that are carried, each of them once, with a
    /// bit for each in `bits`; returns how many pairs and sets were looked at. Works in `asked`. Where that is more
    /// than [`Pairs::most`], there may be more answers.
    #[inline]
    pub(super) fn walk(
        &self,
        carried: &[Carried],
        bits: &[u64],
        sets: &Sets,
        asked: &mut Vec<Asked>,
        answers: &mut Vec<u32>,
    ) -> usize {
        let mut walked = 0;
        let mut from = 1;
        while from < carried.len() {
            let mut to = from;
            let mut pairs = 0;
            while to < carried.len() && pairs < SIFTED_AT_ONCE {
                pairs += to;
                to += 1;
            }
            if asked.len() < pairs {
                asked.resize(pairs, Asked::default());
            }
            let count = self.sift(carried, from..to, asked);
            walked += pairs + self.visit(&asked[..count], carried, bits, sets, answers);
            from = to;
            if walked > self.most {
                break;
            }
        }
        walked
    }

    /// Finds the pairs that may be those of a set, of the tags at these places with those before: the first in `asked`,
    /// as many as are returned.
    ///
    /// Each takes the same few instructions whatever comes out, which is faster than to go on from here for some.
    #[inline]
    fn sift(&self, carried: &[Carried], places: Range<usize>, asked: &mut [Asked]) -> usize {
        let mut count = 0;
        for at in places {
            let one = carried[at];
            for (other_at, other) in carried[..at].iter().enumerate() {
                let hash = one.hash ^ other.hash;
                asked[count] = Asked {
                    hash,
                    one: at as u32,
                    other: other_at as u32,
                };
                count += usize::from(self.sieve.may_hold(hash));
            }
        }
        count
    }

    /// Appends the answers of the sets of these pairs that have all their tags among those that are carried, with a bit
    /// for each in `bits`; returns how many sets were looked at, a long one counting as its tags. Ends where that is
    /// more than [`Pairs::most`].
    #[inline]
    fn visit(
        &self,
        asked: &[Asked],
        carried: &[Carried],
        bits: &[u64],
        sets: &Sets,
        answers: &mut Vec<u32>,
    ) -> usize {
        let has_rest = |set| sets.rest(set).iter().all(|tag| is_set(bits, tag.0));
        let mut visited = asked.len();
        for &Asked { hash, one, other } in asked {
            let tag = |at: u32| carried[at as usize].tag;
            let pair = Pair::new(tag(one), tag(other));
            let is_it = |entry: &Entry| {
                is_set(bits, entry.third.0) && entry.pair(sets, &self.lists) == pair
            };
            let Some(entry) = self.table.find(hash, is_it) else {
                continue;
            };
            let Some(list) = entry.list() else {
                answers.extend(sets.answer_if_rest_in(entry.number, bits));
                continue;
            };
            let rows = &self.lists[list].rows;
            if visited + MOST_OF_A_ROW * rows.len() > self.most {
                visited = self.visit_with_care(rows, bits, sets, visited, answers);
                if visited > self.most {
                    break;
                }
                continue;
            }
            visited += rows.len();
            for row in rows {
                if !is_set(bits, row.third & !LONG) {
                    continue;
                }
                if row.third & LONG != 0 {
                    visited += FAR + sets.rest(row.set).len();
                    if !has_rest(row.set) {
                        continue;
                    }
                }
                answers.push(row.answer);
            }
        }
        visited
    }

    /// The same for a list that may take more than there is room for.
    #[cold]
    #[inline(never)]
    fn visit_with_care(
        &self,
        rows: &[Row],
        bits: &[u64],
        sets: &Sets,
        mut visited: usize,
        answers: &mut Vec<u32>,
    ) -> usize {
        visited += rows.len();
        for row in rows {
            if visited > self.most {
                break;
            }
            answers.extend(row.answer_if_in(bits, sets, &mut visited));
        }
        visited
    }
}
