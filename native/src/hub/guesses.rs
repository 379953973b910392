//! Owns how long a token has to wait whose sender's address has presented wrong ones before. It reads no clock, and must
//! not know any token.
//!
//! Those who guess wait longer and longer, one after the other from the same address; nobody else notices.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::listener::peer::Peer;

/// The wait after the first failure too many, and the longest; each is twice the one before.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// Addresses that one generation holds, and how long it takes up new ones.
const AT_ONCE: usize = 5_000;
const GENERATION: Duration = Duration::from_secs(300);

/// The addresses that presented wrong tokens, and how many.
///
/// There are two generations; when the younger is full or old enough, the older is forgotten. So an address is remembered
/// for five to ten minutes after its last failure, and there are never more than ten thousand.
#[derive(Debug)]
pub(super) struct Guesses {
    /// Failures that cost nothing; with 0 of them, none does.
    free: u32,
    young: HashMap<Peer, u32>,
    old: HashMap<Peer, u32>,
    born: Option<Instant>,
}

impl Guesses {
    pub(super) fn new(free: u32) -> Self {
        Self {
            free,
            young: HashMap::new(),
            old: HashMap::new(),
            born: None,
        }
    }

    /// How long a token that has just come from an address has to wait.
    ///
    /// It counts as a failure at once, so that many tokens at the same time wait no shorter than one after the other.
    pub(super) fn attempt(&mut self, peer: Peer, now: Instant) -> Duration {
        self.age(now);
        let failures = self.failures(peer);
        if self.free == 0 || failures < self.free {
            return Duration::ZERO;
        }
        self.note(peer, failures + 1, now);
        let doublings = (failures - self.free).min(16);
        (SHORTEST * (1 << doublings)).min(LONGEST)
    }

    /// Notes a wrong token. Returns whether it was the last that cost nothing.
    pub(super) fn fail(&mut self, peer: Peer, now: Instant) -> bool {
        self.age(now);
        let failures = self.failures(peer) + 1;
        // The others were counted when they came.
        let counts = failures <= self.free;
        if counts {
            self.note(peer, failures, now);
        }
        counts && failures == self.free
    }

    /// Forgets an address that has presented a valid token.
    pub(super) fn succeed(&mut self, peer: Peer) {
        self.young.remove(&peer);
        self.old.remove(&peer);
    }

    fn failures(&self, peer: Peer) -> u32 {
        let found = self.young.get(&peer).or_else(|| self.old.get(&peer));
        found.copied().unwrap_or_default()
    }

    fn note(&mut self, peer: Peer, failures: u32, now: Instant) {
        if self.young.len() >= AT_ONCE && !self.young.contains_key(&peer) {
            self.next_generation();
        }
        self.born.get_or_insert(now);
        self.old.remove(&peer);
        self.young.insert(peer, failures);
    }

    fn age(&mut self, now: Instant) {
        let age = self
            .born
            .map_or(Duration::ZERO, |born| now.saturating_duration_since(born));
        if age >= GENERATION {
            self.next_generation();
        }
        if age >= 2 * GENERATION {
            self.next_generation();
        }
    }

    fn next_generation(&mut self) {
        self.old = std::mem::take(&mut self.young);
        self.born = None;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn peer(number: u32) -> Peer {
        Peer::from(IpAddr::V4(Ipv4Addr::from(number)))
    }

    /// What the tokens of a guesser wait, in seconds.
    fn waits(guesses: &mut Guesses, guesser: Peer, count: usize, now: Instant) -> Vec<u64> {
        let mut guess = || {
            let wait = guesses.attempt(guesser, now);
            guesses.fail(guesser, now);
            wait.as_secs()
        };
        (0..count).map(|_| guess()).collect()
    }

    #[test]
    fn after_some_failures_each_further_token_waits_twice_as_long_up_to_half_a_minute() {
        let now = Instant::now();
        let mut guesses = Guesses::new(3);
        let expected = [0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30];
        assert_eq!(waits(&mut guesses, peer(1), 11, now), expected);
        // Others wait for nothing.
        assert_eq!(guesses.attempt(peer(2), now), Duration::ZERO);
        let many = waits(&mut guesses, peer(1), 1_000, now);
        assert_eq!(many.last(), Some(&30));
    }

    #[test]
    fn the_last_failure_without_a_wait_is_reported_once() {
        let now = Instant::now();
        let mut guesses = Guesses::new(2);
        let reported: Vec<_> = (0..5)
            .map(|_| {
                guesses.attempt(peer(1), now);
                guesses.fail(peer(1), now)
            })
            .collect();
        assert_eq!(reported, [false, true, false, false, false]);
    }

    #[test]
    fn tokens_that_come_at_once_wait_as_if_they_came_one_by_one() {
        let now = Instant::now();
        let mut guesses = Guesses::new(1);
        guesses.fail(peer(1), now);
        let waits: Vec<_> = (0..6)
            .map(|_| guesses.attempt(peer(1), now).as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30]);
        for _ in 0..6 {
            guesses.fail(peer(1), now);
        }
        assert_eq!(guesses.attempt(peer(1), now).as_secs(), 30);
    }

    #[test]
    fn a_valid_token_clears_its_address() {
        let now = Instant::now();
        let mut guesses = Guesses::new(1);
        assert_eq!(waits(&mut guesses, peer(1), 3, now), [0, 1, 2]);
        guesses.succeed(peer(1));
        assert_eq!(waits(&mut guesses, peer(1), 2, now), [0, 1]);
    }

    #[test]
    fn an_address_is_forgotten_after_minutes_without_a_failure() {
        let start = Instant::now();
        let minutes = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let mut guesses = Guesses::new(1);
        assert_eq!(waits(&mut guesses, peer(1), 3, start), [0, 1, 2]);
        assert_eq!(
            guesses.attempt(peer(1), minutes(6)).as_secs(),
            4,
            "remembered"
        );
        assert_eq!(
            guesses.attempt(peer(1), minutes(10)).as_secs(),
            8,
            "remembered again"
        );
        assert_eq!(guesses.attempt(peer(1), minutes(30)), Duration::ZERO);
        assert!(guesses.young.is_empty() && guesses.old.is_empty());
    }

    #[test]
    fn there_is_room_for_ten_thousand_addresses_and_the_oldest_go_first() {
        let now = Instant::now();
        let mut guesses = Guesses::new(1);
        for number in 0..100_000 {
            guesses.fail(peer(number), now);
            assert!(guesses.young.len() + guesses.old.len() <= 2 * AT_ONCE);
        }
        assert_eq!(guesses.attempt(peer(0), now), Duration::ZERO);
        assert_eq!(guesses.attempt(peer(99_999), now).as_secs(), 1);
    }

    #[test]
    fn with_none_free_nobody_waits() {
        let now = Instant::now();
        let mut guesses = Guesses::new(0);
        assert_eq!(waits(&mut guesses, peer(1), 9, now), [0; 9]);
        assert!(guesses.young.is_empty());
    }
}
