//! Owns the order in which tokens end; knows nothing of what they grant.
//!
//! A sorted queue, not a tree: most tokens end behind those that are there, so that little is moved, and a page loads less.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

/// Tokens by when they end, in seconds since 1970.
#[derive(Clone, Default)]
pub(crate) struct Ends(VecDeque<(u64, Box<str>)>);

impl Ends {
    fn find(&self, end: u64, token: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(other, name)| (*other, &**name).cmp(&(end, token)))
    }

    pub(crate) fn insert(&mut self, end: u64, token: &str) {
        if let Err(place) = self.find(end, token) {
            self.0.insert(place, (end, token.into()));
        }
    }

    pub(crate) fn remove(&mut self, end: u64, token: &str) {
        if let Ok(place) = self.find(end, token) {
            self.0.remove(place);
            // What a crowd of tokens took is given back.
            if self.0.capacity() > 64 && self.0.len() < self.0.capacity() / 4 {
                self.0.shrink_to(2 * self.0.len());
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn has(&self, end: u64, token: &str) -> bool {
        self.find(end, token).is_ok()
    }

    /// The one that ends first.
    pub(crate) fn first(&self) -> Option<(u64, &str)> {
        self.0.front().map(|(end, token)| (*end, &**token))
    }
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;

    use super::*;

    #[test]
    fn the_first_to_end_is_first_whatever_came_when() {
        let mut ends = Ends::default();
        for (end, token) in [(5, "b"), (9, "a"), (5, "a"), (1, "c"), (5, "b")] {
            ends.insert(end, token);
        }
        ends.remove(1, "a");
        let mut order = alloc::vec::Vec::new();
        while let Some((end, token)) = ends.first() {
            let token = token.to_owned();
            ends.remove(end, &token);
            order.push((end, token));
        }
        let expected = [(1, "c"), (5, "a"), (5, "b"), (9, "a")];
        assert_eq!(order, expected.map(|(end, token)| (end, token.to_owned())));
    }

    #[test]
    fn a_crowd_gives_its_memory_back() {
        let mut ends = Ends::default();
        for end in 0..10_000 {
            ends.insert(end, "t");
        }
        for end in 0..9_990 {
            ends.remove(end, "t");
        }
        assert!(ends.0.capacity() <= 64, "{}", ends.0.capacity());
        assert_eq!(ends.first(), Some((9_990, "t")));
    }
}
