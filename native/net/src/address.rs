//! Owns the form of addresses, of listeners as of servers to connect to, and what is said of a wrong one. It must not
//! know what is done with them.
//!
//! An address is `SCHEME://HOST:PORT`, with a path and a query where clients use WebSocket, or `unix:///PATH`. An IPv6
//! address stands in brackets, with its zone behind `%25` or `%`.

mod error;
mod host;
mod resolve;
mod scheme;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

pub use self::error::AddressError;
pub use self::host::Host;
pub use self::scheme::{Scheme, list};

/// An address that has the right form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    scheme: Scheme,
    place: Place,
}

/// Where something listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a port.
    Internet(Site),
    /// At a file.
    Unix(UnixPath),
}

/// A port of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    host: Host,
    /// Which network an IPv6 address is in, for those that every network has.
    zone: Option<String>,
    /// The number of the port; 0 is one that the system chooses.
    pub port: u16,
    /// For WebSocket, the path and query to ask for.
    pub target: String,
}

/// The file of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixPath {
    /// Where it is.
    pub path: String,
    /// The file's mode, which says who may connect.
    pub mode: u32,
}

/// Where a server takes WebSocket clients if the address does not say.
const WEBSOCKET_PATH: &str = "/subscribe/websocket";

/// The longest path of a Unix socket, in bytes; one more ends it.
const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

impl Endpoint {
    /// Reads where to listen. Without a port it is the scheme's own; port 0 is one that the system chooses.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn to_listen(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = split(text.trim())?;
        let scheme = Scheme::named(scheme)?;
        let read = Self::read(scheme, rest)?;
        match &read.place {
            Place::Internet(site) if !matches!(&*site.target, "" | "/") => {
                Err(AddressError::Path {
                    what: "a listener",
                    path: without_secrets(&site.target),
                })
            }
            _ => Ok(read),
        }
    }

    /// Reads where to connect to. Without a scheme it is `tcp://`, without a port the scheme's own. `http://` and
    /// `https://` are a WebSocket at a listener for HTTP.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn to_connect(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let (scheme, rest) = split(text).unwrap_or((Scheme::Tcp.name(), text));
        let mut read = Self::read(Scheme::named(scheme)?, rest)?;
        let scheme = read.scheme.of_client();
        scheme.check_built_in()?;
        read.scheme = scheme;
        if let Place::Internet(Site { target, .. }) = &mut read.place {
            match &**target {
                "" | "/" if scheme.is_websocket() => WEBSOCKET_PATH.clone_into(target),
                query if scheme.is_websocket() && query.starts_with('?') => {
                    *target = format!("{WEBSOCKET_PATH}{query}");
                }
                _ if scheme.is_websocket() => {}
                "" | "/" => target.clear(),
                path => {
                    return Err(AddressError::Path {
                        what: "an address without ws:// or wss://",
                        path: without_secrets(path),
                    });
                }
            }
        }
        Ok(read)
    }

    fn read(scheme: Scheme, rest: &str) -> Result<Self, AddressError> {
        let place = match scheme {
            Scheme::Unix => Place::Unix(UnixPath::read(rest)?),
            _ => Place::Internet(Site::read(rest, scheme.default_port())?),
        };
        Ok(Self { scheme, place })
    }

    /// Returns how messages travel.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns where that is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The port of a host, unless it is a file.
    pub fn site(&self) -> Option<&Site> {
        match &self.place {
            Place::Internet(site) => Some(site),
            Place::Unix(_) => None,
        }
    }
}

/// Writes what to connect to: host and port, or the URI of a Unix socket.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Internet(site) => {
                write!(
                    f,
                    "{}:{}",
                    in_uri(&site.host, site.zone.as_deref()),
                    site.port
                )
            }
            Place::Unix(file) => write!(f, "unix://{}", file.path),
        }
    }
}

/// Splits off the scheme.
pub fn split(text: &str) -> Result<(&str, &str), AddressError> {
    text.split_once("://")
        .ok_or_else(|| AddressError::MissingScheme {
            address: without_secrets(text),
        })
}

impl Site {
    /// Reads `HOST:PORT` with perhaps a path and a query behind.
    fn read(rest: &str, default_port: u16) -> Result<Self, AddressError> {
        let (authority, target) = match rest.find(['/', '?', '#']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(AddressError::Credentials);
        }
        let is_plain = |c: char| c.is_ascii_graphic() && c != '#';
        if let Some(wrong) = target.chars().find(|&c| !is_plain(c)) {
            return Err(AddressError::Character(wrong));
        }
        let (host, zone, port) = match authority.strip_prefix('[') {
            Some(inner) => {
                let (ip, port) = bracketed(inner)?;
                let (ip, zone) = zoned(ip)?;
                (Host::Ipv6(ip), zone, port)
            }
            None => match authority.split_once(':') {
                Some((_, port)) if port.contains(':') => return Err(AddressError::Brackets),
                Some((name, port)) => (host(name)?, None, Some(port)),
                None => (host(authority)?, None, None),
            },
        };
        Ok(Self {
            host,
            zone,
            port: port.map_or(Ok(default_port), self::port)?,
            target: target.to_owned(),
        })
    }

