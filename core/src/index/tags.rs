//! Owns the numbers that stand for tags; knows nothing of sets or sessions.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::hash::Hasher;
use core::ops::Range;

use super::shards::Shards;
use crate::slots::Slots;
use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

/// The number of a tag that at least one subscription holds. Reused once no subscription does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TagId(pub(crate) u32);

/// Makes hashes unpredictable for clients, which choose what is hashed.
///
/// The seed goes into all factors: where only the sum is seeded and the factors are well known, a tag can be made to
/// bring one of them to nought, and the rest of the tag then leaves no trace in the hash.
#[derive(Debug)]
struct Seeds {
    sum: u64,
    factors: SharedSeed,
}

impl Seeds {
    fn new(seed: u64) -> Self {
        Self {
            // Neither may be a small number when the seed is one: a sum can meet its match in a set's length, and
            // mixing leaves nought and all ones as they are.
            sum: seed ^ 0x9E37_79B9_7F4A_7C15,
            factors: SharedSeed::from_u64(seed ^ 0x5DEE_CE66_D1CE_4E5B),
        }
    }

    /// The length goes in with the bytes.
    #[inline]
    fn hash_name(&self, name: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.sum, &self.factors);
        hasher.write(name);
        hasher.finish()
    }

    /// Twice, since hashes are put together by plain sums: after one round those of neighbours differ by much the same.
    #[inline]
    fn hash_id(&self, tag: TagId) -> u64 {
        let round = |seed| {
            let mut hasher = FoldHasher::with_seed(seed, &self.factors);
            hasher.write_u32(tag.0);
            hasher.finish()
        };
        round(round(self.sum))
    }
}

/// A tag's name. Most are short enough to stand in place, where looking one up finds it without going elsewhere.
#[derive(Debug)]
enum Name {
    Short { length: u8, bytes: [u8; 22] },
    Long(Box<str>),
}

impl Default for Name {
    fn default() -> Self {
        Self::Short {
            length: 0,
            bytes: [0; 22],
        }
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        let mut bytes = [0; 22];
        let Some(place) = bytes.get_mut(..name.len()) else {
            return Self::Long(name.into());
        };
        place.copy_from_slice(name.as_bytes());
        let length = name.len() as u8;
        Self::Short { length, bytes }
    }
}

impl Name {
    #[inline]
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => &bytes[..usize::from(*length)],
            Self::Long(name) => name.as_bytes(),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            // It was copied from a text.
            Self::Short { .. } => core::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Self::Long(name) => name,
        }
    }

    /// Bytes that it takes besides itself.
    fn heap_bytes(&self) -> usize {
        match self {
            Self::Short { .. } => 0,
            Self::Long(name) => name.len() + HEAP_OVERHEAD,
        }
    }
}

/// Compares two names, in place where they are short: to call for it takes longer than to do it.
#[inline(always)]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    fn ends<const N: usize>(name: &[u8]) -> Option<([u8; N], [u8; N])> {
        Some((*name.first_chunk()?, *name.last_chunk()?))
    }
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        0..4 => one.iter().eq(other),
        4..8 => ends::<4>(one) == ends::<4>(other),
        8..=16 => ends::<8>(one) == ends::<8>(other),
        _ => one == other,
    }
}

/// Bytes that an allocator spends on one allocation, roughly.
pub(crate) const HEAP_OVERHEAD: usize = 16;

/// Bytes that a tag takes besides its long name, roughly: its entry, and its place in the table.
const TAG_BYTES: usize = 48;

#[derive(Debug)]
struct Entry {
    name: Name,
    /// How many sets hold the tag.
    uses: u32,
    /// The set of this tag alone, or [`NO_SET`]. It stands here because it is needed right after the tag was found.
    alone: u32,
}

/// Sets have smaller numbers.
const NO_SET: u32 = u32::MAX;

impl Default for Entry {
    fn default() -> Self {
        Self {
            name: Name::default(),
            uses: 0,
            alone: NO_SET,
        }
    }
}

/// Maps tags to numbers and back. The hash is seeded, since clients choose the tags.
#[derive(Debug)]
pub(crate) struct Interner {
    seeds: Seeds,
    numbers: Shards<u32>,
    entries: Slots<Entry>,
    /// What all tags in use take, and what their names are long.
    bytes: usize,
    name_bytes: usize,
    /// The tags that came into use or went out of it, for a host that knows tags by number.
    changed: Option<VecDeque<TagId>>,
}

