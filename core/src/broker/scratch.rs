//! The reusable buffers for deciding a message.

use alloc::string::String;
use alloc::vec::Vec;

use crate::index::MatchScratch;
use crate::message::{Message, Span, write_plain_head, write_rest};

/// The memory that deciding works in: one per thread, reused, so that publishing allocates nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) matching: MatchScratch,
    /// The tags of a message with escapes in them, one behind the other, and where each stands.
    pub(super) decoded: String,
    pub(super) names: Vec<Span>,
    /// The tags of a message that does not go out as it came in, in order, each behind its first bytes.
    pub(super) sorted: Vec<(u64, Span)>,
    /// What is delivered before the data, unless the message goes out as it came in.
    pub(super) head: Vec<u8>,
    pub(super) is_verbatim: bool,
    /// To how many other nodes of a cluster the message goes; nothing where this is none.
    pub(super) nodes: Option<usize>,
    pub(super) reply: Vec<u8>,
}

impl Scratch {
    /// Creates an empty scratch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The slots of the sessions to deliver to, in no order.
    #[must_use]
    pub fn targets(&self) -> &[u32] {
        &self.matching.targets
    }

    /// How much the last decision looked at, in tags and tag sets: a measure of the time that others could not have the
    /// broker.
    #[must_use]
    pub fn walked(&self) -> usize {
        self.matching.walked
    }

    /// The answer to the session itself: one JSON object, without a line end.
    #[must_use]
    pub fn reply(&self) -> &[u8] {
        &self.reply
    }

    /// Exchanges [`Scratch::targets`] for another list, which the next decision overwrites.
    pub fn exchange_targets(&mut self, targets: &mut Vec<u32>) {
        core::mem::swap(&mut self.matching.targets, targets);
    }

    /// Whether what is delivered is [`Message::compact`], for the message decided last, or one with the same
    /// [`Message::tags_text`], if it is compact.
    #[must_use]
    #[inline]
    pub fn is_verbatim(&self) -> bool {
        self.is_verbatim
    }

    /// Appends what is delivered to [`Scratch::targets`], if there are any: the message decided last, or one with the same
    /// [`Message::tags_text`].
    #[inline]
    pub fn write_body(&self, message: &Message<'_>, out: &mut Vec<u8>) {
        match message.compact() {
            Some(whole) if self.is_verbatim => out.extend_from_slice(whole.as_bytes()),
            None if self.is_verbatim => {
                write_plain_head(out, message.tags_text());
                write_rest(out, message.data_literal());
            }
            _ => {
                out.extend_from_slice(&self.head);
                write_rest(out, message.data_literal());
            }
        }
    }
}

/// Empties a buffer that is used again, and gives memory back that only an uncommonly large message needed.
pub(super) fn restart(buffer: &mut Vec<u8>) {
    const KEPT: usize = 64 << 10;
    buffer.clear();
    buffer.shrink_to(KEPT);
}
