//! Owns the tag sets that are subscribed to, and the clients that hold each; knows nothing of how one is found.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;
use core::{iter, slice};

use super::bits::is_set;
use super::tags::{HEAP_OVERHEAD, TagId};
use crate::slots::Slots;
use crate::sort::sort;

/// The number of a client: small and dense, since bitmaps are indexed by it.
pub(crate) type ClientId = u32;
pub(super) type SetId = u32;

/// Set in an answer, and in what a set says of its clients, when they are several.
pub(super) const MANY: u32 = 1 << 31;

/// Two tags of a set under which it stands; twice the same where it has only one, which stands elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pair {
    low: TagId,
    high: TagId,
}

impl Pair {
    #[inline(always)]
    pub(super) fn new(one: TagId, other: TagId) -> Self {
        Self {
            low: one.min(other),
            high: one.max(other),
        }
    }

    pub(super) fn low(self) -> TagId {
        self.low
    }

    pub(super) fn has(self, tag: TagId) -> bool {
        self.low == tag || self.high == tag
    }

    /// The tag of a set that has only one.
    pub(super) fn alone(self) -> Option<TagId> {
        (self.low == self.high).then_some(self.low)
    }

    /// The tags, each once.
    #[inline(always)]
    pub(super) fn tags(self) -> impl Iterator<Item = TagId> {
        let high = (self.high != self.low).then_some(self.high);
        iter::once(self.low).chain(high)
    }
}

/// How many tags a set has besides its pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    /// There is no set.
    #[default]
    Vacant,
    None,
    /// One, which is [`Set::third`].
    One,
    /// Several; in the place of the third is their number.
    Several,
}

/// A set. There may be millions, so it has no byte too many.
#[derive(Debug, Default)]
struct Set {
    pair: Pair,
    third: TagId,
    rest: Rest,
    /// The only client; or [`MANY`] with the number of their list.
    clients: u32,
    /// Where it stands among the sets of its pair.
    place: u32,
}

/// All sets, by number.
#[derive(Debug, Default)]
pub(super) struct Sets {
    sets: Slots<Set>,
    /// The tags besides the pair of sets with more than three, in order.
    rests: Slots<Box<[TagId]>>,
    /// Several clients of one set.
    crowds: Slots<Vec<ClientId>>,
    /// What all of them take, without their clients.
    bytes: usize,
    /// Whether answers say which sets match, so that none stands for a client.
    is_numbered: bool,
}

/// Bytes that a set takes besides tags that are more than three, roughly: its place here, among all sets, among the
/// pairs and in the sieve.
const SET_BYTES: usize = 60;

impl Sets {
    pub(super) fn new(is_numbered: bool) -> Self {
        Self {
            is_numbered,
            ..Self::default()
        }
    }

    /// Adds a set with its first client. `tags` are in order.
    pub(super) fn add(&mut self, tags: &[TagId], pair: Pair, client: ClientId) -> SetId {
        let number = self.sets.add(Set {
            clients: client,
            ..Set::default()
        });
        self.set_tags(number, tags, pair);
        self.bytes += SET_BYTES;
        number
    }

    fn set_tags(&mut self, number: SetId, tags: &[TagId], pair: Pair) {
        let mut rest = tags.iter().copied().filter(|&tag| !pair.has(tag));
        let (third, rest) = match (rest.next(), rest.next()) {
            (None, _) => (TagId::default(), Rest::None),
            (Some(third), None) => (third, Rest::One),
            (Some(third), Some(fourth)) => {
                let rest: Box<[_]> = [third, fourth].into_iter().chain(rest).collect();
                self.bytes += rest_bytes(&rest);
                (TagId(self.rests.add(rest)), Rest::Several)
            }
        };
        let set = &mut self.sets[number];
        (set.pair, set.third, set.rest) = (pair, third, rest);
    }

    pub(super) fn remove(&mut self, number: SetId) {
        self.drop_rest(number);
        self.sets.take(number);
        self.bytes -= SET_BYTES;
    }

