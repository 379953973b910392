//! Owns when each presented token is checked, so that guessing is slow. It reads no clock, keeps no token, and is told
//! the result of each check.
//!
//! Every address has a credit of checks. A check costs one, which is returned at once if the token is valid, and with
//! time if it is not. Tokens without credit wait in the order of their arrival, but not for long. As a token cannot be
//! told from a guess before it is checked, all of them wait, except one that was valid from the same address before:
//! otherwise one guesser would shut out everybody behind that address.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::ops::Range;
use std::time::{Duration, Instant};

use mist_core::{SessionId, TokenCheck};

use crate::admission::peer::Peer;

/// How often a token from one address is checked once its credit is used up.
const EVERY: Duration = Duration::from_secs(1);
/// How long a token waits at most: less than clients wait for an answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// How many tokens from one address wait at most. Each keeps its connection open, even if the client has gone.
const MOST_WAITING: usize = 256;
/// How often a token from one address may be compared with those that were valid from there. The comparison bypasses
/// the credit, so this bounds how fast the tokens of others behind the same address can be guessed.
const RECALLS: Rate = Rate {
    every: Duration::from_millis(1),
    burst: 10_000,
};
/// How often a check without a result is free for one address. A crowd that reconnects while the store is down must not
/// use up its credit; a guesser must, since each token is compared with the server's own even then.
const UNSURE: Rate = Rate {
    every: Duration::from_millis(100),
    burst: 1_000,
};
/// How many addresses with less than full credit are kept; further ones share one entry.
const MOST_ADDRESSES: usize = 50_000;
/// They are kept in so many parts, so that visiting all of them never blocks logins for long.
const PARTS: usize = 64;
/// How many valid tokens one generation remembers, and for how long it takes new ones.
const MOST_KNOWN: usize = 50_000;
const GENERATION: Duration = Duration::from_secs(12 * 60 * 60);

/// Decides when each token is checked.
#[derive(Debug)]
pub(crate) struct TokenThrottle {
    looks: Rate,
    addresses: Addresses,
    /// The sessions that wait for an answer to their token.
    attempts: HashMap<SessionId, Attempt>,
    known: Known,
    hasher: RandomState,
}

/// All addresses, in parts of about the same size.
#[derive(Debug)]
struct Addresses {
    parts: Vec<HashMap<Key, Address>>,
    count: usize,
    hasher: RandomState,
}

/// An address; `None` for all those that share an entry.
type Key = Option<Peer>;

#[derive(Debug)]
struct Address {
    looks: Credit,
    recalls: Credit,
    unsure: Credit,
    /// The sessions that wait, and since when. Those that have gone meanwhile are skipped.
    waiting: VecDeque<(Instant, SessionId)>,
}

#[derive(Debug)]
struct Attempt {
    key: Key,
    /// A seeded hash of the address and the token.
    fingerprint: u64,
    /// Whether it was compared with tokens that were valid before, and has used credit for that.
    is_compared: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// It is being checked, at the cost of a credit.
    Paid,
    /// It is being checked for free, because it was valid before.
    Known,
}

/// What to do with a token that has just been presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Look,
    Wait,
    /// Too many wait already.
    TurnAway,
}

/// What follows from the result of a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// The session whose token is to be checked now.
    pub(crate) next: Option<SessionId>,
    /// Whether the token was wrong and used up the credit of its address.
    pub(crate) is_exhausted: bool,
}

/// What has become due with time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// The sessions whose tokens are to be checked now.
    pub(crate) looks: Vec<SessionId>,
    /// The sessions whose tokens have waited too long.
    pub(crate) turned_away: Vec<SessionId>,
}

impl TokenThrottle {
    /// Creates a throttle that checks `free` wrong tokens from an address without delay; 0 means no limit.
    pub(crate) fn new(free: u32) -> Self {
        Self {
            looks: Rate {
                every: EVERY,
                burst: free,
            },
            addresses: Addresses::new(),
            attempts: HashMap::new(),
            known: Known::default(),
            hasher: RandomState::new(),
        }
    }

    /// Changes how many wrong tokens from an address are checked without delay.
    pub(crate) fn set_free(&mut self, free: u32) {
        self.looks.burst = free;
    }

