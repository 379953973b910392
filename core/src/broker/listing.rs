//! A long answer while it is being gathered, and how it is written.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::session::SessionId;
#[cfg(doc)]
use super::{Broker, Verdict};
use crate::limits::LIMIT;
use crate::message::{Data, Refusal, Reply, Writer, escaped_len, write_escaped, write_tags};
use crate::sort::sort_by;

/// An answer to `list` or `listall` that is still being gathered: see [`Verdict::Long`].
#[derive(Debug)]
pub struct Listing {
    pub(super) session: SessionId,
    pub(super) command: &'static str,
    pub(super) tags: Vec<String>,
    pub(super) id: Option<String>,
    pub(super) source: Source,
    pub(super) found: Found,
    /// What the answer may weigh.
    pub(super) limit: usize,
    /// What other nodes have to be asked.
    pub(super) others: Option<OthersQuery>,
    /// Other nodes that did not answer.
    pub(super) silent: Vec<String>,
}

/// What has to be asked of other nodes before an answer is whole.
#[derive(Clone, Debug)]
pub struct OthersQuery {
    /// The tags that are of interest; all where it is `None`.
    pub granted: Option<Vec<String>>,
}

#[derive(Debug)]
pub(super) enum Source {
    /// The session's own subscriptions: the numbers of the sets that are still to come, once it is this answer's turn.
    Own(Option<Vec<u32>>),
    /// All tags, from a number on.
    All(usize),
    /// The tags that are granted, from a place among them on.
    Granted(usize),
    /// Those of these tags that another node asks for, from a place on.
    Asked(Vec<String>, usize),
    Complete,
}

/// Behind a tag, and behind the last one of its set. In no text there is such a byte.
const TAG_END: u8 = 0xFF;
const SET_END: u8 = 0xFE;
/// Stands for what was found at a node where that is more than an answer may be.
const TOO_MUCH: &[u8] = &[TAG_END];

/// Sets of tags one behind the other: those of one subscription each, or one tag each. There may be millions, so none has
/// memory of its own.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) text: Vec<u8>,
    pub(super) sets: usize,
    /// What the answer weighs with them; one byte less in the end, perhaps.
    pub(super) bytes: usize,
    /// Whether each set is an array of its own in the answer's array.
    pub(super) is_nested: bool,
}

impl Found {
    pub(super) fn add<'a>(&mut self, tags: impl IntoIterator<Item = &'a str>) {
        for tag in tags {
            let length = escaped_len(tag);
            // A comma or a blank is behind it; in the list also quotes are around it.
            self.bytes += length + 1;
            self.bytes += length + 3;
            self.text.extend_from_slice(tag.as_bytes());
            self.text.push(TAG_END);
        }
        if let Some(end) = self.text.last_mut() {
            *end = SET_END;
        }
        if self.is_nested {
            self.bytes += "[]".len();
        }
        self.sets += 1;
    }

    /// Gives its memory back.
    pub(super) fn clear(&mut self) {
        (self.text, self.sets) = (Vec::new(), 0);
    }

    /// The set that begins at a place.
    fn set(&self, at: u32) -> &[u8] {
        let rest = &self.text[at as usize..];
        let length = memchr::memchr(SET_END, rest).unwrap_or(rest.len());
        &rest[..length]
    }

    /// Where the sets begin, in order, each once.
    fn in_order(&self) -> Vec<u32> {
        let mut places = Vec::with_capacity(self.sets);
        let mut at = 0;
        while at < self.text.len() {
            places.push(at as u32);
            at += self.set(at as u32).len() + 1;
        }
        let order = |one: &u32, other: &u32| order(self.set(*one), self.set(*other));
        sort_by(&mut places, order);
        // A tag that went and came back meanwhile was found twice.
        places.dedup_by(|one, other| order(one, other).is_eq());
        places
    }

    /// The tags of the sets that begin at these places.
    fn tags(&self, places: &[u32]) -> impl Iterator<Item = impl Iterator<Item = &[u8]>> {
        let sets = places.iter().map(|&at| self.set(at));
        sets.map(|set| set.split(|&byte| byte == TAG_END))
    }

    /// Writes the form that people read.
    fn write_text(&self, places: &[u32], out: &mut Vec<u8>) {
        let mut before = b'"';
        for tags in self.tags(places) {
            for tag in tags {
                out.push(before);
                write_escaped(out, tag);
                before = b',';
            }
            before = b' ';
        }
        out.push(b'"');
    }

    /// Writes the form that programs read: an array of tags, or of arrays of tags.
    fn write_lists(&self, places: &[u32], out: &mut Vec<u8>) {
        let mut before = b'[';
        for tags in self.tags(places) {
            if self.is_nested {
                out.push(before);
                before = b'[';
            }
            for tag in tags {
                out.extend_from_slice(&[before, b'"']);
                write_escaped(out, tag);
                out.push(b'"');
                before = b',';
            }
            if self.is_nested {
                out.push(b']');
            }
        }
        out.push(b']');
    }
}

