//! Messages that the host publishes in parts: it says who gets each part, and this whether that is right.

use std::collections::BTreeSet;

use mist_core::Access;

use super::{Event, Model, Request, Role, Sent, Tags, published};

/// A message that is published in parts.
#[derive(Debug)]
pub(super) struct Walk {
    publisher: usize,
    request: Request,
    /// Whether its publisher may publish only what is granted to it.
    is_granted: bool,
    /// What matches and was held from the beginning on.
    pub(super) lasting: BTreeSet<(usize, Tags)>,
    served: BTreeSet<usize>,
}

impl Walk {
    fn tags(&self) -> Tags {
        self.request.tags.iter().cloned().collect()
    }
}

impl Model {
    /// Takes a message that the host publishes in parts.
    pub(crate) fn begin_publish(&mut self, session: usize, sent: &Sent) {
        let Sent::Request(request) = sent else {
            panic!("no publish: {sent:?}");
        };
        let state = &mut self.sessions[session];
        assert!(state.is_connected && state.waiting.is_none() && !state.is_closing);
        (state.has_spoken, state.bad_in_row) = (true, 0);
        assert!(self.may_publish(session, request));
        let tags: Tags = request.tags.iter().cloned().collect();
        let mut lasting = BTreeSet::new();
        for (holder, state) in self.sessions.iter().enumerate() {
            let matching = state.sets.iter().filter(|set| set.is_subset(&tags));
            lasting.extend(matching.map(|set| (holder, set.clone())));
        }
        lasting.retain(|(holder, _)| *holder != session);
        self.walks.push(Walk {
            publisher: session,
            request: request.clone(),
            is_granted: self.access == Access::Scoped && self.grants(session).is_some(),
            lasting,
            served: BTreeSet::new(),
        });
    }

    fn may_publish(&self, session: usize, request: &Request) -> bool {
        let is_let_in =
            self.access == Access::Open || self.sessions[session].role != Role::Anonymous;
        is_let_in && self.check_publish(session, request).is_ok()
    }

    /// Takes a part of what was begun: whom the host gave the message, and whether those are all.
    pub(crate) fn go_on_publishing(&mut self, at: usize, targets: &[usize], is_last: bool) {
        let walk = &self.walks[at];
        let may_go_on = match self.sessions[walk.publisher].is_connected {
            true => self.may_publish(walk.publisher, &walk.request),
            false => !walk.is_granted,
        };
        assert!(may_go_on || targets.is_empty() && is_last, "it has ended");
        let walk = &mut self.walks[at];
        let tags = walk.tags();
        let text = published(&tags, &walk.request);
        for &target in targets {
            let mut sets = self.sessions[target].sets.iter();
            assert!(sets.any(|set| set.is_subset(&tags)), "{target} wants it");
            assert!(target != walk.publisher, "nobody gets its own");
            assert!(walk.served.insert(target), "{target} gets it once");
            self.events[target].push(Event::Text(text.clone()));
        }
        if is_last {
            let walk = self.walks.remove(at);
            for (holder, set) in &walk.lasting {
                let is_served = walk.served.contains(holder);
                assert!(
                    is_served || !may_go_on,
                    "{holder} has held {set:?} all the time"
                );
            }
            if self.sessions[walk.publisher].is_connected {
                self.send_receipt(walk.publisher, &walk.request, walk.served.len());
            }
        }
    }

    /// Takes note that a session does not hold a set any more.
    pub(super) fn note_gone(walks: &mut [Walk], session: usize, set: &Tags) {
        let gone = (session, set.clone());
        for walk in walks {
            walk.lasting.remove(&gone);
        }
    }
}
