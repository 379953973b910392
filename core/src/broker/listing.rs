//! The answers to `list` and `listall`. They may be long, so they are gathered a part at a time: others have the broker in
//! between.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::{Broker, Scratch, Verdict, echoed_tags, restart, write_refusal};
use crate::error::Refusal;
use crate::limits::Exceeded;
use crate::message::{Command, Data, Message, Reply, Writer, escaped_len, write_escaped};
use crate::session::{Session, SessionId};
use crate::sort::sort_by;

/// Tags that are looked at before others get the broker.
const PART: usize = 512;
/// What a tag costs besides its bytes, in the unit of [`Scratch::walked`].
const TAG_COST: usize = 16;
/// A place of a tag that has gone costs a sixteenth of one that is there.
const PLACES_PER_TAG: usize = 16;
/// An answer that costs no more is given at once.
const SHORT: usize = 20_000;

/// An answer to `list` or `listall` that is still being gathered: see [`Verdict::Long`].
#[derive(Debug)]
pub struct Listing {
    session: SessionId,
    command: &'static str,
    tags: Vec<String>,
    id: Option<String>,
    source: Source,
    found: Found,
    /// What the answer may weigh.
    limit: usize,
}

#[derive(Debug)]
enum Source {
    /// The session's own subscriptions: the numbers of the sets that are still to come, once it is this answer's turn.
    Own(Option<Vec<u32>>),
    /// All tags, from a number on.
    All(usize),
    /// The tags that are granted, from a place among them on.
    Granted(usize),
    Complete,
}

/// Behind a tag, and behind the last one of its set. In no text there is such a byte.
const TAG_END: u8 = 0xFF;
const SET_END: u8 = 0xFE;

/// Sets of tags one behind the other: those of one subscription each, or one tag each. There may be millions, so none has
/// memory of its own.
#[derive(Debug, Default)]
struct Found {
    text: Vec<u8>,
    sets: usize,
    /// What the answer weighs with them; one byte less in the end, perhaps.
    bytes: usize,
    /// Whether each set is an array of its own in the answer's array.
    is_nested: bool,
}

