//! Owns the numbers that stand for tags; knows nothing of sets or sessions.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// The number of a tag that at least one subscription holds. Reused once no subscription does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TagId(pub(crate) u32);

/// Tables are split this many ways, so that growing one never stalls: each is small.
const SHARDS: usize = 256;

/// A hash table of numbers in many small parts; the keys stand elsewhere.
#[derive(Debug)]
pub(crate) struct Numbers {
    shards: Vec<HashTable<u32>>,
}

impl Numbers {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
        }
    }

    fn shard(hash: u64) -> usize {
        // The table itself uses the lowest and the highest bits.
        (hash >> 40) as usize % SHARDS
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, is_key: impl Fn(u32) -> bool) -> Option<u32> {
        self.shards[Self::shard(hash)]
            .find(hash, |&number| is_key(number))
            .copied()
    }

    pub(crate) fn insert(&mut self, hash: u64, number: u32, rehash: impl Fn(u32) -> u64) {
        self.shards[Self::shard(hash)].insert_unique(hash, number, |&number| rehash(number));
    }

    pub(crate) fn remove(&mut self, hash: u64, number: u32) {
        let shard = &mut self.shards[Self::shard(hash)];
        if let Ok(entry) = shard.find_entry(hash, |&other| other == number) {
            entry.remove();
        }
        // A table that was once large gives its memory back.
        if shard.is_empty() {
            *shard = HashTable::new();
        }
    }
}

#[derive(Debug)]
struct Entry {
    name: Box<str>,
    /// How many sets hold the tag.
    uses: u32,
}

/// Maps tags to numbers and back. The hash is seeded, since clients choose the tags.
#[derive(Debug)]
pub(crate) struct Interner {
    hasher: FixedState,
    numbers: Numbers,
    entries: Vec<Entry>,
    free: Vec<TagId>,
}

impl Interner {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            numbers: Numbers::new(),
            entries: Vec::new(),
            free: Vec::new(),
        }
    }

    /// One more than the highest number ever given out.
    pub(crate) fn bound(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn name(&self, tag: TagId) -> &str {
        &self.entries[tag.0 as usize].name
    }

    pub(crate) fn uses(&self, tag: TagId) -> u32 {
        self.entries[tag.0 as usize].uses
    }

    /// The names of all tags in use, in no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .filter(|entry| entry.uses > 0)
            .map(|entry| &*entry.name)
    }

    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<TagId> {
        self.numbers
            .find(self.hash(name), |number| {
                self.entries[number as usize].name.as_bytes() == name
            })
            .map(TagId)
    }

    /// Returns the tag's number and notes one more set that holds it.
    pub(crate) fn acquire(&mut self, name: &str) -> TagId {
        if let Some(tag) = self.find(name.as_bytes()) {
            self.entries[tag.0 as usize].uses += 1;
            return tag;
        }
        let entry = Entry {
            name: name.into(),
            uses: 1,
        };
        let tag = match self.free.pop() {
            Some(tag) => {
                self.entries[tag.0 as usize] = entry;
                tag
            }
            None => {
                self.entries.push(entry);
                TagId(self.entries.len() as u32 - 1)
            }
        };
        let hash = self.hash(name.as_bytes());
        let (hasher, entries) = (&self.hasher, &self.entries);
        self.numbers.insert(hash, tag.0, |number| {
            hash_bytes(hasher, entries[number as usize].name.as_bytes())
        });
        tag
    }

    /// Notes one set less that holds the tag; the last one frees its number.
    pub(crate) fn release(&mut self, tag: TagId) {
        let entry = &mut self.entries[tag.0 as usize];
        entry.uses -= 1;
        if entry.uses == 0 {
            let name = core::mem::take(&mut entry.name);
            self.numbers.remove(self.hash(name.as_bytes()), tag.0);
            self.free.push(tag);
        }
    }

    pub(crate) fn hash_ids(&self, tags: &[TagId]) -> u64 {
        self.hasher.hash_one(tags)
    }

    #[inline]
    fn hash(&self, name: &[u8]) -> u64 {
        hash_bytes(&self.hasher, name)
    }
}

#[inline]
fn hash_bytes(hasher: &FixedState, name: &[u8]) -> u64 {
    hasher.hash_one(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_reused_once_no_set_holds_its_tag() {
        let mut tags = Interner::new(1);
        let a = tags.acquire("a");
        let b = tags.acquire("b");
        assert_eq!(tags.acquire("a"), a);
        tags.release(a);
        assert_eq!(tags.find(b"a"), Some(a));
        tags.release(a);
        assert_eq!(tags.find(b"a"), None);
        assert_eq!(tags.acquire("c"), a);
        assert_eq!((tags.name(a), tags.name(b)), ("c", "b"));
        assert_eq!(tags.bound(), 2);
    }
}
