//! Owns how the headers are read that proxies add to requests; knows nothing of which proxies are trusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use warp::http::{HeaderMap, HeaderName};

/// Whether a proxy has added a header to the request. Some add none.
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

/// The addresses that the proxies have noted, the nearest last; `None` for what is not an address.
pub(super) fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
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
    use crate::admission::proxies::Proxies;

    const XFF: &str = "x-forwarded-for";

    #[test]
    fn the_nearest_address_that_is_not_trusted_is_the_clients() {
        let networks = ["10.0.0.0/8", "2001:db8::/32"].map(str::to_owned);
        let some = Proxies::new(&networks).expect("networks");
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
                let client = some.client(proxy, hops(&map));
                let found = client.address.to_canonical().to_string();
                assert_eq!(
                    (&*found, client.is_named),
                    (address, is_named),
                    "{headers:?}"
                );
            }
        }
    }
}