/// The order of two sets by the form that people read, so that both forms have one; then by their tags, the shorter one
/// first.
fn order(one: &[u8], other: &[u8]) -> Ordering {
    let mut by_tags = Ordering::Equal;
    for (&one, &other) in one.iter().zip(other).filter(|(one, other)| one != other) {
        let read = |byte| if byte == TAG_END { b',' } else { byte };
        if read(one) != read(other) {
            return read(one).cmp(&read(other));
        }
        by_tags = by_tags.then(other.cmp(&one));
    }
    one.len().cmp(&other.len()).then(by_tags)
}

impl Listing {
    /// What the other nodes of a cluster have to be asked first; to be told by [`Listing::add_others`].
    pub fn take_others(&mut self) -> Option<OthersQuery> {
        self.others.take()
    }

    /// Adds what other nodes have found, and the names of those that did not answer.
    pub fn add_others<'a>(
        &mut self,
        found: impl IntoIterator<Item = &'a [u8]>,
        silent: Vec<String>,
    ) {
        for text in found {
            if text == TOO_MUCH {
                // With it the answer is too long here as well.
                self.found.bytes = self.found.bytes.max(self.limit.saturating_add(1));
                continue;
            }
            for name in text.split_inclusive(|&byte| byte == SET_END) {
                let name = name.strip_suffix(&[SET_END]).unwrap_or(name);
                if let Ok(name) = core::str::from_utf8(name) {
                    self.found.add([name]);
                }
            }
        }
        self.silent = silent;
    }

    /// What was found, as another node's [`Listing::add_others`] takes it, or that it is more than an answer may be.
    #[must_use]
    pub fn into_found(self) -> Vec<u8> {
        match self.found.bytes <= self.limit {
            true => self.found.text,
            false => TOO_MUCH.to_vec(),
        }
    }

    /// The session that asked.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Puts the answer together: one JSON object, without a line end. A long one takes its time, so no lock should be
    /// held.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let found = &self.found;
        if found.bytes > self.limit {
            let refusal = Refusal::from(LIMIT.outbox_bytes.exceeded(found.bytes, self.limit));
            return Reply {
                command: self.command,
                error: Some(&refusal.to_error()),
                id: self.id.as_deref(),
                ..Reply::default()
            }
            .write(out);
        }
        let places = found.in_order();
        // A single tag may be empty, so that only its end is there.
        let has_data = found.text.len() > 1;
        let has_lists = !found.text.is_empty();
        let data: Writer<'_> = &|out| found.write_text(&places, out);
        let lists: Writer<'_> = &|out| found.write_lists(&places, out);
        out.reserve_exact(found.bytes);
        self.write_with(
            if has_data {
                Data::Written(data)
            } else {
                Data::None
            },
            has_lists.then_some(lists),
            out,
        );
    }

    pub(super) fn write_with(&self, data: Data<'_>, lists: Option<Writer<'_>>, out: &mut Vec<u8>) {
        let tags: Vec<_> = self.tags.iter().map(String::as_str).collect();
        let has_silent = !self.silent.is_empty();
        let name = match self.found.is_nested {
            true => "subscriptions",
            false => "subscribed",
        };
        let none: Writer<'_> = &|_| ();
        let silent: Writer<'_> = &|out| write_tags(out, &self.silent);
        let mut values = [("", none); 2];
        let mut count = 0;
        for (name, write) in [(name, lists), ("silent", has_silent.then_some(silent))] {
            if let Some(write) = write {
                values[count] = (name, write);
                count += 1;
            }
        }
        Reply {
            command: self.command,
            tags: &tags,
            data,
            values: &values[..count],
            id: self.id.as_deref(),
            ..Reply::default()
        }
        .write(out);
    }
}
