//! Owns how many connections each address has; knows nothing of what they do.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mist_net::lock::Mutex;

use super::peer::Peer;

/// Counts the connections of each address, and refuses those over the limit.
#[derive(Debug)]
pub(crate) struct AddressLimiter {
    /// How many an address may have; 0 means unlimited.
    limit: AtomicUsize,
    /// Empty when there is no limit.
    counts: Mutex<HashMap<Peer, usize>>,
}

/// Counts one connection of an address for as long as it lives.
pub(crate) struct AddressPermit {
    limiter: Arc<AddressLimiter>,
    peer: Peer,
}

impl AddressLimiter {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            counts: Mutex::default(),
        }
    }

    /// Changes how many an address may have. Connections that were not counted when they came are not counted later.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Counts one more connection of an address, if there is a limit.
    ///
    /// # Errors
    /// The limit, when the address has reached it.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        peer: Option<Peer>,
    ) -> Result<Option<AddressPermit>, usize> {
        let limit = self.limit.load(Ordering::Relaxed);
        let Some(peer) = peer.filter(|_| limit > 0) else {
            return Ok(None);
        };
        let mut counts = self.counts.lock();
        let count = counts.entry(peer).or_default();
        if *count >= limit {
            return Err(limit);
        }
        *count += 1;
        drop(counts);
        let limiter = Arc::clone(self);
        Ok(Some(AddressPermit { limiter, peer }))
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut counts = self.limiter.counts.lock();
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn peer(address: &str) -> Option<Peer> {
        address.parse::<IpAddr>().ok().map(Peer::from)
    }

    #[test]
    fn an_address_has_no_more_connections_than_the_limit() {
        let limiter = Arc::new(AddressLimiter::new(2));
        let (one, other) = (peer("10.0.0.1"), peer("10.0.0.2"));
        let first = limiter.acquire(one).expect("room");
        let second = limiter.acquire(one).expect("room");
        assert_eq!(limiter.acquire(one).err(), Some(2), "full");
        let others = limiter.acquire(other).expect("others are not concerned");
        drop(first);
        let third = limiter.acquire(one).expect("room again");
        drop((second, third, others));
        assert!(
            limiter.counts.lock().is_empty(),
            "nothing is kept of those who left"
        );
    }

    #[test]
    fn without_a_limit_or_an_address_nothing_is_counted() {
        let unlimited = Arc::new(AddressLimiter::new(0));
        assert!(unlimited.acquire(peer("10.0.0.1")).expect("room").is_none());
        let limiter = Arc::new(AddressLimiter::new(1));
        assert!(limiter.acquire(None).expect("room").is_none());
        assert!(limiter.counts.lock().is_empty());
    }
}
