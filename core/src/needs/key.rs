//! The keys of needs, which are the same on every machine and in every version.

/// The hash of a tag, the same on every machine and in every version: 8 bytes at a time, the last of them filled up with
/// zeros, each mixed in by a product of 128 bits whose halves are laid over one another; in the end the length.
#[inline]
pub(crate) fn hash_of_tag(tag: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9FB2_1C65_1E98_DF25;
    let fold = |hash: u64, word: u64| mix(hash ^ word, FACTOR);
    let mut hash = 0x2D35_8DCC_AA6C_78A5;
    let (words, rest) = tag.as_chunks::<8>();
    for word in words {
        hash = fold(hash, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    hash = fold(hash, u64::from_le_bytes(last));
    fold(hash, tag.len() as u64)
}

#[inline]
pub(super) fn mix(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

/// The key of a need of one tag.
#[inline]
pub(crate) fn key_of_one(tag: u64) -> u64 {
    tag
}

/// The key of a need of two tags, in any order.
#[inline]
pub(crate) fn key_of_two(one: u64, other: u64) -> u64 {
    one.wrapping_add(other)
}
