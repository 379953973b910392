//! Owns the quick answer that a pair of tags is under no set; knows nothing of tags.

use alloc::vec::Vec;

/// Bits for each hash, at least. With so many, one hash in eighteen that is not in it passes, and with twice as many,
/// which is what growing begins with, one in seventy.
const BITS: usize = 8;

/// A set of hashes that may hold a few that were never added: a Bloom filter in which both bits of a hash stand in one
/// word, so that one look tells.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    words: Vec<u64>,
    /// How many hashes were added since it was built, also those that have gone since.
    added: usize,
}

impl Sieve {
    /// The word and its bits; of the hash those bits that no table uses.
    #[inline(always)]
    fn place(&self, hash: u64) -> (usize, u64) {
        let at = (hash >> 8) as u32 as usize & self.words.len().wrapping_sub(1);
        (at, 1 << (hash >> 40 & 63) | 1 << (hash >> 46 & 63))
    }

    #[inline(always)]
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        let (at, bits) = self.place(hash);
        self.words.get(at).is_some_and(|word| word & bits == bits)
    }

    /// Whether it has to be built anew before another hash is added.
    pub(super) fn is_full(&self) -> bool {
        self.added * BITS >= self.words.len() * 64
    }

    pub(super) fn add(&mut self, hash: u64) {
        let (at, bits) = self.place(hash);
        self.words[at] |= bits;
        self.added += 1;
    }

    /// Empties it and makes room for `count` hashes and as many again.
    pub(super) fn reset(&mut self, count: usize) {
        let words = (2 * BITS * count).div_ceil(64).next_power_of_two().max(8);
        self.words.clear();
        self.words.resize(words, 0);
        self.words.shrink_to_fit();
        self.added = 0;
    }
}

#[cfg(test)]
impl Sieve {
    pub(super) fn added(&self) -> usize {
        self.added
    }
}
