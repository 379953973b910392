//! Owns the sets of a split home by their second tags; knows nothing of what else is in a set than its key says.
//!
//! Most second tags have one set, which stands in the table itself. Several stand in a list by columns, so that adding and
//! removing take the same time however many there are.

use alloc::vec::Vec;

use hashbrown::HashTable;

use super::bits::is_set;
use super::home::{Carried, List, Place, Posting};
use super::{SetId, give_back, hash_number};
use crate::tags::TagId;

/// How many sets are walked in the time that looking up one tag takes.
const WALKED_FOR_A_LOOK_UP: usize = 6;

/// Stands for the number of a set where there is a list of several: sets have smaller numbers.
const SEVERAL: SetId = SetId::MAX;

/// Sets by their second tags, each with a key.
#[derive(Debug)]
pub(super) struct Table<K> {
    groups: HashTable<Group<K>>,
    lists: Vec<List<K>>,
    /// The numbers of lists that are not in use.
    free: Vec<u32>,
    count: u32,
}

/// The sets with one second tag.
#[derive(Debug)]
struct Group<K> {
    second: TagId,
    /// The key of the only set.
    key: K,
    /// The only set; or [`SEVERAL`], and in the place of the answer the number of their list.
    posting: Posting,
}

impl<K> Group<K> {
    fn hash(&self) -> u64 {
        hash_number(self.second.0)
    }

    /// The list of several sets, by its number.
    fn list(&self) -> Option<usize> {
        (self.posting.set == SEVERAL).then_some(self.posting.answer as usize)
    }
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self {
            groups: HashTable::new(),
            lists: Vec::new(),
            free: Vec::new(),
            count: 0,
        }
    }
}

impl<K: Copy> Table<K> {
    /// How many sets there are.
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    /// The second tag, key and posting of each set, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (TagId, K, &Posting)> {
        self.groups.iter().flat_map(|group| {
            let several = group.list().map(|list| &self.lists[list]);
            let only = several.is_none().then_some((group.key, &group.posting));
            let several = several.into_iter().flat_map(|list| {
                let keys = list.keys.iter().copied();
                keys.zip(&list.postings)
            });
            let entries = only.into_iter().chain(several);
            entries.map(|(key, posting)| (group.second, key, posting))
        })
    }

    pub(super) fn add(&mut self, second: TagId, key: K, posting: Posting) -> Place {
        self.count += 1;
        let hash = hash_number(second.0);
        let Some(group) = self.groups.find_mut(hash, |group| group.second == second) else {
            let group = Group {
                second,
                key,
                posting,
            };
            self.groups.insert_unique(hash, group, Group::hash);
            return Place::default();
        };
        let list = group.list().unwrap_or_else(|| {
            let number = self.free.pop().unwrap_or_else(|| {
                self.lists.push(List::default());
                self.lists.len() as u32 - 1
            });
            self.lists[number as usize].push(group.key, group.posting);
            group.posting = Posting {
                answer: number,
                set: SEVERAL,
            };
            number as usize
        });
        self.lists[list].push(key, posting)
    }

    /// Removes a set of these tags; returns which one has its place now, if another one moved there.
    pub(super) fn remove(&mut self, tags: &[TagId], place: Place, set: SetId) -> Option<SetId> {
        let second = self.second(tags, place, set)?;
        let hash = hash_number(second.0);
        let found = self.groups.find_entry(hash, |group| group.second == second);
        let mut entry = found.ok()?;
        self.count -= 1;
        let Some(number) = entry.get().list() else {
            entry.remove();
            if self.groups.capacity() > 64 && self.groups.len() < self.groups.capacity() / 4 {
                self.groups
                    .shrink_to(self.groups.capacity() / 2, Group::hash);
            }
            return None;
        };
        let list = &mut self.lists[number];
        let moved = list.remove(place);
        if let ([key], [posting]) = (&list.keys[..], &list.postings[..]) {
            let group = entry.get_mut();
            (group.key, group.posting) = (*key, *posting);
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
        let second = self.second(tags, place, set)?;
        let hash = hash_number(second.0);
        let group = self.groups.find_mut(hash, |group| group.second == second)?;
        match group.list() {
            Some(list) => self.lists[list].postings.get_mut(place.at()),
            None => Some(&mut group.posting),
        }
    }

    /// Finds which of its tags a set stands under: it is not stored, since it is rarely asked for.
    fn second(&self, tags: &[TagId], place: Place, set: SetId) -> Option<TagId> {
        let is_here = |second: TagId| {
            let hash = hash_number(second.0);
            let group = self.groups.find(hash, |group| group.second == second);
            let posting = group.and_then(|group| match group.list() {
                Some(list) => self.lists[list].postings.get(place.at()),
                None => Some(&group.posting),
            });
            posting.is_some_and(|posting| posting.set == set)
        };
        tags.iter().copied().find(|&tag| is_here(tag))
    }

    /// Appends the answers of the sets whose second tag is carried and whose key matches; returns how many sets and
    /// tags were looked at.
    #[inline]
    pub(super) fn walk(
        &self,
        home: TagId,
        carried: &Carried<'_>,
        is_match: impl Fn(K, &Posting) -> bool,
        answers: &mut Vec<u32>,
    ) -> usize {
        let mut walked = 0;
        let mut take = |group: &Group<K>| {
            walked += 1;
            let Some(list) = group.list() else {
                if is_match(group.key, &group.posting) {
                    answers.push(group.posting.answer);
                }
                return;
            };
            let List { keys, postings } = &self.lists[list];
            walked += keys.len();
            for (&key, posting) in keys.iter().zip(postings) {
                if is_match(key, posting) {
                    answers.push(posting.answer);
                }
            }
        };
        let tags = carried.tags;
        if self.groups.len() <= tags.len() * WALKED_FOR_A_LOOK_UP {
            let is_carried = |group: &&Group<K>| is_set(carried.bits, group.second.0);
            self.groups.iter().filter(is_carried).for_each(take);
            return walked + self.groups.len();
        }
        for &second in tags.iter().filter(|&&tag| tag != home) {
            let hash = hash_number(second.0);
            if let Some(group) = self.groups.find(hash, |group| group.second == second) {
                take(group);
            }
        }
        walked + tags.len()
    }
}
