//! Owns what finding the ways of messages works in.

use alloc::vec::Vec;
use core::fmt;

use super::status::NodeId;
use crate::message::Scan;

/// What finding the ways works in.
#[derive(Default)]
pub(super) struct Router {
    /// The nodes that are there, by their places in the directory, and behind those the ones that have none.
    pub(super) places: Vec<NodeId>,
    pub(super) scan: Scan,
    /// Messages for single nodes, by their places, and of which nodes there are any.
    pub(super) own: Vec<Vec<u8>>,
    pub(super) filled: u128,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}
