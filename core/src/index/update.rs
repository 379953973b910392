//! Adding and removing subscriptions.

use alloc::vec::Vec;

use super::sets::{ClientId, Pair, SetId};
use super::shards::give_back;
use super::tags::TagId;
use super::{Held, Index, hash_number};
use crate::needs::{NeedChange, hash_of_tag, key_of_one, key_of_two};
use crate::sort::sort;

/// Tags of the sets that are removed at a time when a client goes.
const REMOVED_TAGS: usize = 256;

impl Index {
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
        if self.add_client(set, client) {
            let held = &mut self.held[client as usize];
            held.tags += names.len();
            held.name_bytes += names.iter().map(|name| name.len()).sum::<usize>();
        }
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
        set.is_some_and(|set| self.remove(set, client))
    }

    /// Removes up to `most` of what a client holds, fewer where they have many tags; returns whether that was all.
    pub(crate) fn remove_some(&mut self, client: ClientId, most: usize) -> bool {
        // All of them are looked up at once: to find the first entry of a table that is nearly empty takes as long as
        // to walk all of it.
        let sets: Vec<_> = self.held(client).take(most).collect();
        let mut room = REMOVED_TAGS;
        for set in sets {
            room = room.saturating_sub(self.sets.tags(set).count());
            self.remove(set, client);
            if room == 0 {
                break;
            }
        }
        self.holding(client).subscriptions == 0
    }

    /// Stores a set whose tags were acquired for it, with its first client.
    fn add_set(&mut self, ids: &[TagId], client: ClientId) -> SetId {
        let pair = self.rarest(ids.iter().copied());
        let number = self.sets.add(ids, pair, client);
        let (tags, sets) = (&self.tags, &self.sets);
        let rehash = |&set: &SetId| tags.hash_set(sets.tags(set));
        self.by_tags.insert(rehash(&number), number, rehash);
        self.note_need(pair, true);
        if let Some(tag) = pair.alone() {
            self.tags.set_alone(tag, Some(number));
        } else if let Some(list) = self.pairs.add(number, &mut self.sets, &self.tags)
            // A walk may have come past the better pair, and not to where a set stands.
            && !self.is_walked()
        {
            for crowded in self.pairs.due(list) {
                self.move_if_better(crowded);
            }
        }
        number
    }

    /// Takes note of what a set needs that came or went.
    fn note_need(&mut self, pair: Pair, is_new: bool) {
        let Some(needs) = &mut self.needs else {
            return;
        };
        let hash = |tag| hash_of_tag(self.tags.name(tag).as_bytes());
        let mut hashes = pair.tags().map(hash);
        let key = match (hashes.next(), hashes.next()) {
            (Some(one), Some(other)) => key_of_two(one, other),
            (Some(one), None) => key_of_one(one),
            (None, _) => return,
        };
        needs.push(NeedChange { key, is_new });
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
            self.note_need(self.sets.pair(number), false);
            self.note_need(pair, true);
            self.sets.set_pair(number, pair);
            self.pairs.add(number, &mut self.sets, &self.tags);
        }
    }

    /// Adds a client to those of a set; returns whether it was none of them.
    fn add_client(&mut self, number: SetId, client: ClientId) -> bool {
        if self.held.len() <= client as usize {
            self.held.resize_with(client as usize + 1, Held::default);
        }
        let held = &mut self.held[client as usize];
        if held.place(number).is_some() {
            return false;
        }
        if held.sets.is_empty() {
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
        let rehash = |&(set, _): &(SetId, u32)| hash_number(set);
        let entry = (number, position);
        held.sets.insert_unique(hash_number(number), entry, rehash);
        true
    }

    /// Removes a set from those that a client holds; returns whether it was one of them.
    pub(crate) fn remove(&mut self, number: SetId, client: ClientId) -> bool {
        let Some(held) = self.held.get_mut(client as usize) else {
            return false;
        };
        let is_it = |&(set, _): &(SetId, u32)| set == number;
        let Ok(entry) = held.sets.find_entry(hash_number(number), is_it) else {
            return false;
        };
        let ((_, position), _) = entry.remove();
        for tag in self.sets.tags(number) {
            held.tags -= 1;
            held.name_bytes -= self.tags.name(tag).len();
        }
        give_back(&mut held.sets, |&(set, _)| hash_number(set));
        self.subscriptions -= 1;
        if held.sets.is_empty() {
            self.subscribers -= 1;
        }
        if let [_] = self.sets.clients(number) {
            self.remove_set(number);
            return true;
        }
        if let Some(moved) = self.sets.remove_client(number, position) {
            let held = &mut self.held[moved as usize].sets;
            let entry = held.find_mut(hash_number(number), is_it);
            entry.expect("a set's client holds the set").1 = position;
        }
        if let [_] = self.sets.clients(number) {
            self.pairs.update_answer(number, &self.sets, &self.tags);
        }
        true
    }

    fn remove_set(&mut self, number: SetId) {
        self.note_need(self.sets.pair(number), false);
        match self.sets.pair(number).alone() {
            Some(tag) => self.tags.set_alone(tag, None),
            None => self.pairs.remove(number, &mut self.sets, &self.tags),
        }
        let (tags, sets) = (&self.tags, &self.sets);
        let rehash = |&set: &SetId| tags.hash_set(sets.tags(set));
        self.by_tags
            .remove(rehash(&number), |&other| other == number, rehash);
        self.ids.clear();
        self.ids.extend(self.sets.tags(number));
        self.sets.remove(number);
        for &tag in &self.ids {
            self.tags.release(tag);
        }
    }
}
