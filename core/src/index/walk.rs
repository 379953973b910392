//! The progress of a message that is matched in parts.

use alloc::sync::Arc;
use alloc::vec::Vec;

/// How far the matching of one message has come.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Shared with the index, which tells from the reference count whether a walk is under way.
    pub(super) _mark: Arc<()>,
    /// A bit per client that is done. A newcomer may reuse a departed client's slot and is then skipped, which is
    /// allowed: it was not there at the start.
    pub(super) served: Vec<u64>,
    pub(super) at: Position,
}

impl Walk {
    /// Bytes of memory that it takes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.served[..])
    }
}

/// Where matching resumes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Position {
    /// The single-tag set of the tag at this index of the message's tags.
    Alone(usize),
    /// The first `rows` sets of the pair of the tags at two indices, where `other` is less than `one`.
    Pair {
        one: usize,
        other: usize,
        rows: usize,
    },
    /// The sets with this id and above: where there are fewer sets than pairs.
    Set(usize),
    End,
}

impl Position {
    /// The position after a pair.
    pub(super) fn next_pair(one: usize, other: usize) -> Self {
        let (one, other) = match other + 1 < one {
            true => (one, other + 1),
            false => (one + 1, 0),
        };
        let rows = usize::MAX;
        Self::Pair { one, other, rows }
    }
}
