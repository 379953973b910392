//! Owns the meters of all subjects, or of all addresses, that are connected or were lately.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mist_net::lock::Mutex;

use super::meter::{Meter, Nanos};

/// They are kept in so many parts, so that visiting all of them blocks no connection for long.
const PARTS: usize = 64;
/// How many meters without a connection are kept until they have full credit again. Further holders share one.
const MOST_GONE: usize = 50_000;

/// The meters of one kind of holder, by seeded hashes: subjects may be long, and may be tokens. Two with the same hash
/// share a meter, which does no harm.
#[derive(Debug)]
pub(super) struct Holders {
    parts: Vec<Mutex<HashMap<u64, Arc<Meter>>>>,
    count: AtomicUsize,
    most: AtomicUsize,
    others: Arc<Meter>,
    hasher: RandomState,
}

impl Default for Holders {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            count: AtomicUsize::new(0),
            most: AtomicUsize::new(MOST_GONE),
            others: Arc::default(),
            hasher: RandomState::new(),
        }
    }
}

impl Holders {
    /// Takes how many connections a server has at most.
    pub(super) fn set_connections(&self, connections: usize) {
        let most = connections.saturating_add(MOST_GONE);
        self.most.store(most, Ordering::Relaxed);
    }

    pub(super) fn meter(&self, holder: impl Hash) -> Arc<Meter> {
        let key = self.hasher.hash_one(holder);
        let mut part = self.parts[(key % PARTS as u64) as usize].lock();
        if let Some(meter) = part.get(&key) {
            return Arc::clone(meter);
        }
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.most.load(Ordering::Relaxed) {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Arc::clone(&self.others);
        }
        Arc::clone(part.entry(key).or_default())
    }

    /// Forgets the meters that no connection uses and that have full credit.
    pub(super) fn forget_idle(&self, now: Nanos, epoch: u32) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        for part in &self.parts {
            let mut part = part.lock();
            let before = part.len();
            // Under this lock no new connection can take it.
            part.retain(|_, meter| Arc::strong_count(meter) > 1 || !meter.is_idle(now, epoch));
            self.count.fetch_sub(before - part.len(), Ordering::Relaxed);
            if part.capacity() > 64 && part.len() < part.capacity() / 8 {
                let least = 2 * part.len();
                part.shrink_to(least);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let kept: usize = self.parts.iter().map(|part| part.lock().len()).sum();
        assert_eq!(kept, self.count.load(Ordering::Relaxed));
        kept
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.parts.iter().map(|part| part.lock().capacity()).sum()
    }
}
