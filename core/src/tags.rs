//! Owns the numbers that stand for tags; knows nothing of sets or sessions.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use hashbrown::HashTable;

/// The number of a tag that at least one subscription holds. Reused once no subscription does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TagId(pub(crate) u32);

/// A hash table in many parts, of things that stand for keys kept elsewhere.
///
/// What has to be hashed anew when a part grows is read from all over the memory, so all at once would hold up everybody.
/// Parts are no more, so that the heads of all of them stay in the first cache; but where matching does not look, they may
/// be.
#[derive(Debug)]
pub(crate) struct Shards<T, const SHARDS: usize = 64> {
    shards: Vec<HashTable<T>>,
}

impl<T, const SHARDS: usize> Shards<T, SHARDS> {
    pub(crate) fn new() -> Self {
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
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<&T> {
        self.shards[Self::shard(hash)].find(hash, is_it)
    }

    pub(crate) fn find_mut(&mut self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<&mut T> {
        self.shards[Self::shard(hash)].find_mut(hash, is_it)
    }

    /// Adds what is not there yet.
    pub(crate) fn insert(&mut self, hash: u64, item: T, rehash: impl Fn(&T) -> u64) {
        self.shards[Self::shard(hash)].insert_unique(hash, item, rehash);
    }

    pub(crate) fn remove(&mut self, hash: u64, is_it: impl Fn(&T) -> bool) {
        let shard = &mut self.shards[Self::shard(hash)];
        if let Ok(entry) = shard.find_entry(hash, is_it) {
            entry.remove();
        }
        // A table that was once large gives its memory back.
        if shard.is_empty() {
            *shard = HashTable::new();
        }
    }
}

/// What makes hashes unknown to those who choose what is hashed.
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

#[derive(Debug)]
struct Entry {
    name: Name,
    /// How many sets hold the tag.
    uses: u32,
    /// The set of this tag alone, or [`NO_SET`]. It stands here since whoever found the tag has it at hand.
    alone: u32,
}

/// Sets have smaller numbers.
const NO_SET: u32 = u32::MAX;

/// Maps tags to numbers and back. The hash is seeded, since clients choose the tags.
#[derive(Debug)]
pub(crate) struct Interner {
    seeds: Seeds,
    numbers: Shards<u32>,
    entries: Vec<Entry>,
    free: Vec<TagId>,
    /// The tags that came into use or went out of it, for a host that knows tags by number.
    changed: Option<VecDeque<TagId>>,
}

impl Interner {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seeds: Seeds::new(seed),
            numbers: Shards::new(),
            entries: Vec::new(),
            free: Vec::new(),
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
        let entry = &self.entries[tag.0 as usize];
        Some((tag.0, (entry.uses > 0).then_some(entry.name.as_str())))
    }

    fn note(&mut self, tag: TagId) {
        if let Some(changed) = &mut self.changed {
            changed.push_back(tag);
        }
    }

    /// One more than the highest number ever given out.
    pub(crate) fn bound(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn name(&self, tag: TagId) -> &str {
        self.entries[tag.0 as usize].name.as_str()
    }

    pub(crate) fn uses(&self, tag: TagId) -> u32 {
        self.entries[tag.0 as usize].uses
    }

    /// The number of the set of this tag alone, as it was set.
    #[inline(always)]
    pub(crate) fn alone(&self, tag: TagId) -> Option<u32> {
        let set = self.entries[tag.0 as usize].alone;
        (set != NO_SET).then_some(set)
    }

    /// Notes, or forgets, the set of this tag alone.
    pub(crate) fn set_alone(&mut self, tag: TagId, set: Option<u32>) {
        self.entries[tag.0 as usize].alone = set.unwrap_or(NO_SET);
    }

    /// The names of all tags in use, in no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .filter(|entry| entry.uses > 0)
            .map(|entry| entry.name.as_str())
    }

    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<TagId> {
        self.numbers
            .find(self.hash(name), |&number| {
                is_same(self.entries[number as usize].name.as_bytes(), name)
            })
            .copied()
            .map(TagId)
    }

    /// Returns the tag's number and notes one more set that holds it.
    pub(crate) fn acquire(&mut self, name: &str) -> TagId {
        if let Some(tag) = self.find(name.as_bytes()) {
            self.entries[tag.0 as usize].uses += 1;
            return tag;
        }
        let entry = Entry {
            name: name.into(),
            uses: 1,
            alone: NO_SET,
        };
        let tag = match self.free.pop() {
            Some(tag) => {
                self.entries[tag.0 as usize] = entry;
                tag
            }
            None => {
                self.entries.push(entry);
                TagId(self.entries.len() as u32 - 1)
            }
        };
        let hash = self.hash(name.as_bytes());
        let (seeds, entries) = (&self.seeds, &self.entries);
        self.numbers.insert(hash, tag.0, |&number| {
            seeds.hash_name(entries[number as usize].name.as_bytes())
        });
        self.note(tag);
        tag
    }

    /// Notes one set less that holds the tag; the last one frees its number.
    pub(crate) fn release(&mut self, tag: TagId) {
        let entry = &mut self.entries[tag.0 as usize];
        entry.uses -= 1;
        if entry.uses == 0 {
            let name = core::mem::take(&mut entry.name);
            let hash = self.hash(name.as_bytes());
            self.numbers.remove(hash, |&other| other == tag.0);
            self.free.push(tag);
            self.note(tag);
        }
    }

    /// The hash of a tag's number.
    #[inline]
    pub(crate) fn hash_id(&self, tag: TagId) -> u64 {
        self.seeds.hash_id(tag)
    }

    /// The hash of a set of tags, in whatever order they are.
    ///
    /// Those who choose the tags do not know their hashes, so they cannot choose sets with the same sum.
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
    use super::*;

    impl Interner {
        /// Checks that exactly the tags with uses can be found, that each has as many as `uses` says, and that all
        /// other numbers are free once.
        pub(crate) fn assert_consistent(&self, uses: &[u32]) {
            let mut free: Vec<_> = self.free.iter().map(|tag| tag.0 as usize).collect();
            free.sort_unstable();
            let unused: Vec<_> = (0..self.entries.len())
                .filter(|&number| self.entries[number].uses == 0)
                .collect();
            assert_eq!(free, unused, "free are the unused numbers, each once");
            for (number, entry) in self.entries.iter().enumerate() {
                assert_eq!(
                    entry.uses,
                    uses.get(number).copied().unwrap_or(0),
                    "uses of tag {number}"
                );
                if entry.uses > 0 {
                    assert_eq!(self.find(entry.name.as_bytes()), Some(TagId(number as u32)));
                } else {
                    assert!(
                        entry.name.as_bytes().is_empty(),
                        "an unused tag keeps no name"
                    );
                }
            }
            assert_eq!(self.numbers.len() + free.len(), self.entries.len());
        }
    }

    impl<T, const SHARDS: usize> Shards<T, SHARDS> {
        pub(crate) fn len(&self) -> usize {
            self.shards.iter().map(HashTable::len).sum()
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
