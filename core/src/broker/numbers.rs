//! The broker for a host where numbers are cheap and strings are expensive, such as a page; knows nothing of messages.
//!
//! Such a host sets [`Config::is_numbered`](super::Config::is_numbered). It keeps the numbers of the tags in use, which
//! [`Broker::take_changed_tag`] tells, and for each subscription of its own the number of the tag set. It can then
//! publish by the tags' numbers, and gets the numbers of the sets that match.

use super::Broker;
use super::scratch::Scratch;
use super::session::SessionId;

impl Broker {
    /// Decides a publish by the numbers of those of its tags that are in use: [`Scratch::sets`] has the answer.
    ///
    /// Returns whether it could. If not, the message must go through [`Broker::decide`] or [`Broker::handle`]: only
    /// there are grants and limits looked at.
    #[must_use]
    pub fn decide_numbers(&self, session: SessionId, tags: &[u32], scratch: &mut Scratch) -> bool {
        let is_plain = self.session(session).is_some_and(|state| {
            state.is_settled()
                && self.check_state(state).is_ok()
                && self.grants(state).is_none()
                && self.taps.is_empty()
                && self.link.is_none()
        });
        if is_plain {
            self.index.match_sets(tags, &mut scratch.matching);
        }
        is_plain
    }

    /// Finds the sessions that hold the sets of [`Scratch::sets`], without the publisher: [`Scratch::targets`].
    pub fn find_targets(&self, publisher: SessionId, scratch: &mut Scratch) {
        self.index
            .expand(Some(publisher.slot), &mut scratch.matching);
    }

    /// Returns the number of a tag set if the session holds it. `tags` are in any order and without duplicates.
    #[must_use]
    pub fn set_number(&self, session: SessionId, tags: &[&str]) -> Option<u32> {
        self.session(session)?;
        self.index.number(session.slot, tags)
    }

    /// Takes out the number of a tag that came into use, with its name, or went out of use.
    ///
    /// To be asked after every verb. A number is used again for another tag.
    pub fn take_changed_tag(&mut self) -> Option<(u32, Option<&str>)> {
        self.index.take_changed_tag()
    }
}

impl Scratch {
    /// The numbers of the tag sets that matched, in no order, each once; of a numbered broker only.
    pub fn sets(&self) -> impl ExactSizeIterator<Item = u32> {
        self.matching.sets()
    }
}
