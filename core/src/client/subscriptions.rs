//! Owns the tag sets that local subscriptions want, and which of them the server holds; knows nothing of deadlines.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::event::{Delivery, RequestId, SubscriptionId};
use crate::index::{Index, MatchScratch};
use crate::message::Message;
use crate::sort::sort;

/// How many distinct arrays of tags are remembered with their matches; past it the memory starts anew.
const REMEMBERED: usize = 1024;

/// Where a wanted set stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnWire {
    /// Not asked for on this connection.
    No,
    /// Asked for by the errand with this number.
    Asked(u64),
    /// Acknowledged.
    Live,
}

/// The number of a wanted set; small and reused.
pub(super) type Slot = u32;

#[derive(Debug)]
struct Wanted {
    tags: Arc<[String]>,
    locals: Vec<SubscriptionId>,
    on_wire: OnWire,
}

#[derive(Debug)]
struct Local {
    slot: Slot,
    /// The request that waits for the acknowledgement.
    waiting: Option<RequestId>,
}

/// What is known of an array of tags that deliveries carry.
#[derive(Clone, Debug)]
struct Known {
    tags: Arc<[String]>,
    matches: Arc<[SubscriptionId]>,
}

/// What became of a set when a local subscription left it.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) tags: Arc<[String]>,
    /// Where the set stood on the wire, if that was its last subscription.
    pub(super) last: Option<OnWire>,
    /// The request that was waiting for the acknowledgement.
    pub(super) waiting: Option<RequestId>,
}

/// A set that the server does not hold.
#[derive(Debug)]
pub(super) struct Dropped {
    pub(super) tags: Arc<[String]>,
    /// The requests that were waiting for the acknowledgement.
    pub(super) waiting: Vec<RequestId>,
    /// Whether a local subscription had been acknowledged before.
    pub(super) had_settled: bool,
}

/// The wanted subscriptions.
#[derive(Debug)]
pub(super) struct Subscriptions {
    wanted: Vec<Option<Wanted>>,
    free: Vec<Slot>,
    locals: HashMap<SubscriptionId, Local, FixedState>,
    next_local: u64,
    /// Answers which sets there are and which match; a set's slot stands where a broker has a client.
    index: Index,
    scratch: MatchScratch,
    known: HashMap<Box<str>, Known, FixedState>,
}

/// Returns the tags as a set: sorted, without duplicates.
pub(super) fn tag_set<T: AsRef<str>>(tags: impl IntoIterator<Item = T>) -> Arc<[String]> {
    let mut tags: Vec<String> = tags.into_iter().map(|tag| tag.as_ref().into()).collect();
    sort(&mut tags);
    tags.dedup();
    tags.into()
}

fn names(tags: &[String]) -> Vec<&str> {
    tags.iter().map(String::as_str).collect()
}

