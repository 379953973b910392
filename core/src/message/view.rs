//! Owns the view of a message that was scanned: its fields, decoded where that is asked for.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::command::Command;
use super::grammar::tag_lists;
use super::scan::Scan;
use super::span::Span;
#[cfg(doc)]
use super::string::ESCAPE_BYTES;
use super::string::decode_into;
use crate::error::{ErrorCode, ServerError};

/// A scanned message, as a view into the text it came from.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    text: &'a str,
    scan: &'a Scan,
}

/// Shows what the message asks for, never its text, in which there may be a token.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Message").field(&self.command()).finish()
    }
}

impl<'a> Message<'a> {
    /// What the message asks for.
    #[must_use]
    pub fn command(&self) -> Command {
        self.scan.kind
    }

    /// The command's name as it was sent, decoded; empty when there was none.
    #[must_use]
    pub fn command_name(&self) -> Cow<'a, str> {
        match (self.scan.kind.name(), self.scan.command) {
            (Some(name), _) => Cow::Borrowed(name),
            (None, Some(span)) => span.decoded(self.text),
            (None, None) => Cow::Borrowed(""),
        }
    }

    /// How many tags the message carries, duplicates included.
    #[must_use]
    pub fn tag_count(&self) -> usize {
        self.scan.tag_count
    }

    /// The tags in the order they were sent, decoded, at most [`Limits::tags_per_message`](crate::Limits) of them.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = Cow<'a, str>> + use<'a> {
        let this = *self;
        self.scan
            .tags
            .iter()
            .map(move |span| span.decoded(this.text))
    }

    /// The array of tags as it stands in the text; equal texts mean equal tags.
    #[must_use]
    pub fn tags_text(&self) -> &'a str {
        &self.text[self.scan.tags_text.clone()]
    }

    /// The data, decoded; `None` when absent or empty.
    #[must_use]
    pub fn data(&self) -> Option<Cow<'a, str>> {
        let span = self.scan.data?;
        (!span.range().is_empty()).then(|| span.decoded(self.text))
    }

    /// The data as the literal that was sent, quotes included; `None` when absent or empty.
    #[must_use]
    pub fn data_literal(&self) -> Option<&'a str> {
        let content = self.scan.data?.range();
        (!content.is_empty()).then(|| &self.text[content.start - 1..content.end + 1])
    }

    /// The `id` as the literal that was sent: a string with its quotes, or an integer.
    #[must_use]
    pub fn id_literal(&self) -> Option<&'a str> {
        self.scan.id.clone().map(|range| &self.text[range])
    }

    /// The `id` as a number; `None` when it is absent or not one that this crate's clients write.
    #[must_use]
    pub fn id_number(&self) -> Option<u64> {
        self.id_literal()?.parse().ok()
    }

    /// The error's text, decoded; `None` when absent or empty.
    #[must_use]
    pub fn error(&self) -> Option<Cow<'a, str>> {
        let span = self.scan.server.error?;
        (!span.range().is_empty()).then(|| span.decoded(self.text))
    }

    /// What kind of error it is.
    #[must_use]
    pub fn error_code(&self) -> ErrorCode {
        let literal = self.scan.server.code.clone().map(|range| &self.text[range]);
        let name = literal.and_then(|literal| literal.strip_prefix('"')?.strip_suffix('"'));
        name.map_or(ErrorCode::Unknown, ErrorCode::find)
    }

    /// The error as a whole; `None` when its text is absent or empty.
    pub(crate) fn server_error(&self) -> Option<ServerError> {
        let text = self.error()?.into_owned();
        Some(ServerError::new(self.error_code(), text))
    }

    /// How many sessions took a published message, as its acknowledgement says.
    #[must_use]
    pub fn delivered(&self) -> Option<u64> {
        self.number(&self.scan.server.delivered)
    }

    /// How many connections there were since the start, as the answer to `who` says.
    #[must_use]
    pub fn connections(&self) -> Option<u64> {
        self.number(&self.scan.server.connections)
    }

    /// How many connections hold a subscription, as the answer to `who` says.
    #[must_use]
    pub fn subscribers(&self) -> Option<u64> {
        self.number(&self.scan.server.subscribers)
    }

    /// In how many seconds the token ends, as the answer to `auth` says.
    #[must_use]
    pub fn expires_in(&self) -> Option<u64> {
        self.number(&self.scan.server.expires_in)
    }

    fn number(&self, range: &Option<Range<usize>>) -> Option<u64> {
        self.text[range.clone()?].parse().ok()
    }

    /// The tag sets of a `list` answer, decoded; empty when there are none.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Vec<String>> {
        match self.scan.server.subscriptions.clone() {
            Some(range) => tag_lists(&self.text[range], true),
            None => Vec::new(),
        }
    }

    /// The tags of a `listall` answer, decoded; empty when there are none.
    #[must_use]
    pub fn subscribed(&self) -> Vec<String> {
        let range = self.scan.server.subscribed.clone();
        let mut lists = range.map_or(Vec::new(), |range| tag_lists(&self.text[range], false));
        lists.pop().unwrap_or_default()
    }

    /// The whole message as it stands in the text, if it is a line that holds nothing but a publish with data, without
    /// blanks, its fields in the order in which this crate writes them, and without an `id`.
    ///
    /// Its tags may be in any order, and escaped in any way.
    #[must_use]
    #[inline]
    pub fn compact(&self) -> Option<&'a str> {
        self.scan.compact.clone().map(|range| &self.text[range])
    }

    /// Where the tags stand in the text, in the order they were sent; `None` when one has escapes.
    #[inline]
    pub(crate) fn plain_tags(&self) -> Option<&'a [Span]> {
        let tags = &self.scan.tags[..];
        (!self.scan.has_escaped_tags).then_some(tags)
    }

    /// How long each tag with escapes is as it stands. None takes more than [`ESCAPE_BYTES`] for a byte that it decodes to.
    pub(crate) fn escaped_tag_lens(&self) -> impl Iterator<Item = usize> {
        let tags = self.scan.tags.iter();
        tags.filter(|tag| tag.is_escaped()).map(|tag| tag.len())
    }

    /// Puts the tags decoded into `text`, and where they stand there into `spans`.
    pub(crate) fn decode_tags(&self, spans: &mut Vec<Span>, text: &mut String) {
        spans.clear();
        for tag in &self.scan.tags {
            let start = text.len();
            decode_into(&self.text[tag.range()], text);
            spans.push(Span::new(start, text.len(), false));
        }
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }
}

impl Scan {
    /// Returns the scanned message; `text` must be the text it was scanned from.
    #[must_use]
    pub fn message<'a>(&'a self, text: &'a str) -> Message<'a> {
        Message { text, scan: self }
    }

    /// Forgets what was scanned and returns the message that says nothing.
    pub(crate) fn cleared(&mut self) -> Message<'_> {
        self.clear();
        self.message("")
    }
}
