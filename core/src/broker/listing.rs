//! The answers to `list` and `listall`. They may be long, so they are gathered a part at a time: others have the broker in
//! between.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Broker, Scratch, Verdict, echoed_tags, restart, write_refusal};
use crate::error::Refusal;
use crate::limits::Exceeded;
use crate::message::{Command, Data, Message, Reply};
use crate::session::{Session, SessionId};
use crate::sort::sort;
use crate::text::{join, text};

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
    /// Lists of tags: those of one subscription each, or one tag each.
    found: Vec<Vec<String>>,
    /// What the answer weighs so far, and may weigh.
    bytes: usize,
    limit: usize,
}

#[derive(Debug)]
enum Source {
    /// The session's own subscriptions: the numbers of the sets that are still to come.
    Own(Vec<u32>),
    /// All tags, from a number on.
    All(usize),
    /// The tags that are granted, from a place among them on.
    Granted(usize),
    Complete,
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

    fn write(self, out: &mut Vec<u8>) {
        let (mut data, mut subscriptions, mut error) = (String::new(), Vec::new(), String::new());
        // By the form that people read, so that both forms have one order.
        let joined = |tags: &Vec<String>| join(tags.iter().map(String::as_str), ",");
        let mut found: Vec<_> = self.found.iter().map(|tags| (joined(tags), tags)).collect();
        if self.bytes > self.limit {
            error = text![Refusal::Exceeded(too_long(self.bytes, self.limit))];
        } else {
            sort(&mut found);
            // A tag that went and came back meanwhile was found twice.
            found.dedup();
            data = join(found.iter().map(|(text, _)| text.as_str()), " ");
            if self.command == "list" {
                let tags = found.iter().map(|(_, tags)| tags.iter());
                subscriptions = tags
                    .map(|tags| tags.map(String::as_str).collect())
                    .collect::<Vec<Vec<_>>>();
            }
        }
        let tags: Vec<_> = self.tags.iter().map(String::as_str).collect();
        Reply {
            command: self.command,
            tags: &tags,
            data: Data::Text(&data),
            error: &error,
            subscriptions: &subscriptions,
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
            found: Vec::new(),
            bytes: 0,
            limit: self.limits.outbox_bytes,
        };
        if cost > SHORT {
            return Verdict::Long(listing);
        }
        while !self.list_some(&mut listing) {}
        listing.write(&mut scratch.reply);
        scratch.matching.walked = cost;
        Verdict::Reply
    }

    /// What is to be told, and what it costs; refused where no outbox would hold it.
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
            let source = Source::Own(self.index.held(session.slot).collect());
            return Ok((source, bytes + TAG_COST * held.tags));
        }
        if let Some(grants) = self.grants(state) {
            // Of the grants that are in use, and those are not known yet.
            let cost = 2 * TAG_COST * grants.tags().len();
            return Ok((Source::Granted(0), cost));
        }
        let (tags, name_bytes) = self.index.tag_totals();
        let bytes = check(name_bytes + tags)?;
        let cost = TAG_COST * (tags + self.index.tag_bound() / PLACES_PER_TAG);
        Ok((Source::All(0), bytes + cost))
    }

    /// Gathers a part of an answer; returns whether that was the last.
    ///
    /// What is subscribed to and given up meanwhile may be in it or not. Where the session has gone, nothing is left to do.
    pub fn list_some(&self, listing: &mut Listing) -> bool {
        let Some(state) = self.session(listing.session) else {
            listing.source = Source::Complete;
            return true;
        };
        let Listing {
            session,
            source,
            found,
            bytes,
            limit,
            ..
        } = listing;
        let is_last = match source {
            Source::Own(sets) => {
                let mut tags = 0;
                while tags < PART
                    && let Some(set) = sets.pop()
                {
                    if self.index.tags_if_held(session.slot, set).is_some() {
                        let names = self.index.sorted_tags(set);
                        tags += names.len();
                        *bytes += names.iter().map(|name| 2 * (name.len() + 2)).sum::<usize>();
                        found.push(names.into_iter().map(String::from).collect());
                    }
                }
                sets.is_empty()
            }
            Source::All(next) => {
                let end = *next + PART;
                for name in self.index.tag_names(*next..end) {
                    *bytes += name.len() + 1;
                    found.push(alloc::vec![name.into()]);
                }
                *next = end;
                end >= self.index.tag_bound()
            }
            Source::Granted(next) => {
                let grants = self.grants(state).map_or(&[][..], |grants| grants.tags());
                let rest = grants.get(*next..).unwrap_or_default();
                for name in rest.iter().take(PART) {
                    if self.index.has_tag(name) {
                        *bytes += name.len() + 1;
                        found.push(alloc::vec![name.clone()]);
                    }
                }
                *next += PART;
                rest.len() <= PART
            }
            Source::Complete => true,
        };
        // Nobody waits for what is refused in the end.
        is_last || *bytes > *limit
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
