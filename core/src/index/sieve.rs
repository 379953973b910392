//! Owns the quick answer that a pair of tags is under no set; knows nothing of tags.

use alloc::vec::Vec;
use core::mem::take;
use core::ops::Range;

/// Bits for each hash, at least. With so many, one hash in eighteen that is not in it passes, and with twice as many,
/// which is what growing begins with, one in seventy.
const BITS: usize = 8;
/// Things that are looked at again for each hash that is added while the bits are built anew.
const PART: usize = 32;

/// A set of hashes that may hold a few that were never added: a Bloom filter in which both bits of a hash stand in one
/// word, so that one look tells.
///
/// Once it is full it is built anew, from the things whose hashes were added, a few of them with every hash that is added:
/// all at once would hold up everybody.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    words: Vec<u64>,
    /// How many hashes were added since it was built, also those that have gone since.
    added: usize,
    /// What takes the place of the words once the hashes of all things are in it. Empty while nothing is built.
    next: Vec<u64>,
    /// How many things were looked at for that.
    looked_at: usize,
}

/// The word and its bits.
#[inline(always)]
fn place(words: &[u64], hash: u64) -> (usize, u64) {
    let at = (hash >> 8) as u32 as usize & words.len().wrapping_sub(1);
    (at, 1 << (hash >> 40 & 63) | 1 << (hash >> 46 & 63))
}

fn mark(words: &mut [u64], hash: u64) {
    let (at, bits) = place(words, hash);
    if let Some(word) = words.get_mut(at) {
        *word |= bits;
    }
}

/// Empty words, for so many hashes and as many again.
fn words_for(count: usize) -> Vec<u64> {
    let words = (2 * BITS * count).div_ceil(64).next_power_of_two().max(8);
    alloc::vec![0; words]
}

impl Sieve {
    #[inline(always)]
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        let (at, bits) = place(&self.words, hash);
        self.words.get(at).is_some_and(|word| word & bits == bits)
    }

    fn capacity(&self) -> usize {
        self.words.len() * 64 / BITS
    }

    /// Adds a hash, of which there are `count` now; they are those of some of `things`, which are numbered.
    ///
    /// Returns the things that are to be looked at: the hash of each is to be [given](Self::add_again) once more.
    #[must_use]
    pub(super) fn add(&mut self, hash: u64, count: usize, things: usize) -> Range<usize> {
        // Where most things have no hash of their own, looking at all of them must come as rarely.
        let room = count.max(things / PART);
        if self.words.is_empty() {
            self.words = words_for(room);
        } else if self.next.is_empty() && self.added >= self.capacity() {
            self.next = words_for(room);
            self.looked_at = 0;
        }
        mark(&mut self.words, hash);
        self.added += 1;
        if self.next.is_empty() {
            return 0..0;
        }
        mark(&mut self.next, hash);
        // It must be done before there are far too many.
        let part = PART.max(things / self.capacity());
        let from = self.looked_at;
        self.looked_at = things.min(from + part);
        from..self.looked_at
    }

    /// Adds the hash of a thing that was to be looked at.
    pub(super) fn add_again(&mut self, hash: u64) {
        mark(&mut self.next, hash);
    }

    /// Ends the building, if all of these things were looked at, which have `count` hashes.
    pub(super) fn finish(&mut self, count: usize, things: usize) {
        if !self.next.is_empty() && self.looked_at >= things {
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

    /// Every so many things share a hash, and there are these before the first.
    fn fill(share: usize, before: usize, count: usize) {
        let mut sieve = Sieve::default();
        let mut looked_at = 0;
        for number in 0..count {
            let things = before + (number + 1) * share;
            let again = sieve.add(hash(number), number + 1, things);
            assert!(again.len() <= PART.max(things / 64));
            looked_at += again.len();
            for thing in again.filter(|&thing| thing >= before) {
                sieve.add_again(hash((thing - before) / share));
            }
            sieve.finish(number + 1, things);
            assert!(sieve.added <= 2 * sieve.capacity());
            if number % 97 == 0 {
                assert!((0..=number).all(|number| sieve.may_hold(hash(number))));
            }
        }
        let strangers = (count..2 * count).filter(|&number| sieve.may_hold(hash(number)));
        assert!(strangers.count() <= count / 6, "it sifts");
        // However the things and their hashes are spread.
        assert!(
            looked_at <= (2 * PART + 4 * share) * count + 2 * before,
            "{looked_at} looks"
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
