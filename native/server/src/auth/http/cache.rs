//! Owns the cached answers, within bounds. It reads no clock and keeps no token.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mist_core::Grants;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::auth::authenticator::Presented;

/// Cached answers, and the bytes in them.
const MOST: usize = 10_000;
const MOST_BYTES: usize = 16 << 20;

/// Roughly the bytes that an answer and each of its tags take besides their texts.
const ENTRY_BYTES: usize = 400;
const TAG_BYTES: usize = 32;

type Hash = [u8; 32];

/// A question: about which token, and from where.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    token: Hash,
    place: Hash,
}

impl Key {
    pub(super) fn of(presented: &Presented<'_>) -> Self {
        let place = format!("{:?} {:?}", presented.address, presented.listener);
        Self {
            token: Sha256::digest(presented.token).into(),
            place: Sha256::digest(place).into(),
        }
    }
}

/// Answers, each until it expires.
#[derive(Default)]
pub(super) struct Cache {
    entries: BTreeMap<Key, Entry>,
    /// Ordered by expiry.
    ends: BTreeSet<(Instant, Key)>,
    bytes: usize,
}

struct Entry {
    grants: Grants,
    /// Until when it need not be asked for again.
    is_fresh_until: Instant,
    ends: Instant,
}

/// What the cache has.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// Need not be asked for again.
    Fresh(Grants),
    /// Is used if the application has no answer; otherwise asked for again, so that sessions get a later expiry in
    /// time.
    Old(Grants),
}

impl Cache {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn find(&mut self, key: &Key, now: Instant) -> Found {
        while let Some(&(ends, key)) = self.ends.first()
            && ends <= now
        {
            self.remove(&key);
        }
        match self.entries.get(key) {
            None => Found::Nothing,
            Some(entry) if now < entry.is_fresh_until => Found::Fresh(entry.grants.clone()),
            Some(entry) => Found::Old(entry.grants.clone()),
        }
    }

    /// Keeps an answer for so long; those that expire first make room for it.
    pub(super) fn insert(&mut self, key: Key, grants: &Grants, ttl: Duration, now: Instant) {
        self.remove(&key);
        self.bytes += weight(grants);
        self.ends.insert((now + ttl, key));
        let entry = Entry {
            grants: grants.clone(),
            is_fresh_until: now + ttl / 2,
            ends: now + ttl,
        };
        self.entries.insert(key, entry);
        while (self.entries.len() > MOST || self.bytes > MOST_BYTES)
            && let Some(&(_, key)) = self.ends.first()
        {
            self.remove(&key);
        }
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= weight(&entry.grants);
            self.ends.remove(&(entry.ends, *key));
        }
    }

    /// Removes all answers about a token.
    pub(super) fn forget(&mut self, key: &Key) {
        let token = key.token;
        let [first, last] = [[0; 32], [0xff; 32]].map(|place| Key { token, place });
        let keys: Vec<_> = self
            .entries
            .range(first..=last)
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.remove(&key);
        }
    }
}

fn weight(grants: &Grants) -> usize {
    let tags = grants.subscribe.iter().chain(&grants.publish);
    let tags: usize = tags.map(|tag| TAG_BYTES + tag.len()).sum();
    ENTRY_BYTES + grants.subject.len() + tags
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(token: &str, listener: &'static str) -> Key {
        let mut presented = Presented::new(token);
        presented.listener = Some(listener);
        Key::of(&presented)
    }

    fn grants(tags: usize) -> Grants {
        Grants::of_token(
            "desk",
            (0..tags).map(|tag| format!("{tag:0>1000}")).collect(),
        )
    }

    #[test]
    fn an_answer_is_fresh_for_half_its_time_and_gone_after_it() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let (one, grants) = (key("one", "x"), grants(1));
        cache.insert(one, &grants, 10 * SECOND, now);
        let at = |cache: &mut Cache, seconds| cache.find(&one, now + seconds * SECOND);
        assert_eq!(at(&mut cache, 4), Found::Fresh(grants.clone()));
        assert_eq!(at(&mut cache, 5), Found::Old(grants.clone()));
        assert_eq!(at(&mut cache, 9), Found::Old(grants));
        assert_eq!(at(&mut cache, 10), Found::Nothing);
        assert_eq!((cache.len(), cache.bytes, cache.ends.len()), (0, 0, 0));
    }

    #[test]
    fn what_is_kept_is_bounded_and_those_that_end_first_make_room() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        for number in 0..MOST as u32 + 100 {
            // The later ones expire sooner.
            let ttl = (100_000 - number) * SECOND;
            cache.insert(key(&number.to_string(), "x"), &grants(0), ttl, now);
        }
        assert_eq!((cache.len(), cache.ends.len()), (MOST, MOST));
        assert_ne!(cache.find(&key("0", "x"), now), Found::Nothing);
        assert_eq!(
            cache.find(&key(&MOST.to_string(), "x"), now),
            Found::Nothing
        );
        let mut cache = Cache::default();
        for number in 0..1_000 {
            cache.insert(key(&number.to_string(), "x"), &grants(30), SECOND, now);
            assert!(cache.bytes <= MOST_BYTES);
        }
        assert!(cache.len() > 200, "{}", cache.len());
        assert_eq!(cache.ends.len(), cache.len());
    }

    #[test]
    fn a_token_is_forgotten_wherever_it_was_shown_and_no_other() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        for token in ["one", "two"] {
            for listener in ["x", "y"] {
                cache.insert(key(token, listener), &grants(0), SECOND, now);
            }
        }
        cache.insert(key("one", "x"), &grants(1), SECOND, now);
        assert_eq!(cache.len(), 4);
        cache.forget(&Key::of(&Presented::new("one")));
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.find(&key("one", "x"), now), Found::Nothing);
        assert_ne!(cache.find(&key("two", "y"), now), Found::Nothing);
    }
}
