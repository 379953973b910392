//! Which other nodes need a message. One writes, many read at the same time.

use alloc::boxed::Box;
use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering};

use super::key::{hash_of_tag, key_of_one, key_of_two, mix};

/// How many nodes a directory can hold.
pub(crate) const MOST_PLACES: usize = 128;
/// How many rows a key is entered in.
const PROBES: u64 = 4;
/// A message with more tags goes to all: it has too many pairs to ask for.
const MOST_TAGS: usize = 64;

/// The needs of other nodes: a Bloom filter for each, of which the bits at the same place stand side by side, so that all of
/// them are asked at once.
///
/// It errs towards sending too much only: what a node needs is always found.
pub struct Directory {
    seed: u64,
    /// The number of rows is a power of two.
    mask: u64,
    /// Bytes of a row, which has a bit for each node.
    width: usize,
    rows: Box<[AtomicU8]>,
    /// Nodes of which it is not known what they need: they get everything.
    always: Box<[AtomicU8]>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("rows", &(self.mask + 1))
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}

fn zeros(count: usize) -> Box<[AtomicU8]> {
    (0..count).map(|_| AtomicU8::new(0)).collect()
}

impl Directory {
    /// Creates one for so many nodes, of which nobody needs anything, with two to the power of `bits` rows.
    #[must_use]
    pub(crate) fn new(seed: u64, bits: u32, places: usize) -> Self {
        let width = places.clamp(1, MOST_PLACES).div_ceil(8);
        Self {
            seed,
            mask: (1 << bits) - 1,
            width,
            rows: zeros(width << bits),
            always: zeros(width),
        }
    }

    /// Whether a filter of so many bits, made with a seed, can be entered.
    pub(crate) fn has_room(&self, seed: u64, bits: u32) -> bool {
        self.seed == seed && self.mask + 1 >= 1 << bits
    }

    /// The nodes that may need a message with these tags: a bit for each, by its place.
    #[inline]
    #[must_use]
    pub(crate) fn needing<'a>(&self, tags: impl Iterator<Item = &'a [u8]>) -> u128 {
        let mut hashes = [0; MOST_TAGS];
        let mut found = self.bits(&self.always);
        for (count, tag) in tags.enumerate() {
            if count == MOST_TAGS {
                return u128::MAX;
            }
            let hash = hash_of_tag(tag);
            found |= self.probe(key_of_one(hash));
            for &other in &hashes[..count] {
                found |= self.probe(key_of_two(hash, other));
            }
            hashes[count] = hash;
        }
        found
    }

    #[inline]
    fn bits(&self, row: &[AtomicU8]) -> u128 {
        if let [byte] = row {
            return byte.load(Ordering::Relaxed).into();
        }
        let bytes = row.iter().rev();
        bytes.fold(0, |bits, byte| {
            bits << 8 | u128::from(byte.load(Ordering::Relaxed))
        })
    }

    #[inline]
    fn probe(&self, key: u64) -> u128 {
        let mut found = u128::MAX;
        for row in rows_of(key, self.seed) {
            let at = (row & self.mask) as usize * self.width;
            found &= self.bits(&self.rows[at..at + self.width]);
            if found == 0 {
                break;
            }
        }
        found
    }

    /// Enters a need of the node at `place`.
    pub(crate) fn enter(&self, place: usize, key: u64) {
        for row in rows_of(key, self.seed) {
            self.set((row & self.mask) as usize, place);
        }
    }

    /// Enters all needs of the node at `place`, which come as a Bloom filter that may be smaller.
    pub(crate) fn enter_all(&self, place: usize, filter: &[u8]) {
        let bits = filter.len() * 8;
        for (byte, &eight) in filter.iter().enumerate() {
            let set = (0..8).filter(|bit| eight >> bit & 1 != 0);
            for bit in set {
                // A row's number in a larger filter has the same lower bits.
                let rows = (byte * 8 + bit..=self.mask as usize).step_by(bits);
                rows.into_iter().for_each(|row| self.set(row, place));
            }
        }
    }

    fn set(&self, row: usize, place: usize) {
        self.rows[row * self.width + place / 8].fetch_or(1 << (place % 8), Ordering::Relaxed);
    }

    /// From now on the node at `place` gets everything.
    pub(crate) fn set_always(&self, place: usize) {
        let bit = 1 << (place % 8);
        self.always[place / 8].fetch_or(bit, Ordering::Relaxed);
    }
}

/// The rows of a key, of which as many of the lower bits count as there are rows.
#[inline]
pub(crate) fn rows_of(key: u64, seed: u64) -> impl Iterator<Item = u64> {
    let mixed = mix(key ^ seed, 0xD6E8_FEB8_6659_FD93);
    let step = mixed >> 32 | 1;
    (0..PROBES).map(move |probe| mixed.wrapping_add(probe * step))
}
