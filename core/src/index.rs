//! Owns the answer to "which clients have a tag set that is a subset of these tags?"; knows nothing of messages.
//!
//! Identical sets are stored once, with the list of their clients. A set stands at one of its tags only, its *home*:
//! the one that the fewest sets hold. Matching marks the message's tags in a bitmap and asks the homes of those tags
//! (`home`), which say whom a match is for.

mod bits;
mod home;
mod table;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::slice;

use hashbrown::HashTable;

use self::bits::{clear, fit, is_set, set};
use self::home::{Carried, Home, Key, Place, Posting};
use crate::sort::sort;
use crate::tags::{Interner, Numbers, TagId};

/// The number of a client: small and dense, since bitmaps are indexed by it.
pub(crate) type ClientId = u32;
type SetId = u32;

/// Set in a posting's answer when it is the number of a set with several clients.
const MANY: u32 = 1 << 31;

#[derive(Debug)]
enum Members {
    Short { count: u8, tags: [TagId; 3] },
    Long(Box<[TagId]>),
}

impl Members {
    fn new(tags: &[TagId]) -> Self {
        if tags.len() > 3 {
            return Self::Long(tags.into());
        }
        let mut short = [tags[0]; 3];
        short[..tags.len()].copy_from_slice(tags);
        Self::Short {
            count: tags.len() as u8,
            tags: short,
        }
    }

    fn tags(&self) -> &[TagId] {
        match self {
            Self::Short { count, tags } => &tags[..usize::from(*count)],
            Self::Long(tags) => tags,
        }
    }
}

#[derive(Debug)]
enum Clients {
    One(ClientId),
    /// Never empty; a set whose last client leaves is removed.
    #[expect(
        clippy::box_collection,
        reason = "a set is a third smaller so, and nearly all have one client"
    )]
    Many(Box<Vec<ClientId>>),
}

impl Clients {
    fn as_slice(&self) -> &[ClientId] {
        match self {
            Self::One(client) => slice::from_ref(client),
            Self::Many(clients) => clients,
        }
    }
}

#[derive(Debug)]
struct Set {
    members: Members,
    clients: Clients,
    home: TagId,
    /// Where it stands there.
    place: Place,
}

/// The subscriptions of one client: set number → position in the set's list of clients.
type Held = HashTable<(SetId, u32)>;

