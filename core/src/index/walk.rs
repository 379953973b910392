//! How far the matching of a message has come that is matched in parts.

use alloc::sync::Arc;
use alloc::vec::Vec;

/// How far the matching of one message has come.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Held by the index too, which counts how many there are.
    pub(super) _mark: Arc<()>,
    /// A bit for each client that gets the message no more. One that came meanwhile may have the number of one that went: it
    /// was not there from the beginning.
    pub(super) served: Vec<u64>,
    pub(super) at: Place,
}

/// What is to be looked at next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// The set of one tag only, of the tag at this place.
    Alone(usize),
    /// The first `rows` sets of those under the pair of the tags at two places, of which `other` is the smaller one.
    Pair {
        one: usize,
        other: usize,
        rows: usize,
    },
    /// The sets with numbers from this one on, where there are fewer than pairs.
    Set(usize),
    End,
}

impl Place {
    /// The place behind that of a pair.
    pub(super) fn next_pair(one: usize, other: usize) -> Self {
        let (one, other) = match other + 1 < one {
            true => (one, other + 1),
            false => (one + 1, 0),
        };
        let rows = usize::MAX;
        Self::Pair { one, other, rows }
    }
}
