//! Owns the answer to "which clients have a tag set that is a subset of these tags?"; knows nothing of messages.
//!
//! Identical sets are stored once, with the list of their clients (`sets`). A set of one tag stands with its tag. One of
//! more stands under two of them, those that the fewest sets hold (`pairs`). Matching looks for each pair of the message's
//! tags, most of which are those of no set (`sieve`), and then for the tags of the set besides, in a bitmap (`bits`).

mod bits;
mod pairs;
mod sets;
mod sieve;
mod slots;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use hashbrown::HashTable;

use self::bits::{clear, fit, is_set, set};
use self::pairs::{Asked, Carried, Pairs};
use self::sets::{MANY, Pair, Sets};
use crate::sort::sort;
use crate::tags::{Interner, Shards, TagId};

/// The number of a client: small and dense, since bitmaps are indexed by it.
pub(crate) type ClientId = u32;
type SetId = u32;

/// The subscriptions of one client: set number → position in the set's list of clients.
type Held = HashTable<(SetId, u32)>;

/// Spreads numbers that are given out one after the other.
fn hash_number(number: u32) -> u64 {
    u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Pairs that are asked for in the time that looking at a set takes.
const PAIRS_PER_SET: usize = 4;

/// All subscriptions, ready to be matched.
#[derive(Debug)]
pub(crate) struct Index {
    tags: Interner,
    sets: Sets,
    by_tags: Shards<SetId, 256>,
    pairs: Pairs,
    held: Vec<Held>,
    subscriptions: usize,
    subscribers: usize,
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
            ids: Vec::new(),
        }
    }

    /// All subscriptions of all clients.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// The clients that hold a subscription.
    pub(crate) fn subscribers(&self) -> usize {
        self.subscribers
    }

    /// How many subscriptions a client holds.
    pub(crate) fn count(&self, client: ClientId) -> usize {
        self.held.get(client as usize).map_or(0, HashTable::len)
    }

    /// Whether a client holds exactly this set; `names` are without duplicates.
    pub(crate) fn holds(&self, client: ClientId, names: &[&str]) -> bool {
        self.number(client, names).is_some()
    }

    /// The number of exactly this set if a client holds it; `names` are without duplicates.
    pub(crate) fn number(&self, client: ClientId, names: &[&str]) -> Option<u32> {
        let set = self.find_names(names)?;
        let held = self.held.get(client as usize)?;
        held.find(hash_number(set), |&(other, _)| other == set)?;
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

    /// The tags of every set a client holds, in no order.
    pub(crate) fn held(&self, client: ClientId) -> impl Iterator<Item = Vec<&str>> {
        self.held
            .get(client as usize)
            .into_iter()
            .flatten()
            .map(|&(set, _)| {
                let tags = self.sets.tags(set);
                let mut names: Vec<_> = tags.map(|tag| self.tags.name(tag)).collect();
                sort(&mut names);
                names
            })
    }

    /// The distinct tags of all subscriptions, in no order.
    pub(crate) fn tag_names(&self) -> impl Iterator<Item = &str> {
        self.tags.names()
    }

    /// Adds a subscription; `names` are without duplicates and not empty. Adding it again changes nothing.
    pub(crate) fn subscribe(&mut self, client: ClientId, names: &[&str]) {
        let mut ids = core::mem::take(&mut self.ids);
        ids.clear();
        ids.extend(names.iter().map(|name| self.tags.acquire(name)));
        sort(&mut ids);
        let set = match self.find_set(&ids) {
            Some(set) => {
                // The set holds its tags already.
                ids.iter().for_each(|&tag| self.tags.release(tag));
                set
            }
            None => self.add_set(&ids, client),
        };
        self.ids = ids;
        self.add_client(set, client);
    }

    /// Removes exactly this set from what a client holds; returns whether it was there.
    pub(crate) fn unsubscribe(&mut self, client: ClientId, names: &[&str]) -> bool {
        let mut ids = core::mem::take(&mut self.ids);
        ids.clear();
        ids.extend(
            names
                .iter()
                .filter_map(|name| self.tags.find(name.as_bytes())),
        );
        sort(&mut ids);
        let set = (ids.len() == names.len())
            .then(|| self.find_set(&ids))
            .flatten();
        self.ids = ids;
        set.is_some_and(|set| self.remove_client(set, client))
    }

    /// Removes up to `most` of what a client holds; returns whether that was all.
    pub(crate) fn remove_some(&mut self, client: ClientId, most: usize) -> bool {
        // All of them are looked up at once: to find the first entry of a table that is nearly empty takes as long as
        // to walk all of it.
        let held = self.held.get(client as usize).into_iter().flatten();
        let sets: Vec<_> = held.take(most).map(|&(set, _)| set).collect();
        for set in sets {
            self.remove_client(set, client);
        }
        self.count(client) == 0
    }

    /// Finds the clients with a set whose tags are all among `names`, each once, without `except`.
    ///
    /// The result is `scratch.targets`, in no order. Allocates only until `scratch` has its size.
    pub(crate) fn matches<'a>(
        &self,
        names: impl Iterator<Item = &'a [u8]>,
        except: Option<ClientId>,
        scratch: &mut MatchScratch,
    ) {
        self.walk(names.filter_map(|name| self.tags.find(name)), scratch);
        self.expand(except, scratch);
    }

    /// Finds the sets of which all tags are among those with these numbers: [`MatchScratch::sets`].
    ///
    /// A number that stands for no tag is passed over.
    pub(crate) fn match_sets(&self, tags: &[u32], scratch: &mut MatchScratch) {
        let bound = self.tags.bound() as u32;
        let tags = tags.iter().filter(|&&tag| tag < bound);
        self.walk(tags.map(|&tag| TagId(tag)), scratch);
    }

    /// Finds the sets all whose tags are among `tags`, as answers.
    #[inline]
    fn walk(&self, tags: impl Iterator<Item = TagId>, scratch: &mut MatchScratch) {
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
        for tag in tags {
            // A duplicate tag would match twice.
            if is_set(tag_bits, tag.0) {
                continue;
            }
            set(tag_bits, tag.0);
            if let Some(set) = self.tags.alone(tag) {
                answers.push(self.sets.answer(set));
            }
            let hash = self.tags.hash_id(tag);
            carried.push(Carried { tag, hash });
        }
        let sets = &self.sets;
        let pairs = carried.len().saturating_mul(carried.len()) / 2;
        // With very many tags it takes longer to ask for all pairs than to look at all sets.
        let looked_at = if pairs / PAIRS_PER_SET > sets.bound() {
            sets.walk(tag_bits, answers)
        } else {
            self.pairs.walk(carried, tag_bits, sets, asked, answers)
        };
        *walked = carried.len() + looked_at;
        for Carried { tag, .. } in carried {
            clear(tag_bits, tag.0);
        }
    }

    /// Finds the clients that the answers stand for, each once, without `except`.
    #[inline]
    pub(crate) fn expand(&self, except: Option<ClientId>, scratch: &mut MatchScratch) {
        fit(&mut scratch.client_bits, self.held.len().max(1));
        let MatchScratch {
            client_bits,
            answers,
            targets,
            ..
        } = scratch;
        targets.clear();
        match answers[..] {
            [] => {}
            [answer] if answer & MANY == 0 => {
                targets.extend(Some(answer).filter(|&client| Some(client) != except));
            }
            [answer] => self.copy_clients(answer & !MANY, except, targets),
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
        if let Some(&(_, at)) =
            held.and_then(|held| held.find(hash_number(number), |&(set, _)| set == number))
        {
            targets.swap_remove(at as usize);
        }
    }

    fn find_set(&self, ids: &[TagId]) -> Option<SetId> {
        let hash = self.tags.hash_set(ids.iter().copied());
        self.by_tags
            .find(hash, |&set| self.sets.is_of(set, ids))
            .copied()
    }

    /// Stores a set whose tags were acquired for it, with its first client.
    fn add_set(&mut self, ids: &[TagId], client: ClientId) -> SetId {
        let pair = self.rarest(ids.iter().copied());
        let number = self.sets.add(ids, pair, client);
        let (tags, sets) = (&self.tags, &self.sets);
        let rehash = |&set: &SetId| tags.hash_set(sets.tags(set));
        self.by_tags.insert(rehash(&number), number, rehash);
        if let Some(tag) = pair.alone() {
            self.tags.set_alone(tag, Some(number));
        } else {
            for crowded in self.pairs.add(number, &mut self.sets, &self.tags) {
                self.move_if_better(crowded);
            }
        }
        number
    }

    /// The two tags of a set that the fewest sets hold.
    fn rarest(&self, tags: impl Iterator<Item = TagId>) -> Pair {
        let (mut first, mut second) = (None, None);
        for tag in tags {
            let ranked = (self.tags.uses(tag), tag);
            if first.is_none_or(|first| ranked < first) {
                second = first.replace(ranked);
            } else if second.is_none_or(|second| ranked < second) {
                second = Some(ranked);
            }
        }
        let (_, first) = first.expect("a set has a tag");
        Pair::new(first, second.map_or(first, |(_, tag)| tag))
    }

    /// Gives a set another pair if one of its tags has become so much rarer that far fewer messages ask for that.
    fn move_if_better(&mut self, number: SetId) {
        let weight = |pair: Pair| {
            let uses = pair.tags().map(|tag| u64::from(self.tags.uses(tag)));
            uses.product::<u64>()
        };
        let pair = self.rarest(self.sets.tags(number));
        if weight(pair) < weight(self.sets.pair(number)) / 2 {
            self.pairs.remove(number, &mut self.sets, &self.tags);
            self.sets.set_pair(number, pair);
            self.pairs.add(number, &mut self.sets, &self.tags);
        }
    }

    fn add_client(&mut self, number: SetId, client: ClientId) {
        if self.held.len() <= client as usize {
            self.held.resize_with(client as usize + 1, HashTable::new);
        }
        let held = &mut self.held[client as usize];
        if held
            .find(hash_number(number), |&(set, _)| set == number)
            .is_some()
        {
            return;
        }
        if held.is_empty() {
            self.subscribers += 1;
        }
        self.subscriptions += 1;
        // A set that was just stored has this client in it.
        let position = match self.sets.clients(number) {
            [only] if *only == client => 0,
            clients => {
                let is_second = clients.len() == 1;
                let position = self.sets.add_client(number, client);
                if is_second {
                    self.pairs.update_answer(number, &self.sets, &self.tags);
                }
                position
            }
        };
        held.insert_unique(hash_number(number), (number, position), |&(set, _)| {
            hash_number(set)
        });
    }

    fn remove_client(&mut self, number: SetId, client: ClientId) -> bool {
        let Some(held) = self.held.get_mut(client as usize) else {
            return false;
        };
        let Ok(entry) = held.find_entry(hash_number(number), |&(set, _)| set == number) else {
            return false;
        };
        let ((_, position), _) = entry.remove();
        self.subscriptions -= 1;
        if held.is_empty() {
            *held = HashTable::new();
            self.subscribers -= 1;
        }
        if let [_] = self.sets.clients(number) {
            self.remove_set(number);
            return true;
        }
        if let Some(moved) = self.sets.remove_client(number, position) {
            let entry =
                self.held[moved as usize].find_mut(hash_number(number), |&(set, _)| set == number);
            entry.expect("a set's client holds the set").1 = position;
        }
        if let [_] = self.sets.clients(number) {
            self.pairs.update_answer(number, &self.sets, &self.tags);
        }
        true
    }

    fn remove_set(&mut self, number: SetId) {
        match self.sets.pair(number).alone() {
            Some(tag) => self.tags.set_alone(tag, None),
            None => self.pairs.remove(number, &mut self.sets, &self.tags),
        }
        let hash = self.tags.hash_set(self.sets.tags(number));
        self.by_tags.remove(hash, |&other| other == number);
        self.ids.clear();
        self.ids.extend(self.sets.tags(number));
        self.sets.remove(number);
        for &tag in &self.ids {
            self.tags.release(tag);
        }
    }
}

/// Returns memory of a list that has become far smaller than it was.
fn give_back<T>(list: &mut Vec<T>) {
    if list.capacity() > 64 && list.len() < list.capacity() / 4 {
        list.shrink_to(list.capacity() / 2);
    }
}
