//! Owns what a scan finds: the places of a message's fields.

use alloc::vec::Vec;
use core::ops::Range;

use super::command::Command;
use super::span::Span;

/// The reusable result of scanning: the places of a message's fields in the text it was scanned from.
///
/// Scanning into the same `Scan` again allocates nothing once it has seen the largest number of tags.
#[derive(Debug, Default)]
pub struct Scan {
    pub(super) command: Option<Span>,
    pub(super) kind: Command,
    pub(super) tags: Vec<Span>,
    pub(super) has_escaped_tags: bool,
    /// How many tags there were, also those past what `tags` keeps.
    pub(super) tag_count: usize,
    pub(super) tags_text: Range<usize>,
    pub(super) data: Option<Span>,
    /// The place of the whole message, when it was read as a compact publish.
    pub(super) compact: Option<Range<usize>>,
    pub(super) id: Option<Range<usize>>,
    pub(super) server: ServerFields,
}

/// The places of the fields that only a server writes; those that are not strings are kept unread, of any type.
#[derive(Debug, Default)]
pub(super) struct ServerFields {
    pub(super) error: Option<Span>,
    pub(super) code: Option<Range<usize>>,
    pub(super) delivered: Option<Range<usize>>,
    pub(super) subscriptions: Option<Range<usize>>,
    pub(super) subscribed: Option<Range<usize>>,
    pub(super) connections: Option<Range<usize>>,
    pub(super) subscribers: Option<Range<usize>>,
    pub(super) expires_in: Option<Range<usize>>,
}

impl Scan {
    /// Creates an empty scan.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what was scanned.
    pub(super) fn clear(&mut self) {
        self.command = None;
        self.kind = Command::Unknown;
        self.tags.clear();
        self.has_escaped_tags = false;
        self.tag_count = 0;
        self.tags_text = 0..0;
        self.data = None;
        self.compact = None;
        self.id = None;
        self.server = ServerFields::default();
    }
}
