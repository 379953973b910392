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
    pub(super) error: Option<Span>,
    /// The places of the fields that few messages have, kept unread, of any type; each once.
    pub(super) rare: Vec<(Field, Range<usize>)>,
    /// The name of the first field that is none of a request's.
    pub(super) other: Option<Span>,
}

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Command,
    Tags,
    Data,
    Error,
    Code,
    Id,
    Delivered,
    Subscriptions,
    Subscribed,
    Connections,
    Subscribers,
    Rights,
    Ttl,
    Subscribe,
    Publish,
    ExpiresIn,
    Registered,
    Sha256,
    Nodes,
    Silent,
    Wait,
    Members,
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
        self.error = None;
        self.rare.clear();
        self.other = None;
    }

    /// Notes where a field stands; of duplicates the last counts.
    pub(super) fn note(&mut self, field: Field, place: Range<usize>) {
        match self.rare.iter_mut().find(|(other, _)| *other == field) {
            Some((_, known)) => *known = place,
            None => self.rare.push((field, place)),
        }
    }
}
