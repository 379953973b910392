//! Owns the Bloom filter that rules out most pairs of tags before the table is read; knows nothing of tags.

use alloc::vec::Vec;
use core::mem::take;
use core::ops::Range;

/// Bits for each hash, at least. False positives: 1 in 18 when full, 1 in 70 just after a rebuild, with twice as many
/// bits.
const BITS: usize = 8;
/// Entries rehashed per added hash during a rebuild, at least.
const PART: usize = 32;

/// A Bloom filter in which both bits of a hash are in one word, so that one read is enough.
///
/// A full filter is rebuilt from the entries whose hashes were added, a few of them with each new hash: all at once would
/// hold up everybody.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    words: Vec<u64>,
    /// How many hashes were added since the last rebuild, including those whose entries are gone.
    added: usize,
    /// Replaces `words` once the hashes of all entries are in it. Empty unless a rebuild is under way.
    next: Vec<u64>,
    /// How many entries the rebuild has rehashed.
    rehashed: usize,
}

/// The index of a hash's word, and the hash's bits in it.
#[inline(always)]
fn slot(words: &[u64], hash: u64) -> (usize, u64) {
    let at = (hash >> 8) as u32 as usize & words.len().wrapping_sub(1);
    (at, 1 << (hash >> 40 & 63) | 1 << (hash >> 46 & 63))
}

fn mark(words: &mut [u64], hash: u64) {
    let (at, bits) = slot(words, hash);
    if let Some(word) = words.get_mut(at) {
        *word |= bits;
    }
}

/// Empty words with room for twice `count` hashes.
fn words_for(count: usize) -> Vec<u64> {
    let words = (2 * BITS * count).div_ceil(64).next_power_of_two().max(8);
    alloc::vec![0; words]
}

impl Sieve {
    #[inline(always)]
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        let (at, bits) = slot(&self.words, hash);
        self.words.get(at).is_some_and(|word| word & bits == bits)
    }

    fn capacity(&self) -> usize {
        self.words.len() * 64 / BITS
    }

    /// Adds a hash. There are now `count` of them, each the hash of one or more of the numbered `entries`.
    ///
    /// Returns the entries to rehash: the caller passes the hash of each to [`add_again`](Self::add_again).
    #[must_use]
    pub(super) fn add(&mut self, hash: u64, count: usize, entries: usize) -> Range<usize> {
        // Where most entries share a hash or have none, rebuilds must still be rare in proportion to all entries.
        let room = count.max(entries / PART);
        if self.words.is_empty() {
            self.words = words_for(room);
        } else if self.next.is_empty() && self.added >= self.capacity() {
            self.next = words_for(room);
            self.rehashed = 0;
        }
        mark(&mut self.words, hash);
        self.added += 1;
        if self.next.is_empty() {
            return 0..0;
        }
        mark(&mut self.next, hash);
        // The rebuild must end before the filter is far too full.
        let part = PART.max(entries / self.capacity());
        let from = self.rehashed;
        self.rehashed = entries.min(from + part);
        from..self.rehashed
    }

    /// Adds the hash of an entry to the rebuild.
    pub(super) fn add_again(&mut self, hash: u64) {
        mark(&mut self.next, hash);
    }

    /// Ends the rebuild if all `entries`, which have `count` hashes, were rehashed.
    pub(super) fn finish(&mut self, count: usize, entries: usize) {
        if !self.next.is_empty() && self.rehashed >= entries {
            self.words = take(&mut self.next);
            self.added = count;
        }
    }
}

#[cfg(test)]
impl Sieve {
    pub(super) fn added(&self) -> usize {
        self.added
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash for each number.
    fn hash(number: usize) -> u64 {
        let mixed = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }

    /// Every `share` entries have one hash, and `before` entries without one come first.
    fn fill(share: usize, before: usize, count: usize) {
        let mut sieve = Sieve::default();
        let mut rehashed = 0;
        for number in 0..count {
            let entries = before + (number + 1) * share;
            let again = sieve.add(hash(number), number + 1, entries);
            assert!(again.len() <= PART.max(entries / 64));
            rehashed += again.len();
            for entry in again.filter(|&entry| entry >= before) {
                sieve.add_again(hash((entry - before) / share));
            }
            sieve.finish(number + 1, entries);
            assert!(sieve.added <= 2 * sieve.capacity());
            if number % 97 == 0 {
                assert!((0..=number).all(|number| sieve.may_hold(hash(number))));
            }
        }
        let strangers = (count..2 * count).filter(|&number| sieve.may_hold(hash(number)));
        assert!(strangers.count() <= count / 6, "it sifts");
        // However the entries and their hashes are spread.
        assert!(
            rehashed <= (2 * PART + 4 * share) * count + 2 * before,
            "{rehashed} rehashed"
        );
    }

    #[test]
    fn what_was_added_is_held_and_seldom_looked_at_again() {
        for count in [1, 100, 20_000] {
            fill(1, 0, count);
            fill(16, 0, count);
            fill(1, 100_000, count);
        }
    }
}
