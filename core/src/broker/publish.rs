//! Publishes that are matched in parts because they take too long: others have the broker in between.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::Broker;
use super::output::{Long, Output};
use super::receipt::Receipt;
use super::scratch::Scratch;
use super::session::SessionId;
use super::walk::Walk;
use crate::auth::Grants;
use crate::message::{Message, write_head, write_rest};
use crate::sort::sort;

impl Broker {
    /// Begins with a message that is too much for one turn.
    #[cold]
    pub(super) fn begin_publish(
        &self,
        publisher: SessionId,
        message: &Message<'_>,
        receipt: Option<Receipt>,
    ) -> Long {
        let tags = message.tags().map(Cow::into_owned).collect();
        let data = message.data_literal();
        let walk = self.begin_walk(Some(publisher), tags, data, receipt);
        Long::Publish(Box::new(walk))
    }

    pub(super) fn begin_walk(
        &self,
        publisher: Option<SessionId>,
        mut tags: Vec<String>,
        data: Option<&str>,
        receipt: Option<Receipt>,
    ) -> Walk {
        sort(&mut tags);
        tags.dedup();
        let mut message = Vec::new();
        write_head(&mut message, tags.iter().map(String::as_str));
        write_rest(&mut message, data);
        let state = publisher.and_then(|session| self.session(session));
        Walk {
            is_granted: state.is_some_and(|state| self.grants(state).is_some()),
            tags: tags.into_iter().map(String::into_boxed_str).collect(),
            message,
            receipt,
            publisher,
            is_new: true,
            matching: self.index.begin_walk(publisher.map(|session| session.slot)),
        }
    }

    /// Finds some of the receivers of a message: [`Scratch::targets`]. They get it before the broker is used otherwise,
    /// since a subscription may be gone then. Returns whether that was the last part.
    ///
    /// No session gets it twice, and every session gets it that has a matching subscription from the first part to the
    /// last. It goes on after the publisher has left, and stops early if the publisher may no longer publish it.
    #[must_use]
    pub fn publish_some(&self, walk: &mut Walk, scratch: &mut Scratch) -> bool {
        if !self.may_go_on(walk) {
            scratch.matching.targets.clear();
            return true;
        }
        let tags = walk.tags.iter().map(|tag| tag.as_bytes());
        let matching = &mut scratch.matching;
        let is_last = self.index.walk_some(tags, &mut walk.matching, matching);
        if !self.taps.is_empty() {
            let targets = &mut matching.targets;
            targets.retain(|target| self.taps.iter().all(|tap| tap.slot != *target));
            if walk.is_new {
                self.add_taps(walk.publisher, targets);
            }
        }
        let is_for_cluster = |receipt: &Receipt| receipt.is_for_cluster;
        if walk.is_new && !walk.receipt.as_ref().is_some_and(is_for_cluster) {
            let tags = walk.tags.iter().map(|tag| tag.as_bytes());
            self.add_link(walk.publisher, tags, &mut matching.targets);
        }
        walk.is_new = false;
        is_last
    }

    /// Whether the publisher of a message may still publish it. A subscription made after a grant was revoked gets
    /// nothing.
    fn may_go_on(&self, walk: &Walk) -> bool {
        let Some(state) = walk.publisher.and_then(|session| self.session(session)) else {
            // What would be granted by now to a session that has gone is not known.
            return !walk.is_granted;
        };
        let is_allowed = |grants: &Grants| walk.tags.iter().all(|tag| grants.allow_publish(tag));
        self.check_state(state).is_ok() && self.grants(state).is_none_or(is_allowed)
    }

    /// Finds all receivers of a message, for a host that does nothing in between.
    pub(super) fn publish_whole(&mut self, publisher: SessionId, mut walk: Walk) {
        let mut scratch = core::mem::take(&mut self.scratch);
        let mut targets = Vec::new();
        loop {
            let is_last = self.publish_some(&mut walk, &mut scratch);
            targets.extend(self.ids_of(scratch.targets()));
            if is_last {
                break;
            }
        }
        self.scratch = scratch;
        let is_for_cluster = |receipt: &Receipt| receipt.is_for_cluster;
        let is_needed = !targets.is_empty() || walk.receipt.as_ref().is_some_and(is_for_cluster);
        self.outputs.push_back(Output::Deliver {
            publisher,
            targets,
            sets: Vec::new(),
            message: if is_needed { walk.message } else { Vec::new() },
            receipt: walk.receipt,
        });
    }
}
