//! A publish that is carried out in parts.

use alloc::boxed::Box;
use alloc::vec::Vec;

#[cfg(doc)]
use super::Broker;
use super::receipt::Receipt;
use super::session::SessionId;
use crate::index;

/// A publish that is carried out in parts: see [`Broker::publish_some`].
#[derive(Debug)]
pub struct Walk {
    /// The tags in order, each once.
    pub(super) tags: Vec<Box<str>>,
    pub(super) message: Vec<u8>,
    pub(super) receipt: Option<Receipt>,
    pub(super) publisher: Option<SessionId>,
    /// Whether that may publish only what is granted to it.
    pub(super) is_granted: bool,
    /// Whether no part of it was done yet.
    pub(super) is_new: bool,
    pub(super) matching: index::Walk,
}

impl Walk {
    /// What is delivered: one JSON object, without a line end.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Bytes of memory that it takes, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let tags = self.tags.iter().map(|tag| size_of_val(tag) + tag.len());
        let receipt = self.receipt.as_ref().map_or(0, Receipt::bytes);
        self.message.len() + tags.sum::<usize>() + receipt + self.matching.bytes()
    }

    /// What the publisher is answered in the end, if it asked to be.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_ref()
    }

    /// Takes that out.
    pub fn take_receipt(&mut self) -> Option<Receipt> {
        self.receipt.take()
    }
}
