//! Owns what a node tells the others of its needs, and what it knows of theirs: a Bloom filter as a whole, and then what is
//! added to it. A filter is told as a whole again when so many needs have gone that it says too much, or it is too small.

use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::needs::{NeedChange, rows_of};

/// The smallest filter has two to the power of this many bits.
const LEAST_BITS: u32 = 10;
/// Bits of a filter for each key, when it is new; after so many more it is doubled.
const BITS_PER_KEY: usize = 16;
const LEAST_BITS_PER_KEY: usize = 8;
/// Of so many keys that have gone no notice is taken; then the filter is made anew when they are a quarter of the rest.
const FEW_GONE: usize = 64;

/// What a node needs, and what of it the others do not know yet.
#[derive(Debug)]
pub(super) struct Summary {
    seed: u64,
    /// How many subscriptions have each key.
    keys: HashMap<u64, u32, FixedState>,
    filter: Filter,
    /// Keys in the filter of which there is none any more.
    gone: usize,
    version: u64,
    added: Vec<u64>,
    whole: Whole,
}

/// When the whole filter is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    No,
    /// The others find all that is needed in what they know; it is only less precise than it could be.
    Sometime,
    Now,
}

/// Something to tell the others.
pub(super) enum News {
    Added(Vec<u64>),
    /// All of [`Summary::filter`].
    Whole,
}

/// A Bloom filter.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter(pub(super) Vec<u8>);

impl Filter {
    fn new(bits: u32) -> Self {
        Self(alloc::vec![0; (1 << bits) / 8])
    }

    /// The number of its bits, as a power of two.
    pub(super) fn bits(&self) -> u32 {
        (self.0.len() * 8).trailing_zeros()
    }

    /// A filter that came from elsewhere, if it can be one.
    pub(super) fn received(bytes: Vec<u8>) -> Option<Self> {
        let is_one = bytes.len().is_power_of_two() && bytes.len() * 8 >= 1 << LEAST_BITS;
        is_one.then_some(Self(bytes))
    }

    pub(super) fn enter(&mut self, key: u64, seed: u64) {
        let mask = self.0.len() as u64 * 8 - 1;
        for row in rows_of(key, seed) {
            let row = (row & mask) as usize;
            self.0[row / 8] |= 1 << (row % 8);
        }
    }
}

fn bits_for(keys: usize) -> u32 {
    (keys * BITS_PER_KEY).max(1 << LEAST_BITS).ilog2()
}

impl Summary {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            keys: HashMap::with_hasher(FixedState::with_seed(seed)),
            filter: Filter::new(LEAST_BITS),
            gone: 0,
            version: 0,
            added: Vec::new(),
            whole: Whole::Now,
        }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// How often something was told.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Goes on with another seed.
    pub(super) fn set_seed(&mut self, seed: u64) {
        if self.seed != seed {
            self.seed = seed;
            self.build();
            self.tell_again();
        }
    }

    /// Has the whole filter told again before anything else; until then nothing is kept to be told.
    pub(super) fn tell_again(&mut self) {
        self.whole = Whole::Now;
        self.added = Vec::new();
    }

    pub(super) fn note(&mut self, change: NeedChange) {
        let NeedChange { key, is_new } = change;
        if is_new {
            let count = self.keys.entry(key).or_default();
            *count += 1;
            if *count == 1 {
                if self.whole != Whole::Now {
                    self.added.push(key);
                }
                self.filter.enter(key, self.seed);
            }
            let room = self.filter.0.len() * 8 / LEAST_BITS_PER_KEY;
            if self.keys.len() > room {
                self.build();
            }
        } else if let Some(count) = self.keys.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.keys.remove(&key);
                self.gone += 1;
            }
            if self.gone > FEW_GONE + self.keys.len() / 4 {
                self.build();
            }
        }
    }

    fn build(&mut self) {
        self.filter = Filter::new(bits_for(self.keys.len()));
        for &key in self.keys.keys() {
            self.filter.enter(key, self.seed);
        }
        self.keys.shrink_to(self.keys.len() * 2);
        self.gone = 0;
        if self.whole == Whole::No {
            self.whole = Whole::Sometime;
        }
    }

    /// What the others have to be told; `most` keys at once, and the whole only now and then, unless they need it.
    pub(super) fn news(&mut self, most: usize, may_be_whole: bool) -> Option<News> {
        let is_long = self.added.len() * 8 >= self.filter.0.len();
        let is_whole = match self.whole {
            Whole::No => may_be_whole && is_long && !self.added.is_empty(),
            Whole::Sometime => may_be_whole,
            Whole::Now => true,
        };
        if is_whole {
            (self.whole, self.added) = (Whole::No, Vec::new());
            self.version += 1;
            return Some(News::Whole);
        }
        if self.added.is_empty() {
            return None;
        }
        self.version += 1;
        let rest = self.added.split_off(self.added.len().min(most));
        Some(News::Added(core::mem::replace(&mut self.added, rest)))
    }
}

/// What is known of another node's needs.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) seed: u64,
    version: u64,
    pub(super) filter: Option<Filter>,
    /// Whether something that was told did not come, so that the filter may lack something.
    pub(super) lacks: bool,
    /// The part of a whole filter that has come, and of which version.
    part: Part,
}

#[derive(Debug, Default)]
struct Part {
    version: u64,
    next: u64,
    bytes: Vec<u8>,
}

/// What came of something that another node told.
pub(super) enum Learnt {
    /// Nothing: it is known, or there is more to come.
    Nothing,
    /// These keys, besides what was known.
    Keys(Vec<u64>),
    /// All that it needs.
    Whole,
    /// Something is missing, so that it must be asked.
    Missing,
}

impl Known {
    /// Whether this is all that it has told.
    pub(super) fn is_of(&self, seed: u64, version: u64) -> bool {
        self.filter.is_some() && !self.lacks && self.seed == seed && self.version >= version
    }

    pub(super) fn take_added(&mut self, seed: u64, version: u64, keys: &[u8]) -> Learnt {
        if self.is_of(seed, version) {
            return Learnt::Nothing;
        }
        let is_next = self.seed == seed && self.version + 1 == version;
        let Some(filter) = self.filter.as_mut().filter(|_| is_next) else {
            self.lacks = true;
            return Learnt::Missing;
        };
        let keys: Vec<_> = keys
            .as_chunks()
            .0
            .iter()
            .map(|key| u64::from_le_bytes(*key))
            .collect();
        keys.iter().for_each(|&key| filter.enter(key, seed));
        self.version = version;
        Learnt::Keys(keys)
    }

    pub(super) fn take_part(
        &mut self,
        seed: u64,
        version: u64,
        (at, last): (u64, u64),
        bytes: &[u8],
    ) -> Learnt {
        if self.is_of(seed, version) {
            return Learnt::Nothing;
        }
        if at == 0 {
            self.part = Part {
                version,
                ..Part::default()
            };
        }
        if (self.part.version, self.part.next) != (version, at) {
            return Learnt::Nothing;
        }
        self.part.next += 1;
        self.part.bytes.extend_from_slice(bytes);
        if at != last {
            return Learnt::Nothing;
        }
        let Some(filter) = Filter::received(core::mem::take(&mut self.part.bytes)) else {
            return Learnt::Missing;
        };
        (self.seed, self.version, self.filter) = (seed, version, Some(filter));
        self.lacks = false;
        Learnt::Whole
    }
}
