//! Owns hash tables that never hold anybody up; knows nothing of what is in them.

use alloc::vec::Vec;

use hashbrown::HashTable;

/// A hash table in many parts, of things that stand for keys kept elsewhere.
///
/// What has to be hashed anew when a part grows is read from all over the memory, so all at once would hold up everybody.
/// Parts are no more, so that the heads of all of them stay in the first cache; but where matching does not look, they may
/// be.
#[derive(Debug)]
pub(super) struct Shards<T, const SHARDS: usize = 64> {
    shards: Vec<HashTable<T>>,
}

impl<T, const SHARDS: usize> Shards<T, SHARDS> {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
        }
    }

    #[inline(always)]
    fn shard(hash: u64) -> usize {
        // The table itself uses the lowest and the highest bits.
        (hash >> 40) as usize % SHARDS
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<&T> {
        self.shards[Self::shard(hash)].find(hash, is_it)
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(HashTable::len).sum()
    }

    pub(super) fn find_mut(&mut self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<&mut T> {
        self.shards[Self::shard(hash)].find_mut(hash, is_it)
    }

    /// Adds what is not there yet.
    pub(super) fn insert(&mut self, hash: u64, item: T, rehash: impl Fn(&T) -> u64) {
        self.shards[Self::shard(hash)].insert_unique(hash, item, rehash);
    }

    pub(super) fn remove(
        &mut self,
        hash: u64,
        is_it: impl Fn(&T) -> bool,
        rehash: impl Fn(&T) -> u64,
    ) {
        let shard = &mut self.shards[Self::shard(hash)];
        if let Ok(entry) = shard.find_entry(hash, is_it) {
            entry.remove();
        }
        give_back(shard, rehash);
    }
}

/// Returns the memory of a table that has become far smaller than it was. In a page only of one that is empty: there are
/// no bursts of others, and each kind of table that shrinks costs a kilobyte of code.
pub(super) fn give_back<T>(table: &mut HashTable<T>, rehash: impl Fn(&T) -> u64) {
    if table.is_empty() {
        *table = HashTable::new();
    } else if cfg!(not(target_family = "wasm"))
        && table.num_buckets() > 64
        && table.len() < table.num_buckets() / 8
    {
        table.shrink_to(2 * table.len(), rehash);
    }
}
