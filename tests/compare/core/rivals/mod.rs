//! Owns the contenders: mist, the floor, and what else could answer the same questions; knows nothing of time.
//!
//! All of them get tags as strings and come up with the numbers of clients, each once.

#[cfg(feature = "a-tree")]
mod a_tree;
mod floor;
mod mist;
mod naive;
mod trie;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

#[cfg(feature = "a-tree")]
pub(crate) use a_tree::{Form, Tree};
pub(crate) use floor::Floor;
pub(crate) use mist::{Lines, Mist, connected, subscribe_all, write_line};
pub(crate) use naive::Naive;
pub(crate) use trie::Trie;

/// Whoever finds the clients that get a message.
pub(crate) trait Contender {
    /// Its name in tables.
    fn name(&self) -> &'static str;

    /// Finds the clients that get the message with this number, and returns how many they are.
    fn publish(&mut self, message: usize) -> usize;

    /// The clients that got the last message, each once, in no order.
    fn targets(&self) -> &[u32];

    /// Publishes `count` of `all` messages from the one numbered `from` on; returns how many clients got one.
    fn publish_some(&mut self, from: usize, count: usize, all: usize) -> usize {
        let mut targets = 0;
        let mut message = from % all;
        for _ in 0..count {
            targets += self.publish(message);
            message += 1;
            if message == all {
                message = 0;
            }
        }
        targets
    }
}

/// The numbers of tags that subscriptions hold.
#[derive(Debug)]
struct Interner(HashMap<Box<str>, u32, FixedState>);

impl Interner {
    fn new() -> Self {
        Self(HashMap::with_hasher(FixedState::with_seed(1)))
    }

    fn number(&mut self, name: &str) -> u32 {
        let next = self.0.len() as u32;
        if let Some(&number) = self.0.get(name) {
            return number;
        }
        self.0.insert(name.into(), next);
        next
    }

    #[inline]
    fn find(&self, name: &str) -> Option<u32> {
        self.0.get(name).copied()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// A set of small numbers.
#[derive(Debug)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(bound: usize) -> Self {
        Self(vec![0; bound.div_ceil(64)])
    }

    #[inline]
    fn has(&self, number: u32) -> bool {
        self.0[number as usize / 64] >> (number % 64) & 1 == 1
    }

    #[inline]
    fn add(&mut self, number: u32) {
        self.0[number as usize / 64] |= 1 << (number % 64);
    }

    #[inline]
    fn remove(&mut self, number: u32) {
        self.0[number as usize / 64] &= !(1 << (number % 64));
    }
}

/// Clients found, each once.
#[derive(Debug)]
struct Targets {
    found: Vec<u32>,
    seen: Bits,
}

impl Targets {
    fn new(clients: usize) -> Self {
        Self {
            found: Vec::with_capacity(clients),
            seen: Bits::new(clients),
        }
    }

    #[inline]
    fn add(&mut self, client: u32) {
        if !self.seen.has(client) {
            self.seen.add(client);
            self.found.push(client);
        }
    }

    /// Forgets what was seen; returns how many were found.
    #[inline]
    fn close(&mut self) -> usize {
        for &client in &self.found {
            self.seen.remove(client);
        }
        self.found.len()
    }
}
