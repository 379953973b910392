//! Owns the sets of a split home by the first tags of their keys; knows nothing of homes.
//!
//! Most first tags have one set, which stands in the table itself. Several stand in a list, so that adding and removing
//! take the same time however many there are.

use alloc::vec::Vec;

use hashbrown::HashTable;

use super::bits::is_set;
use super::home::{Carried, Key, List, Place, Posting};
use super::{SetId, give_back, hash_number};
use crate::tags::TagId;

/// How many sets are walked in the time that looking up one tag takes.
const WALKED_FOR_A_LOOK_UP: usize = 6;

/// Stands for the number of a set where there is a list of several: sets have smaller numbers.
const SEVERAL: SetId = SetId::MAX;

/// Sets by the first tags of their keys.
#[derive(Debug, Default)]
pub(super) struct Table {
    groups: HashTable<Group>,
    lists: Vec<List>,
    /// The numbers of lists that are not in use.
    free: Vec<u32>,
    count: usize,
}

/// The sets with one first tag.
#[derive(Debug)]
struct Group {
    /// The key of the only set; of several, its first tag alone counts.
    key: Key,
    /// The only set; or [`SEVERAL`], and in the place of the answer the number of their list.
    posting: Posting,
}

impl Group {
    fn hash(&self) -> u64 {
        hash_number(self.key.first.0)
    }

    /// The list of several sets, by its number.
    fn list(&self) -> Option<usize> {
        (self.posting.set == SEVERAL).then_some(self.posting.answer as usize)
    }
}

impl Table {
    /// How many sets there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// All sets, in no order.
    pub(super) fn sets(&self) -> Vec<SetId> {
        let mut sets = Vec::with_capacity(self.count);
        for group in &self.groups {
            match group.list() {
                Some(list) => {
                    let postings = self.lists[list].postings.iter();
                    sets.extend(postings.map(|posting| posting.set));
                }
                None => sets.push(group.posting.set),
            }
        }
        sets
    }

    #[inline]
    fn group(&self, first: TagId) -> Option<&Group> {
        let is_wanted = |group: &Group| group.key.first == first;
        self.groups.find(hash_number(first.0), is_wanted)
    }

    pub(super) fn add(&mut self, key: Key, posting: Posting) -> Place {
        self.count += 1;
        let hash = hash_number(key.first.0);
        let is_wanted = |group: &Group| group.key.first == key.first;
        let Some(group) = self.groups.find_mut(hash, is_wanted) else {
            let group = Group { key, posting };
            self.groups.insert_unique(hash, group, Group::hash);
            return Place::default();
        };
        let list = group.list().unwrap_or_else(|| {
            let number = self.free.pop().unwrap_or_else(|| {
                self.lists.push(List::default());
                self.lists.len() as u32 - 1
            });
            self.lists[number as usize].add(group.key, group.posting);
            group.posting = Posting {
                answer: number,
                set: SEVERAL,
            };
            number as usize
        });
        self.lists[list].add(key, posting)
    }

    /// Removes a set of these tags; returns which one has its place now, if another one moved there.
    pub(super) fn remove(&mut self, tags: &[TagId], place: Place, set: SetId) -> Option<SetId> {
        let first = self.first(tags, place, set)?;
        let is_wanted = |group: &Group| group.key.first == first;
        let found = self.groups.find_entry(hash_number(first.0), is_wanted);
        let mut entry = found.ok()?;
        self.count -= 1;
        let Some(number) = entry.get().list() else {
            entry.remove();
            let capacity = self.groups.capacity();
            if capacity > 64 && self.groups.len() < capacity / 4 {
                self.groups.shrink_to(capacity / 2, Group::hash);
            }
            return None;
        };
        let list = &mut self.lists[number];
        let moved = list.remove(place);
        if let ([key], [posting]) = (&list.keys[..], &list.postings[..]) {
            *entry.get_mut() = Group {
                key: *key,
                posting: *posting,
            };
            *list = List::default();
            self.free.push(number as u32);
            if self.free.len() == self.lists.len() {
                (self.lists, self.free) = (Vec::new(), Vec::new());
            }
            give_back(&mut self.free);
        }
        moved
    }

    /// What is said of a set of these tags.
    pub(super) fn posting_mut(
        &mut self,
        tags: &[TagId],
        place: Place,
        set: SetId,
    ) -> Option<&mut Posting> {
        let first = self.first(tags, place, set)?;
        let is_wanted = |group: &Group| group.key.first == first;
        let group = self.groups.find_mut(hash_number(first.0), is_wanted)?;
        match group.list() {
            Some(list) => self.lists[list].postings.get_mut(place.at()),
            None => Some(&mut group.posting),
        }
    }

    /// Finds which of its tags a set stands under: it is not stored, since it is rarely asked for.
    fn first(&self, tags: &[TagId], place: Place, set: SetId) -> Option<TagId> {
        let is_here = |tag: TagId| {
            let group = self.group(tag)?;
            let posting = match group.list() {
                Some(list) => self.lists[list].postings.get(place.at())?,
                None => &group.posting,
            };
            Some(posting.set == set)
        };
        let mut tags = tags.iter().copied();
        tags.find(|&tag| is_here(tag) == Some(true))
    }

    /// Appends the answers of the sets that match; returns how many sets and tags were looked at.
    #[inline]
    pub(super) fn walk<'a>(
        &self,
        carried: &Carried<'_>,
        members: impl Fn(SetId) -> &'a [TagId],
        answers: &mut Vec<u32>,
    ) -> usize {
        let mut walked = carried.tags.len();
        let mut walk = |group: &Group| {
            walked += 1;
            if let Some(list) = group.list() {
                walked += self.lists[list].walk(carried, &members, answers);
            } else if carried.matches(group.key, group.posting.set, &members) {
                answers.push(group.posting.answer);
            }
        };
        if self.groups.len() <= carried.tags.len() * WALKED_FOR_A_LOOK_UP {
            let is_carried = |group: &&Group| is_set(carried.bits, group.key.first.0);
            self.groups.iter().filter(is_carried).for_each(walk);
            return walked + self.groups.len();
        }
        let groups = carried.tags.iter().filter_map(|&tag| self.group(tag));
        groups.for_each(&mut walk);
        walked
    }
}

#[cfg(test)]
impl Table {
    /// Checks what must hold between any two calls.
    pub(super) fn assert_consistent(&self) {
        assert!(self.count > 0, "nothing empty is kept");
        assert_eq!(self.sets().len(), self.count);
        let lists = self.groups.iter().filter_map(Group::list);
        let mut numbers: Vec<_> = lists
            .inspect(|&list| assert!(self.lists[list].keys.len() > 1))
            .collect();
        numbers.extend(self.free.iter().map(|&number| number as usize));
        numbers.sort_unstable();
        assert!(
            numbers.into_iter().eq(0..self.lists.len()),
            "a list is of one group, or free"
        );
    }

    /// What stands here about a set.
    pub(super) fn find(&self, set: SetId, place: Place) -> Option<(Key, Posting)> {
        self.groups.iter().find_map(|group| {
            let (key, posting) = match group.list() {
                Some(list) => {
                    let list = &self.lists[list];
                    (list.keys.get(place.at())?, list.postings.get(place.at())?)
                }
                None => (&group.key, &group.posting),
            };
            (posting.set == set).then_some((*key, *posting))
        })
    }
}