/// Spreads numbers that are given out one after the other.
fn hash_number(number: u32) -> u64 {
    u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// All subscriptions, ready to be matched.
#[derive(Debug)]
pub(crate) struct Index {
    tags: Interner,
    homes: Vec<Home>,
    sets: Vec<Option<Set>>,
    free_sets: Vec<SetId>,
    by_members: Numbers,
    held: Vec<Held>,
    subscriptions: usize,
    subscribers: usize,
    /// Reused by updates.
    ids: Vec<TagId>,
    /// Whether matching is to say which sets match, so that no posting stands for a client.
    is_numbered: bool,
}

/// The memory that matching works in: one per thread, reused.
#[derive(Debug, Default)]
pub(crate) struct MatchScratch {
    tag_bits: Vec<u64>,
    client_bits: Vec<u64>,
    ids: Vec<TagId>,
    answers: Vec<u32>,
    pub(crate) targets: Vec<ClientId>,
    /// Sets and tags that the last match looked at.
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
            homes: Vec::new(),
            sets: Vec::new(),
            free_sets: Vec::new(),
            by_members: Numbers::new(),
            held: Vec::new(),
            subscriptions: 0,
            subscribers: 0,
            ids: Vec::new(),
            is_numbered,
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
        let set = self.set(self.find_names(names)?);
        set.clients.as_slice().first().copied()
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
                let tags = self.set(set).members.tags();
                let mut names: Vec<_> = tags.iter().map(|&tag| self.tags.name(tag)).collect();
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
            ids,
            answers,
            walked,
            ..
        } = scratch;
        *walked = 0;
        ids.clear();
        answers.clear();
        for tag in tags {
            // A duplicate tag would walk its list twice.
            if !is_set(tag_bits, tag.0) {
                set(tag_bits, tag.0);
                ids.push(tag);
            }
        }
        let carried = Carried {
            tags: ids,
            bits: tag_bits,
        };
        let members = |number| self.set(number).members.tags();
        for &tag in ids.iter() {
            *walked += self.homes[tag.0 as usize].walk(&carried, members, answers);
        }
        for &tag in ids.iter() {
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
                        let clients = self.set(answer & !MANY).clients.as_slice();
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
        targets.extend_from_slice(self.set(number).clients.as_slice());
        let held = except.and_then(|client| self.held.get(client as usize));
        if let Some(&(_, at)) =
            held.and_then(|held| held.find(hash_number(number), |&(set, _)| set == number))
        {
            targets.swap_remove(at as usize);
        }
    }

    fn set(&self, set: SetId) -> &Set {
        self.sets[set as usize]
            .as_ref()
            .expect("a set that is referred to exists")
    }

    fn set_mut(&mut self, set: SetId) -> &mut Set {
        self.sets[set as usize]
            .as_mut()
            .expect("a set that is referred to exists")
    }

    fn find_set(&self, ids: &[TagId]) -> Option<SetId> {
        self.by_members.find(self.tags.hash_ids(ids), |set| {
            self.set(set).members.tags() == ids
        })
    }

    /// Stores a set whose tags were acquired for it, with its first client.
    fn add_set(&mut self, ids: &[TagId], client: ClientId) -> SetId {
        let bound = self.tags.bound();
        if self.homes.len() < bound {
            self.homes.resize_with(bound, Home::default);
        }
        let number = self.free_sets.pop().unwrap_or_else(|| {
            self.sets.push(None);
            self.sets.len() as u32 - 1
        });
        self.sets[number as usize] = Some(Set {
            members: Members::new(ids),
            clients: Clients::One(client),
            home: ids[0],
            place: Place::default(),
        });
        let (tags, sets) = (&self.tags, &self.sets);
        self.by_members.insert(tags.hash_ids(ids), number, |other| {
            let other = sets[other as usize].as_ref();
            tags.hash_ids(other.map_or(&[], |set| set.members.tags()))
        });
        let home = self.rarest(number);
        self.settle(number, home);
        if self.homes[home.0 as usize].take_due() {
            self.rehome(home);
        }
        number
    }

    /// The tag of a set that the fewest sets hold.
    fn rarest(&self, number: SetId) -> TagId {
        let tags = self.set(number).members.tags().iter().copied();
        tags.min_by_key(|&tag| self.tags.uses(tag))
            .expect("a set has a tag")
    }

    /// The rarest two of a set's tags other than its home.
    fn key(&self, number: SetId, home: TagId) -> Key {
        let tags = self.set(number).members.tags();
        let (mut first, mut second) = (None, None);
        for &tag in tags.iter().filter(|&&tag| tag != home) {
            let ranked = (self.tags.uses(tag), tag);
            if first.is_none_or(|first| ranked < first) {
                second = first.replace(ranked);
            } else if second.is_none_or(|second| ranked < second) {
                second = Some(ranked);
            }
        }
        let first = first.map_or(home, |(_, tag)| tag);
        let second = second.map_or(first, |(_, tag)| tag);
        Key::new(first, second, tags.len())
    }

    /// Puts a set to a home.
    fn settle(&mut self, number: SetId, home: TagId) {
        let key = self.key(number, home);
        let stored = self.sets[number as usize]
            .as_mut()
            .expect("a set that is referred to exists");
        let answer = match stored.clients {
            Clients::One(client) if !self.is_numbered => client,
            _ => MANY | number,
        };
        let posting = Posting {
            answer,
            set: number,
        };
        let at = &mut self.homes[home.0 as usize];
        stored.home = home;
        stored.place = at.add(key, posting);
        if at.is_long() {
            for number in at.begin_split() {
                self.settle(number, home);
            }
        }
    }

    /// Takes a set away from its home.
    fn unsettle(&mut self, number: SetId) {
        let stored = self.sets[number as usize]
            .as_ref()
            .expect("a set that is referred to exists");
        let (home, place) = (stored.home, stored.place);
        let tags = stored.members.tags();
        if let Some(moved) = self.homes[home.0 as usize].remove(tags, place, number) {
            self.set_mut(moved).place = place;
        }
    }

    /// Sends sets away from a home that has grown long, to tags that have become rarer than it by half.
    fn rehome(&mut self, home: TagId) {
        let here = self.tags.uses(home);
        for number in self.homes[home.0 as usize].sets() {
            let better = self.rarest(number);
            if self.tags.uses(better) < here / 2 {
                self.unsettle(number);
                self.settle(number, better);
            }
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
        let stored = self.sets[number as usize]
            .as_mut()
            .expect("a set that is referred to exists");
        let position = match &mut stored.clients {
            // Just stored with this client in it.
            Clients::One(only) if *only == client => 0,
            Clients::One(only) => {
                stored.clients = Clients::Many(Box::new(alloc::vec![*only, client]));
                self.homes[stored.home.0 as usize]
                    .posting_mut(stored.members.tags(), stored.place, number)
                    .expect("a set stands at its home")
                    .answer = MANY | number;
                1
            }
            Clients::Many(clients) => {
                clients.push(client);
                clients.len() as u32 - 1
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
        let stored = self.sets[number as usize]
            .as_mut()
            .expect("a set that is referred to exists");
        let Clients::Many(clients) = &mut stored.clients else {
            self.remove_set(number);
            return true;
        };
        clients.swap_remove(position as usize);
        if let Some(&moved) = clients.get(position as usize) {
            let entry =
                self.held[moved as usize].find_mut(hash_number(number), |&(set, _)| set == number);
            entry.expect("a set's client holds the set").1 = position;
        }
        if let [only] = clients[..] {
            stored.clients = Clients::One(only);
            if !self.is_numbered {
                self.homes[stored.home.0 as usize]
                    .posting_mut(stored.members.tags(), stored.place, number)
                    .expect("a set stands at its home")
                    .answer = only;
            }
        } else {
            give_back(clients);
        }
        true
    }

    fn remove_set(&mut self, number: SetId) {
        self.unsettle(number);
        let hash = self.tags.hash_ids(self.set(number).members.tags());
        self.by_members.remove(hash, number);
        let stored = self.sets[number as usize].take();
        for &tag in stored.iter().flat_map(|set| set.members.tags()) {
            self.tags.release(tag);
        }
        self.free_sets.push(number);
    }
}

/// Returns memory of a list that has become far smaller than it was.
fn give_back<T>(list: &mut Vec<T>) {
    if list.capacity() > 64 && list.len() < list.capacity() / 4 {
        list.shrink_to(list.capacity() / 2);
    }
}
