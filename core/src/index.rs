//! Owns the answer to "which clients have a tag set that is a subset of these tags?"; knows nothing of messages.
//!
//! Identical sets are stored once, with the list of their clients (`sets`). A set of one tag stands with its tag. One of
//! more stands under two of them, those that the fewest sets hold (`pairs`). Matching looks for each pair of the message's
//! tags, most of which are those of no set (`sieve`), and then for the tags of the set besides, in a bitmap (`bits`).

mod bits;
mod pairs;
mod parts;
mod sets;
mod shards;
mod sieve;
mod tags;
#[cfg(test)]
mod tests;
mod update;
mod walk;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use hashbrown::HashTable;

use self::bits::{clear, fit, is_set, set};
use self::pairs::{Asked, Carried, Pairs};
use self::sets::{ClientId, MANY, SetId, Sets};
use self::shards::Shards;
use self::tags::{Interner, TagId};
pub(crate) use self::walk::Walk;
use crate::needs::NeedChange;
use crate::sort::sort;

/// The subscriptions of one client.
#[derive(Debug, Default)]
struct Held {
    /// The number of each set, and the client's position in the set's list of clients.
    sets: HashTable<(SetId, u32)>,
    /// Bytes of the names of their tags, where each counts for every set that it is in, and how many these are.
    name_bytes: usize,
    tags: usize,
}

impl Held {
    fn place(&self, set: SetId) -> Option<u32> {
        let held = self.sets.find(hash_number(set), |&(other, _)| other == set);
        held.map(|&(_, place)| place)
    }
}

/// What the subscriptions of one client come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) subscriptions: usize,
    /// The tags, and the bytes of their names, where each counts for every subscription that it is in.
    pub(crate) tags: usize,
    pub(crate) name_bytes: usize,
}

/// Bytes that a client's subscription takes besides its set, roughly: its places with the client and with the set.
const MEMBER_BYTES: usize = 20;

