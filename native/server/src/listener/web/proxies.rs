//! Owns whose word is taken for where a request comes from; knows nothing of what follows from that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};

use warp::http::{HeaderMap, HeaderName};

use crate::bind_error::BindError;

/// The networks of the proxies that stand in front of the server.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    networks: Vec<Network>,
    /// Whether it was said that one of them does not name its clients.
    is_noted: AtomicBool,
}

/// For whom a proxy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// Its address, or that of the proxy that does not name it.
    pub(super) address: IpAddr,
    pub(super) is_named: bool,
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

    /// Where a request comes from that a trusted proxy has sent: each proxy is believed about the one before it, up to
    /// the first that is not trusted. Anybody can write the rest of the list.
    pub(super) fn client(&self, proxy: IpAddr, headers: &HeaderMap) -> Client {
        let mut client = Client {
            address: proxy,
            is_named: false,
        };
        for hop in hops(headers).into_iter().rev() {
            client.is_named = hop.is_some();
            let Some(address) = hop else { break };
            client.address = address;
            if !self.trusts(address) {
                break;
            }
        }
        client
    }

    /// Says, once, that what a proxy does not say costs others.
    pub(super) fn note_unnamed(&self, proxy: IpAddr) {
        if !self.is_noted.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %proxy,
                "a trusted proxy does not say for whom it asks, by an address in X-Forwarded-For, or in Forwarded \
                 where there is none (others, as X-Real-IP, are not read); those it asks for are all counted as the \
                 proxy (connections-per-address, failed-tokens)"
            );
        }
    }
}

/// Whether a proxy has left its mark on a request. Some leave none.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    const MARKS: [&str; 9] = [
        "cf-connecting-ip",
        "client-ip",
        "fastly-client-ip",
        "forwarded",
        "true-client-ip",
        "via",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-real-ip",
    ];
    let mut names = headers.keys().map(HeaderName::as_str);
    names.any(|name| name.starts_with("x-forwarded-") || MARKS.contains(&name))
}

/// The addresses that the proxies noted, the nearest last; none for what is no address.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).into_iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    };
    let plain = values("x-forwarded-for");
    if !plain.is_empty() {
        let items = plain.iter().flat_map(|value| value.split(','));
        return items.map(|item| address(item.trim())).collect();
    }
    let standard = values("forwarded");
    let items = standard.iter().flat_map(|value| value.split(','));
    items.map(for_whom).collect()
}

/// The address in an element of `Forwarded`: `for="[2001:db8::1]:4711";proto=https`.
fn for_whom(element: &str) -> Option<IpAddr> {
    let (_, value) = element
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(value.trim().trim_matches('"'))
}

/// Reads an address with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, _) = rest.split_once(']')?;
        return address.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    text.parse().ok().or_else(|| {
        let (address, port) = text.split_once(':')?;
        port.parse::<u16>().ok()?;
        address.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(networks: &[&str]) -> Proxies {
        let networks: Vec<_> = networks.iter().map(|&one| one.to_owned()).collect();
        Proxies::new(&networks).expect("networks")
    }

    const XFF: &str = "x-forwarded-for";

    #[test]
    fn the_nearest_address_that_is_not_trusted_is_the_clients() {
        let some = proxies(&["10.0.0.0/8", "2001:db8::/32"]);
        for (headers, address, is_named) in [
            (vec![], "10.0.0.1", false),
            (vec![(XFF, "1.2.3.4")], "1.2.3.4", true),
            // What the client wrote itself stands further left.
            (vec![(XFF, "6.6.6.6, 1.2.3.4")], "1.2.3.4", true),
            (
                vec![(XFF, "6.6.6.6"), (XFF, "1.2.3.4,10.9.9.9")],
                "1.2.3.4",
                true,
            ),
            (vec![(XFF, "1.2.3.4:5678")], "1.2.3.4", true),
            (vec![(XFF, "[2001:db9::1]:5678")], "2001:db9::1", true),
            (vec![(XFF, "1.2.3.4, 2001:db8::7")], "1.2.3.4", true),
            (vec![(XFF, "10.0.0.7, 10.0.0.8")], "10.0.0.7", true),
            // Behind what is no address nothing is known.
            (vec![(XFF, "1.2.3.4, unknown")], "10.0.0.1", false),
            (vec![(XFF, "1.2.3.4, unknown, 10.0.0.2")], "10.0.0.2", false),
            (vec![(XFF, "\"1.2.3.4\"")], "10.0.0.1", false),
            (vec![(XFF, "")], "10.0.0.1", false),
            (vec![("x-real-ip", "1.2.3.4")], "10.0.0.1", false),
            (
                vec![("forwarded", "for=6.6.6.6, FOR=\"1.2.3.4:80\";proto=https")],
                "1.2.3.4",
                true,
            ),
            (
                vec![("forwarded", "proto=https; for=\"[2001:db9::1]:4711\"")],
                "2001:db9::1",
                true,
            ),
            (
                vec![("forwarded", "for=1.2.3.4, for=_hidden")],
                "10.0.0.1",
                false,
            ),
            (vec![("forwarded", "proto=https")], "10.0.0.1", false),
            (
                vec![("forwarded", "for=6.6.6.6"), (XFF, "1.2.3.4")],
                "1.2.3.4",
                true,
            ),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                map.append(*name, value.parse().expect("a header"));
            }
            for proxy in ["10.0.0.1", "::ffff:10.0.0.1"] {
                let proxy: IpAddr = proxy.parse().expect("an address");
                assert!(some.trusts(proxy));
                let client = some.client(proxy, &map);
                let found = client.address.to_canonical().to_string();
                assert_eq!(
                    (&*found, client.is_named),
                    (address, is_named),
                    "{headers:?}"
                );
            }
        }
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