    /// Bytes that all sets take without their clients, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn drop_rest(&mut self, number: SetId) {
        let set = &self.sets[number];
        if set.rest == Rest::Several {
            let rest = self.rests.take(set.third.0);
            self.bytes -= rest_bytes(&rest);
        }
    }

    /// Gives a set another pair of its tags.
    pub(super) fn set_pair(&mut self, number: SetId, pair: Pair) {
        let mut tags: Vec<_> = self.tags(number).collect();
        sort(&mut tags);
        self.drop_rest(number);
        self.set_tags(number, &tags, pair);
    }

    #[inline(always)]
    pub(super) fn pair(&self, number: SetId) -> Pair {
        self.sets[number].pair
    }

    /// The tags besides the pair, in order.
    #[inline(always)]
    pub(super) fn rest(&self, number: SetId) -> &[TagId] {
        let set = &self.sets[number];
        match set.rest {
            Rest::Vacant | Rest::None => &[],
            Rest::One => slice::from_ref(&set.third),
            Rest::Several => &self.rests[set.third.0],
        }
    }

    /// The receiver of a match of a set, if each of its tags besides the pair has a bit in `bits`.
    #[inline(always)]
    pub(super) fn answer_if_rest_in(&self, number: SetId, bits: &[u64]) -> Option<u32> {
        let set = &self.sets[number];
        let has_rest = match set.rest {
            Rest::Vacant | Rest::None => true,
            Rest::One => is_set(bits, set.third.0),
            Rest::Several => {
                let rest = &self.rests[set.third.0];
                rest.iter().all(|tag| is_set(bits, tag.0))
            }
        };
        has_rest.then(|| self.answer_of(number, set))
    }

    #[inline(always)]
    fn answer_of(&self, number: SetId, set: &Set) -> u32 {
        if self.is_numbered || set.clients & MANY != 0 {
            MANY | number
        } else {
            set.clients
        }
    }

    /// All tags, each once.
    pub(super) fn tags(&self, number: SetId) -> impl Iterator<Item = TagId> {
        self.pair(number)
            .tags()
            .chain(self.rest(number).iter().copied())
    }

    /// Appends the answers of the sets of two tags and more that have these numbers and a bit for each tag in `bits`.
    #[inline(never)]
    pub(super) fn walk(&self, numbers: Range<usize>, bits: &[u64], answers: &mut Vec<u32>) {
        for (number, set) in self.sets.range(numbers) {
            let has_all = || self.tags(number).all(|tag| is_set(bits, tag.0));
            // Where there is no set, its pair is of one tag too.
            if set.pair.alone().is_none() && has_all() {
                answers.push(self.answer(number));
            }
        }
    }

    /// Whether a set has exactly these tags, which are in order.
    pub(super) fn is_of(&self, number: SetId, tags: &[TagId]) -> bool {
        let pair = self.pair(number);
        let rest = tags.iter().filter(|&&tag| !pair.has(tag));
        self.tags(number).count() == tags.len() && rest.eq(self.rest(number))
    }

    #[inline(always)]
    pub(super) fn place(&self, number: SetId) -> usize {
        self.sets[number].place as usize
    }

    pub(super) fn set_place(&mut self, number: SetId, place: usize) {
        self.sets[number].place = place as u32;
    }

    /// The receiver of a match: a client, or [`MANY`] with the number of the set.
    #[inline(always)]
    pub(super) fn answer(&self, number: SetId) -> u32 {
        self.answer_of(number, &self.sets[number])
    }

    /// The clients that hold a set.
    #[inline]
    pub(super) fn clients(&self, number: SetId) -> &[ClientId] {
        let clients = &self.sets[number].clients;
        match clients & MANY {
            0 => slice::from_ref(clients),
            _ => &self.crowds[clients & !MANY],
        }
    }

    /// Adds a client that does not hold the set; returns its place among the clients.
    pub(super) fn add_client(&mut self, number: SetId, client: ClientId) -> u32 {
        let clients = &mut self.sets[number].clients;
        if *clients & MANY == 0 {
            *clients = MANY | self.crowds.add(alloc::vec![*clients, client]);
            return 1;
        }
        let crowd = &mut self.crowds[*clients & !MANY];
        crowd.push(client);
        crowd.len() as u32 - 1
    }

    /// Removes the client at a place, of several; returns which one stands there now, if another one moved there.
    pub(super) fn remove_client(&mut self, number: SetId, place: u32) -> Option<ClientId> {
        let clients = &mut self.sets[number].clients;
        let list = *clients & !MANY;
        let crowd = &mut self.crowds[list];
        crowd.swap_remove(place as usize);
        let moved = crowd.get(place as usize).copied();
        if let [only] = crowd[..] {
            *clients = only;
            self.crowds.take(list);
        } else {
            give_back(crowd);
        }
        moved
    }

    /// The pairs of the sets with these numbers, as far as they have two tags or more.
    pub(super) fn pairs(&self, numbers: Range<usize>) -> impl Iterator<Item = Pair> {
        let sets = self.sets.range(numbers);
        // Where there is no set, its pair is of one tag too.
        sets.map(|(_, set)| set.pair)
            .filter(|pair| pair.alone().is_none())
    }

    /// One more than the highest number in use, or a little more than that.
    pub(super) fn bound(&self) -> usize {
        self.sets.bound()
    }
}

/// Bytes that the tags of a set besides its pair take where they are several.
fn rest_bytes(rest: &[TagId]) -> usize {
    // As on machines with 64 bits, so that all count the same.
    size_of_val(rest) + 16 + HEAP_OVERHEAD
}

/// Returns memory of a list that has become far smaller than it was.
pub(super) fn give_back<T>(list: &mut Vec<T>) {
    if list.capacity() > 64 && list.len() < list.capacity() / 4 {
        list.shrink_to(list.capacity() / 2);
    }
}

#[cfg(test)]
impl Sets {
    /// The numbers of all sets.
    pub(super) fn numbers(&self) -> Vec<SetId> {
        let sets = self.sets.iter();
        sets.filter(|(_, set)| set.rest != Rest::Vacant)
            .map(|(number, _)| number)
            .collect()
    }

    /// Checks what must hold between any two calls.
    pub(super) fn assert_consistent(&self) {
        let sets = || self.sets.iter();
        let vacant = sets().filter(|(_, set)| set.rest == Rest::Vacant);
        assert!(
            vacant.map(|(number, _)| number).eq(self.sets.free()),
            "free are the vacant sets, each once"
        );
        let used = sets().filter(|(_, set)| set.rest == Rest::Several);
        let mut rests: Vec<_> = used.map(|(_, set)| set.third.0).collect();
        rests.extend(self.rests.free());
        rests.sort_unstable();
        assert!(
            rests
                .into_iter()
                .eq(self.rests.iter().map(|(number, _)| number))
        );
        let is_crowded = |set: &Set| set.rest != Rest::Vacant && set.clients & MANY != 0;
        let crowded = sets().filter(|(_, set)| is_crowded(set));
        let mut crowds: Vec<_> = crowded.map(|(_, set)| set.clients & !MANY).collect();
        for &crowd in &crowds {
            assert!(
                self.crowds[crowd].len() > 1,
                "a single client needs no list"
            );
        }
        crowds.extend(self.crowds.free());
        crowds.sort_unstable();
        assert!(
            crowds
                .into_iter()
                .eq(self.crowds.iter().map(|(number, _)| number))
        );
    }
}