/// Spreads numbers that are given out one after the other.
fn hash_number(number: u32) -> u64 {
    u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Pairs that are asked for in the time that looking at a set takes, and clients of a set that are found in it.
const PAIRS_PER_SET: usize = 4;
const CLIENTS_PER_SET: usize = 4;

/// All subscriptions, ready to be matched.
#[derive(Debug)]
pub(crate) struct Index {
    tags: Interner,
    sets: Sets,
    by_tags: Shards<SetId>,
    pairs: Pairs,
    held: Vec<Held>,
    subscriptions: usize,
    subscribers: usize,
    /// Each [`Walk`] holds it too.
    walks: Arc<()>,
    /// What sets need that came and went, where a host wants to know.
    needs: Option<Vec<NeedChange>>,
    /// Reused by updates.
    ids: Vec<TagId>,
}

/// The memory that matching works in: one per thread, reused.
#[derive(Debug, Default)]
pub(crate) struct MatchScratch {
    tag_bits: Vec<u64>,
    client_bits: Vec<u64>,
    carried: Vec<Carried>,
    asked: Vec<Asked>,
    answers: Vec<u32>,
    pub(crate) targets: Vec<ClientId>,
    /// Pairs of tags and sets that the last match looked at.
    pub(crate) walked: usize,
}

impl MatchScratch {
    /// The numbers of the sets that matched, in no order; of a numbered index only.
    pub(crate) fn sets(&self) -> impl ExactSizeIterator<Item = u32> {
        self.answers.iter().map(|answer| answer & !MANY)
    }
}

impl Index {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(Interner::new(seed), false)
    }

    /// Creates an index that also says which sets match, and which tags come into use and go out of it.
    pub(crate) fn numbered(seed: u64) -> Self {
        Self::with(Interner::journalled(seed), true)
    }

    fn with(tags: Interner, is_numbered: bool) -> Self {
        Self {
            tags,
            sets: Sets::new(is_numbered),
            by_tags: Shards::new(),
            pairs: Pairs::new(),
            held: Vec::new(),
            subscriptions: 0,
            subscribers: 0,
            walks: Arc::default(),
            needs: None,
            ids: Vec::new(),
        }
    }

    /// From now on it is noted what sets need that come and go; there must be none yet.
    pub(crate) fn note_needs(&mut self) {
        debug_assert_eq!(
            self.subscriptions, 0,
            "the needs of these would not be known"
        );
        self.needs = Some(Vec::new());
    }

    /// Whether sets have come or gone since [`Index::take_needs`].
    pub(crate) fn has_new_needs(&self) -> bool {
        self.needs.as_ref().is_some_and(|needs| !needs.is_empty())
    }

    pub(crate) fn take_needs(&mut self) -> Vec<NeedChange> {
        self.needs.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Says how much one message may look at at once, in the unit of [`MatchScratch::walked`].
    pub(crate) fn set_most(&mut self, most: usize) {
        self.pairs.most = most;
    }

    /// All subscriptions of all clients.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// The clients that hold a subscription.
    pub(crate) fn subscribers(&self) -> usize {
        self.subscribers
    }

    /// Bytes that all subscriptions take, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.tags.bytes() + self.sets.bytes() + MEMBER_BYTES * self.subscriptions
    }

    /// What the subscriptions of a client come to.
    pub(crate) fn holding(&self, client: ClientId) -> Holding {
        let held = self.held.get(client as usize);
        held.map_or(Holding::default(), |held| Holding {
            subscriptions: held.sets.len(),
            tags: held.tags,
            name_bytes: held.name_bytes,
        })
    }

    /// Whether a client holds exactly this set; `names` are without duplicates.
    pub(crate) fn holds(&self, client: ClientId, names: &[&str]) -> bool {
        self.number(client, names).is_some()
    }

    /// The number of exactly this set if a client holds it; `names` are without duplicates.
    pub(crate) fn number(&self, client: ClientId, names: &[&str]) -> Option<u32> {
        let set = self.find_names(names)?;
        self.held.get(client as usize)?.place(set)?;
        Some(set)
    }

    /// A client that holds exactly this set; `names` are without duplicates.
    pub(crate) fn holder(&self, names: &[&str]) -> Option<ClientId> {
        let clients = self.sets.clients(self.find_names(names)?);
        clients.first().copied()
    }

    fn find_names(&self, names: &[&str]) -> Option<SetId> {
        let ids: Option<Vec<_>> = names
            .iter()
            .map(|name| self.tags.find(name.as_bytes()))
            .collect();
        let mut ids = ids?;
        sort(&mut ids);
        self.find_set(&ids)
    }

    /// Takes out a tag that came into use or went out of it; see [`Interner::take_changed`].
    pub(crate) fn take_changed_tag(&mut self) -> Option<(u32, Option<&str>)> {
        self.tags.take_changed()
    }

    /// The numbers of the sets that a client holds, in no order.
    pub(crate) fn held(&self, client: ClientId) -> impl Iterator<Item = SetId> {
        let held = self.held.get(client as usize).into_iter();
        held.flat_map(|held| held.sets.iter().map(|&(set, _)| set))
    }

    /// The tags of a set, in no order, if a client holds it.
    pub(crate) fn tags_if_held(
        &self,
        client: ClientId,
        set: SetId,
    ) -> Option<impl Iterator<Item = &str>> {
        self.held.get(client as usize)?.place(set)?;
        Some(self.sets.tags(set).map(|tag| self.tags.name(tag)))
    }

    /// The tags of a set that somebody holds.
    pub(crate) fn sorted_tags(&self, set: SetId) -> Vec<&str> {
        let tags = self.sets.tags(set);
        let mut names: Vec<_> = tags.map(|tag| self.tags.name(tag)).collect();
        sort(&mut names);
        names
    }

    /// How many different tags all subscriptions have, and the bytes of their names.
    pub(crate) fn tag_totals(&self) -> (usize, usize) {
        (self.tags.len(), self.tags.name_bytes())
    }

    /// The different tags of all subscriptions that have these numbers.
    pub(crate) fn tag_names(&self, numbers: Range<usize>) -> impl Iterator<Item = &str> {
        self.tags.names(numbers)
    }

    /// The tags have smaller numbers.
    pub(crate) fn tag_bound(&self) -> usize {
        self.tags.bound()
    }

    /// Whether a subscription has this tag.
    pub(crate) fn has_tag(&self, name: &str) -> bool {
        self.tags.find(name.as_bytes()).is_some()
    }

    /// Finds the clients with a set whose tags are all among `names`, each once, without `except`.
    ///
    /// The result is `scratch.targets`, in no order. Allocates only until `scratch` has its size. Where it is
    /// not [whole](Index::is_whole), it is nothing.
    pub(crate) fn matches<'a>(
        &self,
        names: impl Iterator<Item = &'a [u8]>,
        except: Option<ClientId>,
        scratch: &mut MatchScratch,
    ) {
        let tags = names.filter_map(|name| self.tags.find_with_alone(name));
        self.find_answers(tags, scratch);
        self.expand(except, scratch);
    }

    /// Whether the last match looked at everything. If not, it was [too much](Index::set_most) at once, and takes a [`Walk`].
    #[inline]
    pub(crate) fn is_whole(&self, scratch: &MatchScratch) -> bool {
        scratch.walked <= self.pairs.most
    }

    /// Finds the sets of which all tags are among those with these numbers: [`MatchScratch::sets`].
    ///
    /// A number that stands for no tag is passed over.
    pub(crate) fn match_sets(&self, tags: &[u32], scratch: &mut MatchScratch) {
        let tags = tags.iter().map(|&tag| TagId(tag));
        let known = tags.filter(|&tag| self.tags.is_known(tag));
        self.find_answers(known.map(|tag| (tag, self.tags.alone(tag))), scratch);
    }

    /// Finds the sets all whose tags are among `tags`, as answers; not all of them where that is too much. With each tag
    /// comes the set of it alone.
    #[inline]
    fn find_answers(
        &self,
        tags: impl Iterator<Item = (TagId, Option<SetId>)>,
        scratch: &mut MatchScratch,
    ) {
        fit(&mut scratch.tag_bits, self.tags.bound());
        let MatchScratch {
            tag_bits,
            carried,
            asked,
            answers,
            walked,
            ..
        } = scratch;
        carried.clear();
        answers.clear();
        for (tag, alone) in tags {
            // A duplicate tag would match twice.
            if is_set(tag_bits, tag.0) {
                continue;
            }
            set(tag_bits, tag.0);
            if let Some(set) = alone {
                answers.push(self.sets.answer(set));
            }
            let hash = self.tags.hash_id(tag);
            carried.push(Carried { tag, hash });
        }
        let sets = &self.sets;
        let looked_at = if self.is_sooner_by_sets(carried.len()) {
            if sets.bound() <= self.pairs.most {
                sets.walk(0..sets.bound(), tag_bits, answers);
            }
            sets.bound()
        } else {
            self.pairs.walk(carried, tag_bits, sets, asked, answers)
        };
        *walked = carried.len() + looked_at;
        for Carried { tag, .. } in carried {
            clear(tag_bits, tag.0);
        }
    }

    /// Finds the clients that the answers stand for, each once, without `except`; not all of them where that is too much.
    #[inline]
    pub(crate) fn expand(&self, except: Option<ClientId>, scratch: &mut MatchScratch) {
        fit(&mut scratch.client_bits, self.held.len().max(1));
        let MatchScratch {
            client_bits,
            answers,
            targets,
            walked,
            ..
        } = scratch;
        targets.clear();
        match answers[..] {
            [] => {}
            [answer] if answer & MANY == 0 => {
                targets.extend(Some(answer).filter(|&client| Some(client) != except));
            }
            [answer] => {
                self.copy_clients(answer & !MANY, except, targets);
                *walked += targets.len() / CLIENTS_PER_SET;
            }
            _ => {
                if let Some(client) = except.filter(|&client| (client as usize) < self.held.len()) {
                    set(client_bits, client);
                }
                for &answer in answers.iter() {
                    let mut add = |client| {
                        if !is_set(client_bits, client) {
                            set(client_bits, client);
                            targets.push(client);
                        }
                    };
                    if answer & MANY == 0 {
                        add(answer);
                    } else {
                        let clients = self.sets.clients(answer & !MANY);
                        *walked += clients.len() / CLIENTS_PER_SET;
                        if *walked > self.pairs.most {
                            break;
                        }
                        clients.iter().copied().for_each(&mut add);
                    }
                }
                if let Some(client) = except.filter(|&client| (client as usize) < self.held.len()) {
                    clear(client_bits, client);
                }
                for &client in targets.iter() {
                    clear(client_bits, client);
                }
            }
        }
    }

    /// Copies all clients of the only set that matched; `except` is found by its stored position, not by looking.
    fn copy_clients(&self, number: SetId, except: Option<ClientId>, targets: &mut Vec<ClientId>) {
        targets.extend_from_slice(self.sets.clients(number));
        let held = except.and_then(|client| self.held.get(client as usize));
        if let Some(at) = held.and_then(|held| held.place(number)) {
            targets.swap_remove(at as usize);
        }
    }

    fn find_set(&self, ids: &[TagId]) -> Option<SetId> {
        let hash = self.tags.hash_set(ids.iter().copied());
        self.by_tags
            .find(hash, |&set| self.sets.is_of(set, ids))
            .copied()
    }
}
