//! Owns whom a connection comes from, as far as bounds are concerned; knows nothing of headers, which may say it, too.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;
use std::sync::Arc;

use std::collections::HashMap;

use crate::lock::Mutex;

use crate::hub::Hub;
use crate::log_limit::Kind;

/// An address, or for IPv6 the network of 64 bits that one household or machine is given; eight bytes, since every
/// connection has one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer(NonZeroU64);

/// In front of an IPv4 address; as the beginning of an IPv6 address it would mean many receivers.
const IPV4: u64 = 0xFFFF_FFFF << 32;

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        let bits = match address.to_canonical() {
            IpAddr::V4(address) => IPV4 | u64::from(u32::from(address)),
            IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
        };
        // Only the network of `::1` is zero.
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0.get();
        if bits & IPV4 == IPV4 {
            return Ipv4Addr::from(bits as u32).fmt(f);
        }
        let bits = if bits == 1 { 0 } else { bits };
        write!(f, "{}/64", Ipv6Addr::from(u128::from(bits) << 64))
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many connections each address has; empty where that is not bounded.
#[derive(Debug, Default)]
pub(crate) struct Crowd(Mutex<HashMap<Peer, usize>>);

impl Crowd {
    /// Counts one more, unless there are as many as may be.
    fn enter(&self, peer: Peer, limit: usize) -> bool {
        let mut counts = self.0.lock();
        let count = counts.entry(peer).or_default();
        let is_free = *count < limit;
        *count += usize::from(is_free);
        is_free
    }

    fn leave(&self, peer: Peer) {
        let mut counts = self.0.lock();
        if let Some(count) = counts.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&peer);
            }
        }
    }
}

/// Counts one connection of an address for as long as it lives.
pub(crate) struct Seat {
    hub: Arc<Hub>,
    peer: Peer,
}

impl Seat {
    /// Takes a seat where they are counted.
    ///
    /// # Errors
    /// What the client is told when its address has no more.
    pub(crate) fn take(hub: &Arc<Hub>, peer: Option<Peer>) -> Result<Option<Self>, Vec<u8>> {
        let limit = hub.limits.connections_per_address;
        let Some(peer) = peer.filter(|_| limit > 0) else {
            return Ok(None);
        };
        if !hub.crowd.enter(peer, limit) {
            if hub.log.admits(Kind::AddressFull, Some(peer)) {
                tracing::debug!(%peer, "refusing a connection: there are {limit} (connections-per-address)");
            }
            return Err(mist_core::too_many_of_address(limit));
        }
        let hub = Arc::clone(hub);
        Ok(Some(Self { hub, peer }))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.crowd.leave(self.peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::from(address.parse::<IpAddr>().expect("an address"))
    }

    #[test]
    fn an_address_of_four_bytes_stands_for_itself_and_a_longer_one_for_its_network() {
        assert_eq!(peer("10.1.2.3").to_string(), "10.1.2.3");
        assert_eq!(peer("::ffff:10.1.2.3"), peer("10.1.2.3"));
        assert_ne!(peer("10.1.2.3"), peer("10.1.2.4"));
        assert_eq!(peer("2001:db8:1:2:3:4:5:6"), peer("2001:db8:1:2::1"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_eq!(peer("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
        assert_eq!(peer("::1").to_string(), "::/64");
        assert_ne!(peer("::1"), peer("0.0.0.0"));
    }

    #[test]
    fn as_many_of_an_address_get_in_as_there_are_seats() {
        let crowd = Crowd::default();
        let (one, other) = (peer("10.0.0.1"), peer("10.0.0.2"));
        assert!(crowd.enter(one, 2) && crowd.enter(one, 2));
        assert!(!crowd.enter(one, 2), "full");
        assert!(crowd.enter(other, 2), "others are not concerned");
        crowd.leave(one);
        assert!(crowd.enter(one, 2), "there is a seat again");
        for leaving in [one, one, other] {
            crowd.leave(leaving);
        }
        assert!(crowd.0.lock().is_empty(), "who has gone is forgotten");
    }
}