impl Found {
    fn add<'a>(&mut self, tags: impl IntoIterator<Item = &'a str>) {
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
    fn clear(&mut self) {
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

    fn write(&self, out: &mut Vec<u8>) {
        let found = &self.found;
        if found.bytes > self.limit {
            let refusal = Refusal::Exceeded(too_long(found.bytes, self.limit));
            return Reply {
                command: self.command,
                error: Some(&refusal.told()),
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

    fn write_with(&self, data: Data<'_>, lists: Option<Writer<'_>>, out: &mut Vec<u8>) {
        let tags: Vec<_> = self.tags.iter().map(String::as_str).collect();
        let name = match self.found.is_nested {
            true => "subscriptions",
            false => "subscribed",
        };
        Reply {
            command: self.command,
            tags: &tags,
            data,
            list: lists.map(|write| (name, write)),
            id: self.id.as_deref(),
            ..Reply::default()
        }
        .write(out);
    }
}

impl Broker {
    /// Answers `list` and `listall`, at once where that is quick.
    pub(super) fn begin_listing(
        &self,
        session: SessionId,
        state: &Session,
        message: &Message<'_>,
        scratch: &mut Scratch,
    ) -> Verdict {
        restart(&mut scratch.reply);
        let (source, cost) = match self.source(session, state, message.command()) {
            Ok(found) => found,
            Err(refusal) => {
                scratch.matching.walked = 0;
                write_refusal(message, &refusal, &mut scratch.reply);
                return Verdict::Reply;
            }
        };
        let mut listing = Listing {
            session,
            command: message.command().name().unwrap_or_default(),
            tags: echoed_tags(message).map(String::from).collect(),
            id: message.id_literal().map(String::from),
            source,
            found: Found {
                is_nested: message.command() == Command::List,
                ..Found::default()
            },
            // Places in what was found are 32 bits wide.
            limit: self.limits.outbox_bytes.min(u32::MAX as usize),
        };
        // All but the sets: each brings a comma or a blank along, of which the last is not written.
        listing.write_with(Data::Literal("\"\""), Some(&|_| ()), &mut scratch.reply);
        listing.found.bytes = scratch.reply.len();
        restart(&mut scratch.reply);
        if cost > SHORT {
            return Verdict::Long(listing);
        }
        while !self.list_some(&mut listing) {}
        listing.write(&mut scratch.reply);
        scratch.matching.walked = cost;
        Verdict::Reply
    }

    /// What is to be told, and what it costs; refused where no outbox would hold it, as far as that is known at once: what
    /// is escaped takes more.
    fn source(
        &self,
        session: SessionId,
        state: &Session,
        command: Command,
    ) -> Result<(Source, usize), Refusal> {
        self.check_state(state)?;
        let check = |bytes: usize| match bytes > self.limits.outbox_bytes {
            true => Err(Refusal::Exceeded(too_long(bytes, self.limits.outbox_bytes))),
            false => Ok(bytes),
        };
        if command == Command::List {
            let held = self.index.holding(session.slot);
            // Every tag stands in both forms.
            let bytes = check(2 * (held.name_bytes + 2 * held.tags))?;
            return Ok((Source::Own(None), bytes + TAG_COST * held.tags));
        }
        if let Some(grants) = self.grants(state) {
            // Of the grants that are in use, and those are not known yet.
            let cost = 2 * TAG_COST * grants.tags().len();
            return Ok((Source::Granted(0), cost));
        }
        let (tags, name_bytes) = self.index.tag_totals();
        // Every tag stands in both forms.
        let bytes = check(2 * (name_bytes + 2 * tags))?;
        let cost = TAG_COST * (tags + self.index.tag_bound() / PLACES_PER_TAG);
        Ok((Source::All(0), bytes + cost))
    }

    /// Gathers a part of an answer; returns whether that was the last.
    ///
    /// What is subscribed to and given up meanwhile may be in it or not. Where the session has gone, nothing is left to do.
    pub fn list_some(&self, listing: &mut Listing) -> bool {
        let Listing {
            session,
            source,
            found,
            limit,
            ..
        } = listing;
        let Some(state) = self.session(*session) else {
            *source = Source::Complete;
            found.clear();
            return true;
        };
        if found.text.capacity() == 0 {
            // At once as much as it will be: what grows by and by has twice the size.
            let (tags, name_bytes) = match source {
                Source::Own(_) => {
                    let held = self.index.holding(session.slot);
                    (held.tags, held.name_bytes)
                }
                Source::All(_) => self.index.tag_totals(),
                Source::Granted(_) | Source::Complete => (0, 0),
            };
            let room = name_bytes + tags;
            found.text.reserve_exact(room.min(*limit));
        }
        let is_last = match source {
            Source::Own(sets) => {
                let sets = sets.get_or_insert_with(|| self.index.held(session.slot).collect());
                let mut tags = 0;
                while tags < PART
                    && let Some(set) = sets.pop()
                {
                    if self.index.tags_if_held(session.slot, set).is_some() {
                        let names = self.index.sorted_tags(set);
                        tags += names.len();
                        found.add(names);
                    }
                }
                sets.is_empty()
            }
            Source::All(next) => {
                let end = *next + PART;
                for name in self.index.tag_names(*next..end) {
                    found.add([name]);
                }
                *next = end;
                end >= self.index.tag_bound()
            }
            Source::Granted(next) => {
                let grants = self.grants(state).map_or(&[][..], |grants| grants.tags());
                let rest = grants.get(*next..).unwrap_or_default();
                for name in rest.iter().take(PART) {
                    if self.index.has_tag(name) {
                        found.add([name.as_str()]);
                    }
                }
                *next += PART;
                rest.len() <= PART
            }
            Source::Complete => true,
        };
        if found.bytes > *limit {
            // Nobody waits for what is refused in the end.
            found.clear();
            return true;
        }
        if is_last {
            *source = Source::Complete;
        }
        is_last
    }
}

fn too_long(value: usize, limit: usize) -> Exceeded {
    Exceeded {
        what: "bytes of an answer",
        value,
        limit,
        setting: "outbox-bytes",
    }
}
