//! Owns which proxies are trusted to say where a request comes from; knows nothing of headers.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::bind_error::BindError;

/// The networks of the proxies that stand in front of the server.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    networks: Vec<Network>,
    /// Whether the log has said that one of them does not name its clients.
    is_noted: AtomicBool,
}

/// The client that a trusted proxy forwards a request for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address, or that of the proxy when the proxy does not name it.
    pub(crate) address: IpAddr,
    pub(crate) is_named: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Network {
    /// IPv4 as it stands in IPv6, so that both are compared alike.
    address: u128,
    bits: u32,
}

impl Network {
    /// Reads `10.0.0.0/8`, or an address.
    fn of(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then(|| Self {
            address: mapped(address),
            bits: 128 - width + bits,
        })
    }

    fn holds(&self, address: IpAddr) -> bool {
        let differing = self.address ^ mapped(address);
        differing.leading_zeros() >= self.bits
    }
}

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().into(),
        IpAddr::V6(address) => address.into(),
    }
}

impl Proxies {
    /// Reads the networks.
    ///
    /// # Errors
    /// [`BindError::Proxies`].
    pub(crate) fn new(networks: &[String]) -> Result<Self, BindError> {
        let read = |text: &String| {
            Network::of(text).ok_or_else(|| BindError::Proxies {
                value: text.clone(),
                why: "write an address or a network: 10.0.0.0/8, 2001:db8::/32",
            })
        };
        Ok(Self {
            networks: networks.iter().map(read).collect::<Result<_, _>>()?,
            is_noted: AtomicBool::default(),
        })
    }

    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.holds(address))
    }

    /// Finds the client behind a trusted proxy. `hops` are the addresses that the proxies on the way have noted, the
    /// nearest last; `None` stands for what is not an address. The list is read from its end up to the first address
    /// that is not a trusted proxy's; what stands before that can be forged.
    pub(crate) fn client(&self, proxy: IpAddr, hops: Vec<Option<IpAddr>>) -> Client {
        let mut client = Client {
            address: proxy,
            is_named: false,
        };
        for hop in hops.into_iter().rev() {
            client.is_named = hop.is_some();
            let Some(address) = hop else { break };
            client.address = address;
            if !self.trusts(address) {
                break;
            }
        }
        client
    }

    /// Logs once that a trusted proxy does not name its clients, which then share its limits.
    pub(crate) fn note_unnamed(&self, proxy: IpAddr) {
        if !self.is_noted.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %proxy,
                "a trusted proxy does not name its clients: there is no address in X-Forwarded-For, nor in Forwarded if \
                 X-Forwarded-For is missing (X-Real-IP and others are not read); all its clients count as the proxy \
                 (connections-per-address, failed-tokens)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(networks: &[&str]) -> Proxies {
        let networks: Vec<_> = networks.iter().map(|&one| one.to_owned()).collect();
        Proxies::new(&networks).expect("networks")
    }

    #[test]
    fn networks_hold_what_they_say() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("10.1.2.3/31", "10.1.2.2", "10.1.2.4"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1", "::1", "::2"),
            ("0.0.0.0/0", "1.2.3.4", "2001:db8::1"),
        ] {
            let network = proxies(&[network]);
            assert!(
                network.trusts(inside.parse().expect("an address")),
                "{network:?}"
            );
            assert!(
                !network.trusts(outside.parse().expect("an address")),
                "{network:?}"
            );
        }
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "a",
            "10.0.0.0/-1",
            "10.0.0.0/",
        ] {
            let error = Proxies::new(&[text.to_owned()])
                .expect_err(text)
                .to_string();
            assert!(error.contains(&format!("'{text}'")), "{error}");
        }
    }
}
