//! Owns hash tables that never pause to rehash everything; knows nothing of what is in them.

use alloc::vec::Vec;
use core::mem::take;

use hashbrown::HashTable;

/// Shards that there are at least; their heads fit in L1.
const SHARDS: usize = 64;
/// Entries of a shard, on average, from which on one more shard is made. Twice as many fill a table of 4,096 places
/// nearly, and to hash them takes some tenths of a millisecond.
const MOST: usize = 1664;

/// A hash table in shards, of entries whose keys are kept elsewhere.
///
/// Growing rehashes entries, and reads their keys from all over the memory: for one shard that is short, for the whole
/// table it would hold up everybody. Shards are split one after the other as the table grows, and joined again as it
/// shrinks (linear hashing). In WebAssembly their number stays, since the code would have to be downloaded.
#[derive(Debug)]
pub(super) struct Shards<T> {
    shards: Vec<HashTable<T>>,
    /// The bits of a hash that choose a shard once the one that they are for is split.
    mask: usize,
    len: usize,
}

impl<T> Shards<T> {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
            mask: mask(SHARDS),
            len: 0,
        }
    }

    #[inline(always)]
    fn shard(&self, hash: u64) -> usize {
        // The table itself uses the lowest and the highest bits.
        let at = (hash >> 40) as usize & self.mask;
        match at < self.shards.len() {
            true => at,
            false => at & self.mask >> 1,
        }
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        self.shards[self.shard(hash)].find(hash, is_it)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn find_mut(&mut self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<&mut T> {
        let shard = self.shard(hash);
        self.shards[shard].find_mut(hash, is_it)
    }

    /// Adds an item that is not in the table yet.
    pub(super) fn insert(&mut self, hash: u64, item: T, rehash: impl Fn(&T) -> u64) {
        let shard = self.shard(hash);
        self.shards[shard].insert_unique(hash, item, &rehash);
        self.len += 1;
        if cfg!(not(target_family = "wasm")) && self.len > MOST * self.shards.len() {
            self.split(rehash);
        }
    }

    pub(super) fn remove(
        &mut self,
        hash: u64,
        is_it: impl Fn(&T) -> bool,
        rehash: impl Fn(&T) -> u64,
    ) {
        let shard = self.shard(hash);
        let shard = &mut self.shards[shard];
        if let Ok(entry) = shard.find_entry(hash, is_it) {
            entry.remove();
            self.len -= 1;
        }
        give_back(shard, &rehash);
        if cfg!(not(target_family = "wasm"))
            && self.shards.len() > SHARDS
            && self.len < MOST / 4 * self.shards.len()
        {
            self.join(rehash);
        }
    }

    /// Makes one more shard, of entries of the one whose turn it is.
    #[cold]
    fn split(&mut self, rehash: impl Fn(&T) -> u64) {
        let added = self.shards.len();
        let from = added & self.mask >> 1;
        let both = take(&mut self.shards[from]);
        let room = both.len() / 2 + both.len() / 16;
        self.shards[from] = HashTable::with_capacity(room);
        self.shards.push(HashTable::with_capacity(room));
        self.mask = mask(self.shards.len());
        self.put(both, rehash);
    }

    /// Puts the entries of the last shard where they were before it was made.
    #[cold]
    fn join(&mut self, rehash: impl Fn(&T) -> u64) {
        let last = self.shards.pop().unwrap_or_default();
        self.mask = mask(self.shards.len());
        self.put(last, rehash);
    }

    fn put(&mut self, entries: HashTable<T>, rehash: impl Fn(&T) -> u64) {
        for entry in entries {
            let hash = rehash(&entry);
            let shard = self.shard(hash);
            self.shards[shard].insert_unique(hash, entry, &rehash);
        }
    }
}

/// The bits of a hash that choose one of so many shards, or one that is still to be made.
fn mask(shards: usize) -> usize {
    (shards + 1).next_power_of_two() - 1
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

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(key: u32) -> u64 {
        (u64::from(key) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    #[test]
    fn entries_are_found_while_shards_are_split_and_joined() {
        let mut shards = Shards::new();
        let mut most = 0;
        let count = 5 * (MOST * SHARDS) as u32 / 2;
        let rehash = |&key: &u32| hash(key);
        let check = |shards: &Shards<u32>, from: u32, to: u32| {
            for key in (0..count).step_by(97) {
                let found = shards.find(hash(key), |&other| other == key);
                assert_eq!(found.is_some(), (from..to).contains(&key), "{key}");
            }
            assert_eq!(shards.len(), (to - from) as usize);
        };
        for key in 0..count {
            shards.insert(hash(key), key, rehash);
            most = most.max(shards.shards.iter().map(HashTable::len).max().unwrap_or(0));
            if key % 20_000 == 0 {
                check(&shards, 0, key + 1);
            }
        }
        assert!(shards.shards.len() > 2 * SHARDS);
        assert!(most < 5 * MOST / 2, "{most} in one shard");
        for key in 0..count {
            shards.remove(hash(key), |&other| other == key, rehash);
            if key % 20_000 == 0 {
                check(&shards, key + 1, count);
            }
        }
        assert_eq!((shards.shards.len(), shards.len()), (SHARDS, 0));
        assert!(shards.shards.iter().all(|shard| shard.capacity() == 0));
    }
}
