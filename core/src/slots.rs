//! Owns entries with small ids, each of which is reused once its entry is removed.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut, Range};

/// Places in a chunk. Memory is taken and given back a chunk at a time, so that neither holds anybody up.
const CHUNK: usize = 1024;

/// Things by number. In the place of one that has gone stands the default.
///
/// The lowest chunk with a free place is filled first, so that the upper ones empty after a burst, and an empty chunk
/// gives its memory back.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    /// Each has its places up to the highest that was ever used, or none when all of them are free.
    chunks: Vec<Vec<T>>,
    /// The free places of each chunk, among those that it has.
    free: Vec<Vec<u16>>,
    /// A bit for each chunk that has room.
    open: Vec<u64>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            open: Vec::new(),
        }
    }
}

/// The chunk of a number and the place in it.
#[inline(always)]
fn split(number: u32) -> (usize, usize) {
    (number as usize / CHUNK, number as usize % CHUNK)
}

impl<T: Default> Slots<T> {
    pub(crate) fn add(&mut self, item: T) -> u32 {
        let chunk = self.first_open();
        let items = &mut self.chunks[chunk];
        let place = match self.free[chunk].pop() {
            Some(place) => {
                items[usize::from(place)] = item;
                usize::from(place)
            }
            None => {
                if items.capacity() == 0 && chunk > 0 {
                    items.reserve_exact(CHUNK);
                }
                items.push(item);
                items.len() - 1
            }
        };
        if items.len() == CHUNK && self.free[chunk].is_empty() {
            self.open[chunk / 64] &= !(1 << (chunk % 64));
        }
        (chunk * CHUNK + place) as u32
    }

    /// The lowest chunk with room, which is a new one if need be.
    fn first_open(&mut self) -> usize {
        let open = self.open.iter().position(|&word| word != 0);
        let chunk = open.map_or(self.chunks.len(), |at| {
            64 * at + self.open[at].trailing_zeros() as usize
        });
        if chunk == self.chunks.len() {
            self.chunks.push(Vec::new());
            self.free.push(Vec::new());
            self.open.resize(self.chunks.len().div_ceil(64), 0);
            self.open[chunk / 64] |= 1 << (chunk % 64);
        }
        chunk
    }

    /// Takes one out.
    pub(crate) fn take(&mut self, number: u32) -> T {
        let (chunk, place) = split(number);
        let items = &mut self.chunks[chunk];
        let item = core::mem::take(&mut items[place]);
        let free = &mut self.free[chunk];
        free.push(place as u16);
        self.open[chunk / 64] |= 1 << (chunk % 64);
        if free.len() == items.len() {
            (*items, *free) = (Vec::new(), Vec::new());
            self.drop_empty_end();
        }
        item
    }

    fn drop_empty_end(&mut self) {
        while self.chunks.last().is_some_and(Vec::is_empty) {
            self.chunks.pop();
            self.free.pop();
            let chunk = self.chunks.len();
            self.open[chunk / 64] &= !(1 << (chunk % 64));
        }
        if self.chunks.is_empty() {
            *self = Self::default();
        }
    }
}

impl<T> Slots<T> {
    /// One more than the highest number in use, or a little more than that.
    #[inline]
    pub(crate) fn bound(&self) -> usize {
        let whole = self.chunks.len().saturating_sub(1) * CHUNK;
        whole + self.chunks.last().map_or(0, Vec::len)
    }

    /// What has this number; the default where it has gone, nothing where there is no memory for it.
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        let (chunk, place) = split(number);
        self.chunks.get(chunk)?.get(place)
    }

    /// The places with these numbers, also those of things that have gone, unless there is no memory for them any more.
    pub(crate) fn range(&self, numbers: Range<usize>) -> impl Iterator<Item = (u32, &T)> {
        let chunks = numbers.start / CHUNK..numbers.end.div_ceil(CHUNK).min(self.chunks.len());
        chunks.flat_map(move |chunk| {
            let first = chunk * CHUNK;
            let from = numbers.start.max(first) - first;
            let most = numbers.end - first;
            let items = self.chunks[chunk].iter().take(most).enumerate().skip(from);
            items.map(move |(place, item)| ((first + place) as u32, item))
        })
    }
}

impl<T> Index<u32> for Slots<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, number: u32) -> &T {
        let (chunk, place) = split(number);
        &self.chunks[chunk][place]
    }
}

impl<T> IndexMut<u32> for Slots<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        let (chunk, place) = split(number);
        &mut self.chunks[chunk][place]
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    impl<T> Slots<T> {
        /// All places; as [`Slots::range`].
        pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
            self.range(0..self.bound())
        }

        /// The numbers that are not in use, of those there is memory for.
        pub(crate) fn free(&self) -> Vec<u32> {
            let numbers = self.free.iter().zip(0..).flat_map(|(free, chunk)| {
                let first = chunk * CHUNK as u32;
                free.iter().map(move |&place| first + u32::from(place))
            });
            let mut free: Vec<_> = numbers.collect();
            free.sort_unstable();
            free
        }

        fn chunks_with_memory(&self) -> usize {
            let chunks = self.chunks.iter();
            chunks.filter(|chunk| chunk.capacity() > 0).count()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn things_are_found_by_their_numbers_and_low_numbers_are_used_first(
            rounds in prop::collection::vec((1_usize..3000, 0_usize..3000, any::<bool>()), 1..8),
        ) {
            let (mut slots, mut model) = (Slots::default(), BTreeMap::new());
            let mut next = 1_u64;
            for (added, removed, from_below) in rounds {
                for _ in 0..added {
                    let number = slots.add(next);
                    prop_assert!(model.insert(number, next).is_none(), "{number} was in use");
                    next += 1;
                }
                for _ in 0..removed.min(model.len()) {
                    let gone = if from_below { model.pop_first() } else { model.pop_last() };
                    let (number, item) = gone.expect("one is left");
                    prop_assert_eq!(slots.take(number), item);
                }
                let held = slots.iter().filter(|&(_, &item)| item != 0);
                prop_assert!(held.map(|(number, &item)| (number, item)).eq(model.clone()));
                let highest = model.last_key_value().map_or(0, |(&number, _)| number as usize + 1);
                prop_assert!((highest..=highest.next_multiple_of(CHUNK)).contains(&slots.bound()));
                let chunks = model.keys().map(|&number| split(number).0);
                let chunks: alloc::collections::BTreeSet<_> = chunks.collect();
                prop_assert_eq!(slots.chunks_with_memory(), chunks.len());
                let part: Vec<_> = slots.range(700..2500).map(|(number, _)| number).collect();
                prop_assert!(part.iter().all(|number| (700..2500).contains(number)));
                prop_assert!(model.range(700..2500).all(|(number, _)| part.contains(number)));
            }
        }
    }

    #[test]
    fn the_lowest_chunk_with_room_is_filled_first() {
        let mut slots = Slots::default();
        let numbers: Vec<_> = (0..5000).map(|item| slots.add(item)).collect();
        for number in [4500, 1030, 3, 1025] {
            slots.take(numbers[number]);
        }
        let reused: Vec<_> = (0..5).map(|item| slots.add(item)).collect();
        assert_eq!(reused, vec![3, 1025, 1030, 4500, 5000]);
    }
}
