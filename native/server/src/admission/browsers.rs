//! Owns which pages may talk to the server, and under which host names; knows nothing of requests.
//!
//! Any page can make a visitor's browser connect to any server that the browser can reach, even one that listens on
//! this machine only. But it cannot forge its origin, nor the host name that it asked for.

use std::net::IpAddr;

use mist_net::address::{AddressError, Host};

use crate::bind_error::BindError;

/// The pages and names that are allowed besides those that always are.
#[derive(Debug, Default)]
pub(crate) struct Browsers {
    origins: Vec<Allowed>,
    hosts: Vec<Name>,
}

/// An origin that was allowed.
#[derive(Debug, PartialEq, Eq)]
enum Allowed {
    /// `*`
    Every,
    /// `null`, which pages without an origin send: files, and frames in a sandbox.
    Null,
    Site(Site<Name>),
}

/// Where a page comes from, without the scheme's default port.
#[derive(Debug, PartialEq, Eq)]
struct Site<H> {
    scheme: String,
    host: H,
    port: Option<u16>,
}

/// A host that was allowed.
#[derive(Debug, PartialEq, Eq)]
enum Name {
    /// `*`
    Every,
    Exactly(String),
    /// `*.example.com`, as `.example.com`.
    Below(String),
}

impl Name {
    /// Reads a name. It must be written as browsers write it: otherwise it would never match a request.
    ///
    /// # Errors
    /// What to write instead, or `form` if that cannot be guessed.
    fn of(text: &str, form: &str) -> Result<Self, String> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let text = text.to_ascii_lowercase();
        if text == "*" {
            return Ok(Self::Every);
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(domain) => ("*.", domain),
            None => ("", &*text),
        };
        let (host, given) = match name.contains(':') {
            true => (name.parse().ok().map(Host::Ipv6), format!("[{name}]")),
            false => match Host::parse(name) {
                Err(why @ AddressError::OtherScript(_)) => return Err(why.to_string()),
                host => (host.ok(), name.to_owned()),
            },
        };
        let host = host.ok_or(form)?;
        let written = host.to_string();
        if written != given {
            return Err(format!("browsers write it as {below}{written}"));
        }
        match (below, host) {
            ("", _) => Ok(Self::Exactly(text)),
            (_, Host::Domain(domain)) => Ok(Self::Below(format!(".{domain}"))),
            _ => Err(form.to_owned()),
        }
    }

    fn is(&self, host: &str) -> bool {
        match self {
            Self::Every => true,
            Self::Exactly(name) => name == host,
            Self::Below(domain) => host.len() > domain.len() && host.ends_with(&**domain),
        }
    }
}

impl Site<String> {
    /// Reads `https://host:port` and nothing more.
    fn of(text: &str) -> Option<Self> {
        let (scheme, place) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme.is_empty() || place.contains(['/', '?', '#', '@', ' ']) {
            return None;
        }
        let (host, port) = host_and_port(place)?;
        let usual = match &*scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        Some(Self {
            scheme,
            host,
            port: port.filter(|port| Some(*port) != usual),
        })
    }
}

impl Browsers {
    /// Reads what was allowed.
    ///
    /// # Errors
    /// [`BindError::Origin`] and [`BindError::Host`].
    pub(crate) fn new(origins: &[String], hosts: &[String]) -> Result<Self, BindError> {
        let origins = origins.iter().map(|text| {
            allowed(text).map_err(|why| BindError::Origin {
                value: text.clone(),
                why,
            })
        });
        let hosts = hosts.iter().map(|text| {
            let inner = text
                .strip_prefix('[')
                .and_then(|text| text.strip_suffix(']'));
            let name = inner.unwrap_or(text);
            let name = match name.contains(':') && name.parse::<IpAddr>().is_err() {
                // Behind a colon that is not within an address there is a port.
                true => Err(HOSTS.to_owned()),
                false => Name::of(name, HOSTS),
            };
            name.map_err(|why| BindError::Host {
                value: text.clone(),
                why,
            })
        });
        Ok(Self {
            origins: origins.collect::<Result<_, _>>()?,
            hosts: hosts.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the pages of all origins are let in.
    pub(crate) fn allows_every_origin(&self) -> bool {
        self.origins.contains(&Allowed::Every)
    }

    /// Whether this may be a name of the server. Names are checked on loopback listeners, where another name that
    /// points to this machine would open what the network cannot reach, and everywhere once names were given.
    pub(crate) fn allows_host(&self, host: &str, is_loopback: bool) -> bool {
        if !is_loopback && self.hosts.is_empty() {
            return true;
        }
        let Some((host, _)) = host_and_port(host) else {
            return false;
        };
        // An IP address or a name of this machine is safe: no attacker can make it point elsewhere.
        host.parse::<IpAddr>().is_ok()
            || is_localhost(&host)
            || self.hosts.iter().any(|name| name.is(&host))
    }

    /// Whether a page may talk to a server that it addressed as `host`: the page's own host, a server on the same
    /// machine, or one that allows its origin.
    pub(crate) fn allows_origin(&self, origin: &str, host: &str, is_loopback: bool) -> bool {
        let page = Site::of(origin);
        let is_allowed = |allowed: &Allowed| match (allowed, &page) {
            (Allowed::Every, _) => true,
            (Allowed::Null, _) => origin == "null",
            (Allowed::Site(site), Some(page)) => {
                site.scheme == page.scheme && site.port == page.port && site.host.is(&page.host)
            }
            (Allowed::Site(_), None) => false,
        };
        if self.origins.iter().any(is_allowed) {
            return true;
        }
        let Some(page) = page.filter(|page| ["http", "https"].contains(&&*page.scheme)) else {
            return false;
        };
        // The ports differ: the page comes from the http listener and talks to the ws listener.
        host_and_port(host).is_some_and(|(host, _)| host == page.host)
            || is_loopback && is_here(&page.host)
    }
}

/// What can be allowed.
const ORIGINS: &str = "write https://example.com, https://*.example.com, null, or * for all";
const HOSTS: &str =
    "write a name without scheme and port: mist.example.com, *.example.com, or * for all";

/// Reads an origin that is to be allowed.
///
/// # Errors
/// What to write instead.
fn allowed(text: &str) -> Result<Allowed, String> {
    match text {
        "*" => return Ok(Allowed::Every),
        "null" => return Ok(Allowed::Null),
        _ => {}
    }
    let site = Site::of(text.strip_suffix('/').unwrap_or(text));
    let Site { scheme, host, port } = site.ok_or(ORIGINS)?;
    if ["ws", "wss"].contains(&&*scheme) {
        return Err("a page's origin begins with http:// or https://".to_owned());
    }
    match Name::of(&host, ORIGINS)? {
        Name::Every => Err(ORIGINS.to_owned()),
        host => Ok(Allowed::Site(Site { scheme, host, port })),
    }
}

/// Reads `host:port`; brackets and a dot at the end are taken off, letters made small.
fn host_and_port(place: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':')?),
            };
            (host, port)
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let port = port.map(str::parse).transpose().ok()?;
    (!host.is_empty()).then_some((host, port))
}

/// Whether a host, with a port perhaps, is this machine as seen from itself.
pub(crate) fn is_this_machine(place: &str) -> bool {
    host_and_port(place).is_some_and(|(host, _)| is_here(&host))
}

fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// Whether a host is this machine, as seen from itself.
fn is_here(host: &str) -> bool {
    is_localhost(host)
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests;
