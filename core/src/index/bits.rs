//! Owns bitmaps, indexed by small numbers.

use alloc::vec::Vec;

#[inline(always)]
pub(super) fn is_set(bits: &[u64], number: u32) -> bool {
    bits[number as usize / 64] >> (number % 64) & 1 == 1
}

#[inline(always)]
pub(super) fn set(bits: &mut [u64], number: u32) {
    bits[number as usize / 64] |= 1 << (number % 64);
}

#[inline(always)]
pub(super) fn clear(bits: &mut [u64], number: u32) {
    bits[number as usize / 64] &= !(1 << (number % 64));
}

/// Makes room for the numbers below `bound`.
#[inline(always)]
pub(super) fn fit(bits: &mut Vec<u64>, bound: usize) {
    let words = bound.div_ceil(64);
    if bits.len() < words {
        bits.resize(words.next_power_of_two(), 0);
    }
}
