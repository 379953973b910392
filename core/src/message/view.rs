//! Owns the view of a message that was scanned: its fields, decoded where that is asked for.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::command::Command;
use super::grammar::tag_lists;
use super::members::{NodeInfo, read_members};
use super::registered::{RegisteredToken, read_registered};
use super::scan::{Field, Scan};
use super::span::Span;
#[cfg(doc)]
use super::string::ESCAPE_BYTES;
use super::string::decode_into;
use crate::auth::{NEVER, Rights};
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
        let span = self.scan.error?;
        (!span.range().is_empty()).then(|| span.decoded(self.text))
    }

    /// What kind of error it is.
    #[must_use]
    pub fn error_code(&self) -> ErrorCode {
        let literal = self.rare(Field::Code);
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
        self.number(Field::Delivered)
    }

    /// How many other nodes of a cluster a published message was handed to, as its acknowledgement says; or how many
    /// nodes there are, as the answer to `who` says. `None` where there is no cluster.
    #[must_use]
    pub fn nodes(&self) -> Option<u64> {
        self.number(Field::Nodes)
    }

    /// The names of nodes that did not answer, as an answer for a whole cluster says; empty when all did.
    #[must_use]
    pub fn silent(&self) -> Vec<String> {
        self.tag_list(Field::Silent).unwrap_or_default()
    }

    /// The nodes of a `nodes` answer; empty when there are none.
    #[must_use]
    pub fn members(&self) -> Vec<NodeInfo> {
        self.rare(Field::Members).map_or(Vec::new(), read_members)
    }

    /// Whether a publish is to be answered for the whole cluster; `None` where it does not say what there is.
    pub(crate) fn waits_for_cluster(&self) -> Option<bool> {
        match self.rare(Field::Wait) {
            None | Some("null") => Some(false),
            Some(literal) => (text_of(literal)? == "cluster").then_some(true),
        }
    }

    /// How many connections there were since the start, as the answer to `who` says.
    #[must_use]
    pub fn connections(&self) -> Option<u64> {
        self.number(Field::Connections)
    }

    /// How many connections hold a subscription, as the answer to `who` says.
    #[must_use]
    pub fn subscribers(&self) -> Option<u64> {
        self.number(Field::Subscribers)
    }

    /// In how many seconds a token ends, as the answer to `auth` or `tags` says; `None` when it does not.
    #[must_use]
    pub fn expires_in(&self) -> Option<u64> {
        self.number(Field::ExpiresIn)
    }

    /// The tag sets of a `list` answer, decoded; empty when there are none.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Vec<String>> {
        match self.rare(Field::Subscriptions) {
            Some(text) => tag_lists(text, true),
            None => Vec::new(),
        }
    }

    /// The tags of a `listall` answer, decoded; empty when there are none.
    #[must_use]
    pub fn subscribed(&self) -> Vec<String> {
        self.tag_list(Field::Subscribed).unwrap_or_default()
    }

    /// The tags that a token may subscribe by, as the answer to `tags` says, decoded; `None` when those are all of
    /// its tags.
    #[must_use]
    pub fn subscribe_tags(&self) -> Option<Vec<String>> {
        self.tag_list(Field::Subscribe)
    }

    /// The tags that a token may publish with, as the answer to `tags` says, decoded; `None` when those are all of
    /// its tags.
    #[must_use]
    pub fn publish_tags(&self) -> Option<Vec<String>> {
        self.tag_list(Field::Publish)
    }

    /// The rights that an admin command is about; `None` where they are none that there are.
    pub(crate) fn rights(&self) -> Option<Rights> {
        match self.rare(Field::Rights) {
            None | Some("null") => Some(Rights::Both),
            Some(literal) => Rights::find(&text_of(literal)?),
        }
    }

    /// The seconds for which a token is to last; `None` where they are none that there may be.
    pub(crate) fn ttl(&self) -> Option<Option<u64>> {
        match self.rare(Field::Ttl) {
            None | Some("null") => Some(None),
            Some(literal) => {
                let text = text_of(literal);
                let seconds = seconds(text.as_deref().unwrap_or(literal));
                seconds.filter(|&seconds| seconds > 0).map(Some)
            }
        }
    }

    /// The token's hash that an admin command names it by; `None` inside where it is none.
    pub(crate) fn sha256(&self) -> Option<Option<[u8; 32]>> {
        let literal = self
            .rare(Field::Sha256)
            .filter(|&literal| literal != "null")?;
        Some(text_of(literal).and_then(|digits| hash(&digits)))
    }

    /// The name of a field that is none of those that any request has, nor of these.
    pub(crate) fn other_field(&self, taken: &[&str]) -> Option<String> {
        let asked = [
            ("rights", Field::Rights),
            ("ttl", Field::Ttl),
            ("sha256", Field::Sha256),
        ];
        let is_other = |&(name, field): &(&str, Field)| {
            !taken.contains(&name) && self.rare(field).is_some_and(|literal| literal != "null")
        };
        let other = self.scan.other.map(|name| name.decoded(self.text));
        let other = other.map(|name| name.chars().take(NAME_CHARS).collect());
        other.or_else(|| {
            asked
                .iter()
                .find(|asked| is_other(asked))
                .map(|&(name, _)| name.into())
        })
    }

    fn number(&self, field: Field) -> Option<u64> {
        self.rare(field)?.parse().ok()
    }

    fn tag_list(&self, field: Field) -> Option<Vec<String>> {
        tag_lists(self.rare(field)?, false).pop()
    }

    /// The value of a field as it stands in the text.
    fn rare(&self, field: Field) -> Option<&'a str> {
        let mut rare = self.scan.rare.iter();
        let (_, place) = rare.find(|(other, _)| *other == field)?;
        Some(&self.text[place.clone()])
    }

    /// The tokens of a `tokens` answer; empty when there are none.
    #[must_use]
    pub fn registered(&self) -> Vec<RegisteredToken> {
        let registered = self.rare(Field::Registered);
        registered.map_or(Vec::new(), read_registered)
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

/// Characters of an unknown field's name that are told.
const NAME_CHARS: usize = 40;

/// What a literal says, if it is a string.
fn text_of(literal: &str) -> Option<String> {
    let content = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::new();
    decode_into(content, &mut text);
    Some(text)
}

/// Reads 64 hexadecimal digits.
fn hash(digits: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (place, digit) in digits.chars().enumerate() {
        hash[place / 2] = hash[place / 2] << 4 | u8::try_from(digit.to_digit(16)?).ok()?;
    }
    Some(hash)
}

/// Reads `90`, `90s`, `15m`, `12h`, `30d` or `never`.
fn seconds(text: &str) -> Option<u64> {
    if text == "never" {
        return Some(NEVER);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
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