    /// The name or the address, as a certificate has it: without brackets and zone.
    pub fn name(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        }
    }

    /// The name or the address with the port, as an HTTP request has it: without a zone.
    pub fn authority(&self) -> String {
        format!("{}:{}", in_uri(&self.host, None), self.port)
    }

    /// The path to ask for, without the query, in which there may be a token.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The address, if it is none that has to be looked up.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.ip()
    }
}

impl UnixPath {
    /// Reads a path with perhaps `?mode=` behind, which says nothing to a client.
    fn read(rest: &str) -> Result<Self, AddressError> {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path.is_empty() {
            return Err(AddressError::MissingPath);
        }
        if path.contains('\0') {
            return Err(AddressError::Character('\0'));
        }
        if path.len() > LONGEST_PATH {
            return Err(AddressError::LongPath {
                length: path.len(),
                most: LONGEST_PATH,
            });
        }
        let mut mode = 0o600;
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let digits = option
                .strip_prefix("mode=")
                .ok_or_else(|| AddressError::Option(option.to_owned()))?;
            mode = u32::from_str_radix(digits, 8)
                .ok()
                .filter(|mode| *mode <= 0o777)
                .ok_or_else(|| AddressError::Mode(digits.to_owned()))?;
        }
        let path = path.to_owned();
        Ok(Self { path, mode })
    }
}

/// Writes a host as it stands in a URI.
fn in_uri(host: &Host, zone: Option<&str>) -> String {
    match (host, zone) {
        (Host::Ipv6(ip), Some(zone)) => format!("[{ip}%25{zone}]"),
        _ => host.to_string(),
    }
}

/// Splits what stands behind `[` into an address with its zone, and a port.
fn bracketed(inner: &str) -> Result<(&str, Option<&str>), AddressError> {
    let Some((ip, behind)) = inner.split_once(']') else {
        return Err(AddressError::Brackets);
    };
    match behind.strip_prefix(':') {
        Some(port) => Ok((ip, Some(port))),
        None if behind.is_empty() => Ok((ip, None)),
        None => Err(AddressError::Port(behind.to_owned())),
    }
}

fn zoned(text: &str) -> Result<(Ipv6Addr, Option<String>), AddressError> {
    let wrong = || AddressError::Ipv6(text.to_owned());
    let (ip, zone) = match text.split_once('%') {
        // In a URI a percent sign has to be written as %25; many leave it as it is.
        Some((ip, zone)) => {
            let zone = zone
                .strip_prefix("25")
                .filter(|it| !it.is_empty())
                .unwrap_or(zone);
            let is_name =
                !zone.is_empty() && zone.chars().all(|c| c.is_ascii_graphic() && c != '%');
            (
                ip,
                Some(is_name.then(|| zone.to_owned()).ok_or_else(wrong)?),
            )
        }
        None => (text, None),
    };
    let ip: Ipv6Addr = ip.parse().map_err(|_| wrong())?;
    match ip.is_unicast_link_local() && zone.is_none() {
        true => Err(AddressError::MissingZone(ip.to_string())),
        false => Ok((ip, zone)),
    }
}

fn host(text: &str) -> Result<Host, AddressError> {
    match text {
        "" => Err(AddressError::MissingHost),
        // It could be an address, 0.0.5.165 for 1445, but is never meant as one.
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(AddressError::PortAlone(text.to_owned()))
        }
        _ => Host::parse(text),
    }
}

fn port(text: &str) -> Result<u16, AddressError> {
    // The standard library would take a sign.
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| AddressError::Port(text.to_owned()))
}

/// Returns an address for people, without the password or token that may stand in it.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + 3),
        None => ("", text),
    };
    if scheme.eq_ignore_ascii_case("unix://") {
        return text.to_owned();
    }
    // A secret may have either sign in it, where it is not escaped as it should be.
    match (rest.rsplit_once('@'), rest.split_once('?')) {
        (None, None) => text.to_owned(),
        (Some((_, place)), None) => format!("{scheme}…@{place}"),
        (None, Some((place, _))) => format!("{scheme}{place}?…"),
        (Some(_), Some(_)) => format!("{scheme}…"),
    }
}

#[cfg(test)]
mod tests;
