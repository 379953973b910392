//! Owns the address that a connection counts for; knows nothing of the headers that may name another.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;

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

impl Peer {
    /// The address, or the first one of the network.
    pub(crate) fn address(self) -> IpAddr {
        let bits = self.0.get();
        if bits & IPV4 == IPV4 {
            return Ipv4Addr::from(bits as u32).into();
        }
        let bits = if bits == 1 { 0 } else { bits };
        Ipv6Addr::from(u128::from(bits) << 64).into()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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
}