impl Interner {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seeds: Seeds::new(seed),
            numbers: Shards::new(),
            entries: Slots::default(),
            bytes: 0,
            name_bytes: 0,
            changed: None,
        }
    }

    /// Creates an interner that notes which tags come into use and go out of it.
    pub(crate) fn journalled(seed: u64) -> Self {
        Self {
            changed: Some(VecDeque::new()),
            ..Self::new(seed)
        }
    }

    /// Takes out a tag that came into use, with its name, or went out of it, oldest first. Only the state now is
    /// told: a number that was given to another tag meanwhile comes up with the new name.
    pub(crate) fn take_changed(&mut self) -> Option<(u32, Option<&str>)> {
        let tag = self.changed.as_mut()?.pop_front()?;
        let entry = self.entries.get(tag.0).filter(|entry| entry.uses > 0);
        Some((tag.0, entry.map(|entry| entry.name.as_str())))
    }

    fn note(&mut self, tag: TagId) {
        if let Some(changed) = &mut self.changed {
            changed.push_back(tag);
        }
    }

    /// One more than the highest number in use, or a little more than that.
    #[inline]
    pub(crate) fn bound(&self) -> usize {
        self.entries.bound()
    }

    /// Bytes that all tags in use take, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the names of all tags in use.
    pub(crate) fn name_bytes(&self) -> usize {
        self.name_bytes
    }

    /// How many tags are in use.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is, or was of late, a tag with this number.
    pub(crate) fn is_known(&self, tag: TagId) -> bool {
        self.entries.get(tag.0).is_some()
    }

    pub(crate) fn name(&self, tag: TagId) -> &str {
        self.entries[tag.0].name.as_str()
    }

    pub(crate) fn uses(&self, tag: TagId) -> u32 {
        self.entries[tag.0].uses
    }

    /// The number of the set of this tag alone, as it was set.
    #[inline(always)]
    pub(crate) fn alone(&self, tag: TagId) -> Option<u32> {
        let set = self.entries[tag.0].alone;
        (set != NO_SET).then_some(set)
    }

    /// Notes, or forgets, the set of this tag alone.
    pub(crate) fn set_alone(&mut self, tag: TagId, set: Option<u32>) {
        self.entries[tag.0].alone = set.unwrap_or(NO_SET);
    }

    /// The names of the tags in use with these numbers.
    pub(crate) fn names(&self, numbers: Range<usize>) -> impl Iterator<Item = &str> {
        let entries = self.entries.range(numbers).map(|(_, entry)| entry);
        entries
            .filter(|entry| entry.uses > 0)
            .map(|entry| entry.name.as_str())
    }

    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<TagId> {
        self.numbers
            .find(self.hash(name), |&number| {
                is_same(self.entries[number].name.as_bytes(), name)
            })
            .copied()
            .map(TagId)
    }

    /// The same, with the set of this tag alone: so that its entry is looked up once.
    #[inline]
    pub(crate) fn find_with_alone(&self, name: &[u8]) -> Option<(TagId, Option<u32>)> {
        let mut alone = NO_SET;
        let number = self.numbers.find(self.hash(name), |&number| {
            let entry = &self.entries[number];
            alone = entry.alone;
            is_same(entry.name.as_bytes(), name)
        })?;
        Some((TagId(*number), (alone != NO_SET).then_some(alone)))
    }

    /// Returns the tag's number and notes one more set that holds it.
    pub(crate) fn acquire(&mut self, name: &str) -> TagId {
        if let Some(tag) = self.find(name.as_bytes()) {
            self.entries[tag.0].uses += 1;
            return tag;
        }
        let entry = Entry {
            name: name.into(),
            uses: 1,
            alone: NO_SET,
        };
        self.bytes += TAG_BYTES + entry.name.heap_bytes();
        self.name_bytes += name.len();
        let tag = TagId(self.entries.add(entry));
        let hash = self.hash(name.as_bytes());
        let (seeds, entries) = (&self.seeds, &self.entries);
        self.numbers.insert(hash, tag.0, |&number| {
            seeds.hash_name(entries[number].name.as_bytes())
        });
        self.note(tag);
        tag
    }

    /// Notes one set less that holds the tag; the last one frees its number.
    pub(crate) fn release(&mut self, tag: TagId) {
        let entry = &mut self.entries[tag.0];
        entry.uses -= 1;
        if entry.uses > 0 {
            return;
        }
        let name = self.entries.take(tag.0).name;
        self.bytes -= TAG_BYTES + name.heap_bytes();
        self.name_bytes -= name.as_bytes().len();
        let (seeds, entries) = (&self.seeds, &self.entries);
        self.numbers.remove(
            seeds.hash_name(name.as_bytes()),
            |&other| other == tag.0,
            |&number| seeds.hash_name(entries[number].name.as_bytes()),
        );
        self.note(tag);
    }

    /// The hash of a tag's number.
    #[inline]
    pub(crate) fn hash_id(&self, tag: TagId) -> u64 {
        self.seeds.hash_id(tag)
    }

    /// The hash of a set of tags, in whatever order they are.
    ///
    /// Clients choose the tags but do not know their hashes, so they cannot choose sets with the same sum.
    pub(crate) fn hash_set(&self, tags: impl Iterator<Item = TagId>) -> u64 {
        let hashes = tags.map(|tag| self.hash_id(tag));
        hashes.fold(0, u64::wrapping_add)
    }

    #[inline]
    fn hash(&self, name: &[u8]) -> u64 {
        self.seeds.hash_name(name)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    impl Interner {
        /// Checks that exactly the tags with uses can be found, that each has as many as `uses` says, and that all
        /// other numbers are free once.
        pub(crate) fn assert_consistent(&self, uses: &[u32]) {
            let unused = self.entries.iter().filter(|(_, entry)| entry.uses == 0);
            let unused: Vec<_> = unused.map(|(number, _)| number).collect();
            assert_eq!(
                self.entries.free(),
                unused,
                "free are the unused numbers, each once"
            );
            let (mut bytes, mut name_bytes) = (0, 0);
            for (number, entry) in self.entries.iter() {
                assert_eq!(
                    entry.uses,
                    uses.get(number as usize).copied().unwrap_or(0),
                    "uses of tag {number}"
                );
                if entry.uses > 0 {
                    bytes += TAG_BYTES + entry.name.heap_bytes();
                    name_bytes += entry.name.as_bytes().len();
                    assert_eq!(self.find(entry.name.as_bytes()), Some(TagId(number)));
                } else {
                    assert!(
                        entry.name.as_bytes().is_empty(),
                        "an unused tag keeps no name"
                    );
                }
            }
            assert_eq!(self.len(), self.entries.iter().count() - unused.len());
            assert_eq!((self.bytes, self.name_bytes), (bytes, name_bytes));
        }
    }

    #[test]
    fn names_of_every_length_are_kept() {
        let mut tags = Interner::new(1);
        let names: Vec<_> = (0..70).map(|length| "é1".repeat(length)).collect();
        let numbers: Vec<_> = names.iter().map(|name| tags.acquire(name)).collect();
        for (name, &number) in names.iter().zip(&numbers) {
            assert_eq!(tags.find(name.as_bytes()), Some(number));
            assert_eq!(tags.name(number), name);
        }
    }

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

    /// Bytes that bring a factor to nought, or to all ones, when it is the one that the hash function is published
    /// with. They are not UTF-8, so they cannot be tags; but that is luck, not defence.
    #[test]
    fn no_ending_of_a_tag_makes_its_hash_known() {
        let published: [u64; 2] = [0xc0ac_29b7_c97c_50dd, 0x3f84_d5b5_b547_0917];
        for seed in 0..8 {
            let tags = Interner::new(seed);
            for end in published.iter().flat_map(|&factor| [factor, !factor]) {
                let mut hashes = alloc::collections::BTreeSet::new();
                for start in 0_u64..1000 {
                    hashes.insert(tags.hash(&[start.to_le_bytes(), end.to_le_bytes()].concat()));
                }
                assert!(hashes.len() > 990, "{} hashes of 1000 tags", hashes.len());
            }
        }
    }

    /// Most tags of a set came with it, so their numbers are neighbours.
    #[test]
    fn sets_of_neighbours_are_spread_as_by_chance() {
        for seed in 0..20 {
            let tags = Interner::new(seed);
            for distance in [0, 1, 7, 1024] {
                let mut places = [const { alloc::collections::BTreeSet::new() }; 4];
                for number in 0..2000 {
                    let [one, other] = [number, number + distance].map(TagId);
                    let pair = tags.hash_id(one) ^ tags.hash_id(other);
                    let set = tags.hash_set([one, other].into_iter());
                    // Alone, where there is no other.
                    let pair = if distance == 0 { set } else { pair };
                    // What tables and the sieve look at.
                    for (places, bits) in places.iter_mut().zip([pair, pair >> 8, pair >> 40, set])
                    {
                        places.insert(bits % (1 << 16));
                    }
                }
                for places in places {
                    assert!(
                        places.len() > 1930,
                        "{} of 2000: {seed} {distance}",
                        places.len()
                    );
                }
            }
        }
    }
}
