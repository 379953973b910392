//! Owns hash tables that never pause to rehash everything; knows nothing of what is in them.

use alloc::vec::Vec;

use hashbrown::HashTable;

/// A hash table in shards, of entries whose keys are kept elsewhere.
///
/// Growing rehashes entries, and reads their keys from all over the memory: for one shard that is short, for the whole
/// table it would hold up everybody. 64 shards, so that all heads fit in L1. Tables that matching does not read may
/// have more.
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

    /// Adds an item that is not in the table yet.
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

/// Frees the memory of a table that has become far smaller than it was. In WebAssembly only an empty table is freed;
/// shrinking costs a kilobyte of code per table type.
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
