//! Owns what a host is: a name or an IP address. It must not know of ports and schemes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::AddressError;

/// A host, as an address names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, in the form that name servers have it: small letters, other scripts as `xn--`.
    Domain(String),
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
}

impl Host {
    /// Reads a name or an IPv4 address; one of IPv6 stands in brackets, which are not for here.
    ///
    /// # Errors
    /// [`AddressError::Host`], [`AddressError::OtherScript`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ipv4(ip));
        }
        let wrong = || AddressError::Host(text.to_owned());
        let name = in_ascii(text)?;
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_of_name) {
            return Err(wrong());
        }
        // Name servers know no such name, and systems take it for an address of some older form.
        let last = name.trim_end_matches('.').rsplit('.').next();
        if last.is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(wrong());
        }
        Ok(Self::Domain(name))
    }

    /// The address, if it is none that has to be looked up.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Domain(_) => None,
            Self::Ipv4(ip) => Some((*ip).into()),
            Self::Ipv6(ip) => Some((*ip).into()),
        }
    }
}

/// Writes the host as it stands in a URI, an IPv6 address in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => f.write_str(name),
            Self::Ipv4(ip) => write!(f, "{ip}"),
            Self::Ipv6(ip) => write!(f, "[{ip}]"),
        }
    }
}

/// Writes a name as name servers have it.
fn in_ascii(text: &str) -> Result<String, AddressError> {
    if text.is_ascii() {
        return Ok(text.to_ascii_lowercase());
    }
    #[cfg(feature = "idn")]
    return idna::domain_to_ascii(text).map_err(|_| AddressError::Host(text.to_owned()));
    #[cfg(not(feature = "idn"))]
    Err(AddressError::OtherScript(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        let name = |text: &str| Ok(Host::Domain(text.to_owned()));
        for (text, host) in [
            ("127.0.0.1", Ok(Host::Ipv4(Ipv4Addr::LOCALHOST))),
            ("Example.ORG", name("example.org")),
            ("my_host.local.", name("my_host.local.")),
            ("xn--bcher-kva.example", name("xn--bcher-kva.example")),
            ("1e100.net", name("1e100.net")),
        ] {
            assert_eq!(Host::parse(text), host, "{text}");
        }
        for text in [
            "256.1.1.1",
            "127.1",
            "1.2.3.4.",
            "a b",
            "a/b",
            "a%b",
            "..",
            "é b",
        ] {
            let error = Host::parse(text).expect_err(text).to_string();
            assert!(error.contains(&format!("'{text}'")), "{error}");
        }
    }

    #[test]
    fn other_scripts_are_written_as_name_servers_have_them_or_refused_with_what_to_do() {
        let read = Host::parse("Bücher.example");
        if cfg!(feature = "idn") {
            assert_eq!(read, Ok(Host::Domain("xn--bcher-kva.example".into())));
        } else {
            let error = read.expect_err("no tables here").to_string();
            for part in ["'Bücher.example'", "xn--", "`idn`"] {
                assert!(error.contains(part), "{error}");
            }
        }
    }
}