    /// Takes a token that has just been presented.
    pub(crate) fn present(
        &mut self,
        session: SessionId,
        peer: Peer,
        token: &str,
        now: Instant,
    ) -> Admission {
        if self.looks.burst == 0 {
            return Admission::Look;
        }
        let is_room = self.addresses.count < MOST_ADDRESSES;
        let key = Some(peer).filter(|_| is_room || self.addresses.get(Some(peer)).is_some());
        let fingerprint = self.hasher.hash_one((peer, token));
        let address = self.addresses.get_or_insert(key, now);
        let is_compared = address.recalls.take(RECALLS, now);
        let stage = if is_compared && self.known.contains(fingerprint) {
            address.recalls.give_back(RECALLS);
            Stage::Known
        } else if address.waiting.is_empty() && address.looks.take(self.looks, now) {
            Stage::Paid
        } else if address.waiting.len() >= MOST_WAITING {
            return Admission::TurnAway;
        } else {
            address.waiting.push_back((now, session));
            Stage::Waiting
        };
        let attempt = Attempt {
            key,
            fingerprint,
            is_compared,
            stage,
        };
        self.attempts.insert(session, attempt);
        match stage {
            Stage::Waiting => Admission::Wait,
            Stage::Paid | Stage::Known => Admission::Look,
        }
    }

    /// Takes the result of a check.
    pub(crate) fn settle(
        &mut self,
        session: SessionId,
        check: TokenCheck,
        now: Instant,
    ) -> Settled {
        let Some(attempt) = self.attempts.remove(&session) else {
            return Settled::default();
        };
        let is_known = attempt.stage == Stage::Known;
        match check {
            TokenCheck::Valid => self.known.insert(attempt.fingerprint, now),
            TokenCheck::Wrong => self.known.remove(attempt.fingerprint),
            TokenCheck::Unknown => {}
        }
        let Some(address) = self.addresses.get_mut(attempt.key) else {
            return Settled::default();
        };
        let is_wrong = check == TokenCheck::Wrong;
        let is_free = match check {
            TokenCheck::Valid => true,
            TokenCheck::Wrong => false,
            TokenCheck::Unknown => is_known || address.unsure.take(UNSURE, now),
        };
        match (is_free, is_known) {
            (false, false) | (true, true) => {}
            // It was valid before and has been revoked since.
            (false, true) => address.looks.charge(self.looks, now),
            // Only what this check has cost: what wrong tokens have cost comes back with time.
            (true, false) => {
                address.looks.give_back(self.looks);
                if attempt.is_compared {
                    address.recalls.give_back(RECALLS);
                }
            }
        }
        let is_exhausted = is_wrong && address.looks.is_used_up(self.looks, now);
        let next = address.next(&mut self.attempts, self.looks, now);
        if next.is_none() && address.is_forgettable(now) {
            self.addresses.remove(attempt.key);
        }
        Settled { next, is_exhausted }
    }

    /// Forgets a session that has gone. If its token was being checked, it counts as wrong.
    pub(crate) fn forget(&mut self, session: SessionId) {
        self.attempts.remove(&session);
    }

    /// Finds what has become due in one of the [`parts`](Self::parts); to be called about once a second for each.
    pub(crate) fn tick(&mut self, part: usize, now: Instant) -> Due {
        let Self {
            looks: rate,
            addresses,
            attempts,
            ..
        } = self;
        let mut due = Due::default();
        addresses.retain(part, |address| {
            while let Some(session) = address.next(attempts, *rate, now) {
                due.looks.push(session);
            }
            while let Some(&(since, session)) = address.waiting.front()
                && now.saturating_duration_since(since) >= PATIENCE
            {
                address.waiting.pop_front();
                if is_waiting(attempts, session) {
                    attempts.remove(&session);
                    due.turned_away.push(session);
                }
            }
            !address.is_forgettable(now)
        });
        // Give back the memory that a flood has needed.
        shrink(attempts);
        due
    }

    /// The parts to call [`tick`](Self::tick) for.
    pub(crate) fn parts() -> Range<usize> {
        0..PARTS
    }
}

fn shrink<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > 64 && map.len() < map.capacity() / 8 {
        map.shrink_to(2 * map.len());
    }
}

impl Addresses {
    fn new() -> Self {
        Self {
            parts: (0..PARTS).map(|_| HashMap::new()).collect(),
            count: 0,
            hasher: RandomState::new(),
        }
    }

    fn part_of(&self, key: Key) -> usize {
        (self.hasher.hash_one(key) % PARTS as u64) as usize
    }

