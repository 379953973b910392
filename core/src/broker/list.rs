//! The answers to `list` and `listall`. They may be long, so they are gathered a part at a time: others have the broker in
//! between.

use alloc::string::String;
use alloc::vec::Vec;

use super::Broker;
use super::listing::{Found, Listing, OthersQuery, Source};
use super::nodes::NodesQuery;
use super::output::{Long, Verdict};
use super::scratch::{Scratch, restart};
use super::session::{Session, SessionId};
use crate::limits::LIMIT;
use crate::message::{Command, Data, Message, Refusal, echoed_tags, write_refusal};

/// Tags that are looked at before others get the broker.
const PART: usize = 512;
/// What a tag costs besides its bytes, in the unit of [`Scratch::walked`].
const TAG_COST: usize = 16;
/// A place of a tag that has gone costs a sixteenth of one that is there.
const PLACES_PER_TAG: usize = 16;
/// An answer that costs no more is given at once.
const SHORT: usize = 20_000;

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
            others: None,
            silent: Vec::new(),
        };
        if message.command() == Command::ListAll && self.asks_others() {
            let grants = self.grants(state);
            listing.others = Some(OthersQuery {
                granted: grants.map(|grants| grants.subscribe.clone()),
            });
        }
        // All but the sets: each brings a comma or a blank along, of which the last is not written.
        listing.write_with(Data::Literal("\"\""), Some(&|_| ()), &mut scratch.reply);
        listing.found.bytes = scratch.reply.len();
        restart(&mut scratch.reply);
        if cost > SHORT || listing.others.is_some() {
            return Verdict::Long(Long::Listing(listing));
        }
        while !self.list_some(&mut listing) {}
        listing.write(&mut scratch.reply);
        scratch.matching.walked = cost;
        Verdict::Reply
    }

    /// Begins with the answer to `nodes`, which only a node of a cluster knows.
    pub(super) fn begin_nodes(
        &self,
        session: SessionId,
        state: &Session,
        message: &Message<'_>,
    ) -> Result<Long, Refusal> {
        if self.link.is_none() {
            return Err(Refusal::Unknown);
        }
        self.check_state(state)?;
        Ok(Long::Nodes(NodesQuery {
            session,
            id: message.id_literal().map(String::from),
        }))
    }

    /// Whether an answer to `listall` needs the other nodes.
    pub(super) fn asks_others(&self) -> bool {
        self.link.is_some() && self.others.nodes > 0
    }

    /// Begins to gather the tags of this node's subscriptions for another: all, or those that are granted there. To be
    /// gathered with [`Broker::list_some`]; then [`Listing::into_found`] has them. `None` where this is no node.
    #[must_use]
    pub fn list_for_others(&self, granted: Option<Vec<String>>) -> Option<Listing> {
        let source = match granted {
            None => Source::All(0),
            Some(tags) => Source::Asked(tags, 0),
        };
        Some(Listing {
            session: self.link?,
            command: "listall",
            tags: Vec::new(),
            id: None,
            source,
            found: Found::default(),
            limit: self.limits.outbox_bytes.min(u32::MAX as usize),
            others: None,
            silent: Vec::new(),
        })
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
        let check = |bytes: usize| {
            let checked = LIMIT.outbox_bytes.check(bytes, self.limits.outbox_bytes);
            checked.map(|()| bytes)
        };
        if command == Command::List {
            let held = self.index.holding(session.slot);
            // Every tag stands in both forms.
            let bytes = check(2 * (held.name_bytes + 2 * held.tags))?;
            return Ok((Source::Own(None), bytes + TAG_COST * held.tags));
        }
        if let Some(grants) = self.grants(state) {
            // Of the grants that are in use, and those are not known yet.
            let cost = 2 * TAG_COST * grants.subscribe.len();
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
                Source::Granted(_) | Source::Asked(..) | Source::Complete => (0, 0),
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
                let grants = self
                    .grants(state)
                    .map_or(&[][..], |grants| &grants.subscribe);
                let rest = grants.get(*next..).unwrap_or_default();
                for name in rest.iter().take(PART) {
                    if self.index.has_tag(name) {
                        found.add([name.as_str()]);
                    }
                }
                *next += PART;
                rest.len() <= PART
            }
            Source::Asked(tags, next) => {
                let rest = tags.get(*next..).unwrap_or_default();
                let there = rest.iter().take(PART).filter(|tag| self.index.has_tag(tag));
                there.for_each(|tag| found.add([tag.as_str()]));
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
