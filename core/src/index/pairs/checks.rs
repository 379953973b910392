//! What the tests of the index ask of the table of pairs.

use super::{LONG, Pairs, hash};
use crate::index::sets::{Pair, Sets};
use crate::index::tags::Interner;

impl Pairs {
    /// How many sets the longest list has.
    pub(crate) fn longest(&self) -> usize {
        let lists = self.lists.iter().map(|(_, list)| list.rows.len());
        lists.max().unwrap_or(0)
    }

    /// How many pairs were added to the sieve since it was built.
    pub(crate) fn sifted(&self) -> usize {
        self.sieve.added()
    }

    /// How many sets stand under a pair.
    pub(crate) fn standing(&self, pair: Pair, sets: &Sets, tags: &Interner) -> usize {
        match self.find(hash(pair, tags), pair, sets) {
            Some(entry) => entry.list().map_or(1, |list| self.lists[list].rows.len()),
            None => 0,
        }
    }

    /// Checks what must hold between any two calls.
    pub(crate) fn assert_consistent(&self, sets: &Sets, tags: &Interner) {
        assert_eq!(self.table.len(), self.count);
        let lists = || self.lists.iter().map(|(_, list)| list.rows.len());
        let in_lists: usize = lists().sum();
        let listed = lists().filter(|&rows| rows > 0).count();
        assert_eq!(listed + self.lists.free().len(), lists().count());
        let mut numbers = sets.numbers();
        numbers.retain(|&number| sets.pair(number).alone().is_none());
        assert_eq!(
            in_lists + self.count - listed,
            numbers.len(),
            "each stands in one place"
        );
        for number in numbers {
            let pair = sets.pair(number);
            assert!(self.sieve.may_hold(hash(pair, tags)));
            let entry = self.find(hash(pair, tags), pair, sets);
            let entry = entry.expect("the pair of a set is there");
            let Some(list) = entry.list() else {
                assert_eq!((entry.number, sets.place(number)), (number, 0));
                let stored = sets.tags(number).any(|tag| tag == entry.third);
                assert!(stored, "{entry:?}");
                continue;
            };
            let rows = &self.lists[list].rows;
            assert!(rows.len() > 1, "a single set needs no list");
            let row = rows[sets.place(number)];
            assert_eq!((row.set, row.answer), (number, sets.answer(number)));
            assert!(sets.tags(number).any(|tag| tag.0 == row.third & !LONG));
            assert_eq!(row.third & LONG != 0, sets.rest(number).len() > 1);
        }
    }
}