impl Subscriptions {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            wanted: Vec::new(),
            free: Vec::new(),
            locals: HashMap::with_hasher(FixedState::with_seed(seed)),
            next_local: 0,
            index: Index::new(seed),
            scratch: MatchScratch::default(),
            // Other clients choose the tags, so the hash is seeded.
            known: HashMap::with_hasher(FixedState::with_seed(seed)),
        }
    }

    /// Adds a local subscription; `tags` are sorted, without duplicates and not empty.
    pub(super) fn add(&mut self, tags: Arc<[String]>) -> (SubscriptionId, Slot) {
        self.next_local += 1;
        let id = SubscriptionId(self.next_local);
        let slot = match self.find(&tags) {
            Some(slot) => slot,
            None => self.add_set(&tags),
        };
        if let Some(wanted) = self.wanted[slot as usize].as_mut() {
            wanted.locals.push(id);
        }
        let waiting = None;
        self.locals.insert(id, Local { slot, waiting });
        self.known.clear();
        (id, slot)
    }

    fn add_set(&mut self, tags: &Arc<[String]>) -> Slot {
        let wanted = Wanted {
            tags: Arc::clone(tags),
            locals: Vec::new(),
            on_wire: OnWire::No,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.wanted[slot as usize] = Some(wanted);
                slot
            }
            None => {
                self.wanted.push(Some(wanted));
                (self.wanted.len() - 1) as Slot
            }
        };
        self.index.subscribe(slot, &names(tags));
        slot
    }

    /// Removes a local subscription; `None` when it is gone already.
    pub(super) fn remove(&mut self, id: SubscriptionId) -> Option<Left> {
        let Local { slot, waiting } = self.locals.remove(&id)?;
        self.known.clear();
        let wanted = self.wanted[slot as usize].as_mut()?;
        wanted.locals.retain(|&local| local != id);
        let tags = Arc::clone(&wanted.tags);
        let is_last = wanted.locals.is_empty();
        let last = is_last.then_some(wanted.on_wire);
        if is_last {
            self.forget(slot);
        }
        Some(Left {
            tags,
            last,
            waiting,
        })
    }

    fn forget(&mut self, slot: Slot) {
        let Some(wanted) = self.wanted[slot as usize].take() else {
            return;
        };
        self.index.unsubscribe(slot, &names(&wanted.tags));
        self.free.push(slot);
    }

    /// Removes a set with all its local subscriptions.
    pub(super) fn remove_set(&mut self, slot: Slot) -> Option<Dropped> {
        let waiting = self.take_waiting(slot);
        let wanted = self.wanted.get(slot as usize)?.as_ref()?;
        let dropped = Dropped {
            tags: Arc::clone(&wanted.tags),
            had_settled: wanted.locals.len() > waiting.len(),
            waiting,
        };
        for local in &wanted.locals {
            self.locals.remove(local);
        }
        self.known.clear();
        self.forget(slot);
        Some(dropped)
    }

    /// Returns the requests that wait for a set's acknowledgement, which then do so no more.
    pub(super) fn take_waiting(&mut self, slot: Slot) -> Vec<RequestId> {
        let Some(wanted) = &self.wanted[slot as usize] else {
            return Vec::new();
        };
        let locals = &mut self.locals;
        wanted
            .locals
            .iter()
            .filter_map(|id| locals.get_mut(id)?.waiting.take())
            .collect()
    }

    pub(super) fn is_wanted(&self, id: SubscriptionId) -> bool {
        self.locals.contains_key(&id)
    }

    pub(super) fn set_waiting(&mut self, id: SubscriptionId, request: Option<RequestId>) {
        if let Some(local) = self.locals.get_mut(&id) {
            local.waiting = request;
        }
    }

    /// Returns where a set stands on the wire, or `None` when the slot is free.
    pub(super) fn on_wire(&self, slot: Slot) -> Option<OnWire> {
        Some(self.wanted.get(slot as usize)?.as_ref()?.on_wire)
    }

    pub(super) fn set_on_wire(&mut self, slot: Slot, on_wire: OnWire) {
        if let Some(wanted) = self.wanted[slot as usize].as_mut() {
            wanted.on_wire = on_wire;
        }
    }

    /// Forgets what the last connection's server held.
    pub(super) fn connection_lost(&mut self) {
        for wanted in self.wanted.iter_mut().flatten() {
            wanted.on_wire = OnWire::No;
        }
    }

    pub(super) fn tags(&self, slot: Slot) -> Option<Arc<[String]>> {
        let wanted = self.wanted.get(slot as usize)?.as_ref()?;
        Some(Arc::clone(&wanted.tags))
    }

    /// Returns the slots of all wanted sets.
    pub(super) fn slots(&self) -> Vec<Slot> {
        let slots = 0..self.wanted.len() as Slot;
        slots.filter(|&slot| self.on_wire(slot).is_some()).collect()
    }

    /// Returns all wanted sets, sorted.
    pub(super) fn sets(&self) -> Vec<&[String]> {
        let wanted = self.wanted.iter().flatten();
        let mut sets: Vec<_> = wanted.map(|wanted| &*wanted.tags).collect();
        sort(&mut sets);
        sets
    }

    pub(super) fn find(&self, tags: &[String]) -> Option<Slot> {
        self.index.holder(&names(tags))
    }

    /// Returns a delivered message with the local subscriptions it matches.
    pub(super) fn delivery(&mut self, message: &Message<'_>) -> Delivery {
        let text = message.tags_text();
        let known = match self.known.get(text) {
            Some(known) => known.clone(),
            None => self.look_up(message),
        };
        Delivery {
            tags: known.tags,
            data: message.data().map(Into::into).unwrap_or_default(),
            subscriptions: known.matches,
        }
    }

    fn look_up(&mut self, message: &Message<'_>) -> Known {
        let tags = tag_set(message.tags());
        let names = tags.iter().map(String::as_bytes);
        self.index.matches(names, None, &mut self.scratch);
        let mut matches: Vec<SubscriptionId> = self
            .scratch
            .targets
            .iter()
            .filter_map(|&slot| self.wanted.get(slot as usize)?.as_ref())
            .flat_map(|wanted| wanted.locals.iter().copied())
            .collect();
        sort(&mut matches);
        let known = Known {
            tags,
            matches: matches.into(),
        };
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(message.tags_text().into(), known.clone());
        known
    }
}