    fn get(&self, key: Key) -> Option<&Address> {
        self.parts[self.part_of(key)].get(&key)
    }

    fn get_mut(&mut self, key: Key) -> Option<&mut Address> {
        let part = self.part_of(key);
        self.parts[part].get_mut(&key)
    }

    /// Returns an address's entry; a new one has full credit.
    fn get_or_insert(&mut self, key: Key, now: Instant) -> &mut Address {
        let part = self.part_of(key);
        self.parts[part].entry(key).or_insert_with(|| {
            self.count += 1;
            Address {
                looks: Credit(now),
                recalls: Credit(now),
                unsure: Credit(now),
                waiting: VecDeque::new(),
            }
        })
    }

    fn remove(&mut self, key: Key) {
        let part = self.part_of(key);
        self.count -= usize::from(self.parts[part].remove(&key).is_some());
    }

    fn retain(&mut self, part: usize, mut keeps: impl FnMut(&mut Address) -> bool) {
        let part = &mut self.parts[part];
        let before = part.len();
        part.retain(|_, address| keeps(address));
        self.count -= before - part.len();
        shrink(part);
    }
}

fn is_waiting(attempts: &HashMap<SessionId, Attempt>, session: SessionId) -> bool {
    let attempt = attempts.get(&session);
    attempt.is_some_and(|attempt| attempt.stage == Stage::Waiting)
}

impl Address {
    /// Takes the session that has waited longest, if there is credit for it.
    fn next(
        &mut self,
        attempts: &mut HashMap<SessionId, Attempt>,
        rate: Rate,
        now: Instant,
    ) -> Option<SessionId> {
        while let Some(&(_, session)) = self.waiting.front() {
            if !is_waiting(attempts, session) {
                self.waiting.pop_front();
                continue;
            }
            if !self.looks.take(rate, now) {
                return None;
            }
            self.waiting.pop_front();
            if let Some(attempt) = attempts.get_mut(&session) {
                attempt.stage = Stage::Paid;
            }
            return Some(session);
        }
        None
    }

    /// Whether the entry says no more than a new one.
    fn is_forgettable(&self, now: Instant) -> bool {
        let credits = [&self.looks, &self.recalls, &self.unsure];
        credits.iter().all(|credit| credit.0 <= now) && self.waiting.is_empty()
    }
}

/// How much may be taken at once, and how quickly it comes back.
#[derive(Clone, Copy, Debug)]
struct Rate {
    every: Duration,
    burst: u32,
}

impl Rate {
    fn whole(self) -> Duration {
        self.every.saturating_mul(self.burst)
    }
}

/// A token bucket, represented by the time at which it is full again.
#[derive(Clone, Copy, Debug)]
struct Credit(Instant);

impl Credit {
    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let is_there = !self.is_used_up(rate, now);
        if is_there {
            self.0 = self.0.max(now) + rate.every;
        }
        is_there
    }

    /// Takes credit even if there is none left.
    fn charge(&mut self, rate: Rate, now: Instant) {
        self.0 = (self.0.max(now) + rate.every).min(now + rate.whole());
    }

    fn give_back(&mut self, rate: Rate) {
        self.0 -= rate.every;
    }

    fn is_used_up(&self, rate: Rate, now: Instant) -> bool {
        self.0.max(now) + rate.every > now + rate.whole()
    }
}

/// Tokens that were valid lately, as hashes.
///
/// There are two generations; when the younger is full or old enough, the older is forgotten. Hashes may collide: a
/// token that is found here is still checked, and one that is not found only has to wait.
#[derive(Debug, Default)]
struct Known {
    young: HashSet<u64>,
    old: HashSet<u64>,
    born: Option<Instant>,
}

impl Known {
    fn contains(&self, fingerprint: u64) -> bool {
        self.young.contains(&fingerprint) || self.old.contains(&fingerprint)
    }

    fn insert(&mut self, fingerprint: u64, now: Instant) {
        let age = self.born.map(|born| now.saturating_duration_since(born));
        if self.young.len() >= MOST_KNOWN || age.is_some_and(|age| age >= GENERATION) {
            self.old = std::mem::take(&mut self.young);
            self.born = None;
        }
        self.born.get_or_insert(now);
        self.young.insert(fingerprint);
    }

    fn remove(&mut self, fingerprint: u64) {
        self.young.remove(&fingerprint);
        self.old.remove(&fingerprint);
    }
}

#[cfg(test)]
mod tests;
