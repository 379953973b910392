//! Owns which requests of browsers are let in: by the page that sends them, and by the name it has for this server.
//! It must not know what they ask for.
//!
//! Any page may make a browser connect to any server, with the rights of whoever looks at it: to one that only this
//! machine can reach, say. What a page cannot do is lie about its origin, or about the host that it asked for.

use std::borrow::Cow;
use std::net::IpAddr;

use mist_net::address::{AddressError, Host};
use warp::http::header::{self, HeaderValue};
use warp::http::{Method, Request, StatusCode};
use warp::reply::Response;

use super::{one, refuse, upgrade};
use crate::admission::peer::Peer;
use crate::bind_error::BindError;
use crate::log_limit::{Kind, LogLimit, shown};

/// Where a browser says how the page that asks is related to what it asks for. It says so for images, scripts, frames
/// and links, too, which have no origin; but only to servers that are encrypted or on the same machine.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// What it says where no other site is behind the request: a page of this very server, or the user.
const IS_NO_OTHER: [&str; 2] = ["same-origin", "none"];

/// The pages and names that are allowed besides those that need no word.
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
    /// What is said by pages that have no origin: files, and frames in a sandbox.
    Null,
    Site(Site<Name>),
}

/// Where a page comes from; the port that goes without saying is not there.
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
    /// Reads a name, which must be written as browsers write it, or no request would ever have it.
    ///
    /// # Errors
    /// What to write instead; `form` where that is anybody's guess.
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

    /// Looks at a request before anybody else does, and has it logged if it is refused. Returns the origin that may read
    /// the answer, if it needs leave.
    pub(super) fn check<B>(
        &self,
        request: &Request<B>,
        is_loopback: bool,
        log: &LogLimit,
        peer: Option<Peer>,
    ) -> Result<Option<HeaderValue>, Box<Response>> {
        let headers = request.headers();
        let host = self.check_host(request, is_loopback);
        let host = host.map_err(|host| Box::new(wrong_host(host, log, peer)))?;
        let path = request.uri().path();
        let is_plain = ["/publish", "/subscribe"].contains(&path.trim_end_matches('/'));
        if !is_plain && !upgrade::is_wanted(path, headers) {
            return Ok(None);
        }
        let Some(origin) = headers.get(header::ORIGIN) else {
            let site = headers.get_all(SEC_FETCH_SITE).into_iter();
            return match site.map(text).find(|site| !IS_NO_OTHER.contains(&&**site)) {
                Some(site) if !self.origins.contains(&Allowed::Every) => {
                    Err(Box::new(other_site(&site, log, peer)))
                }
                _ => Ok(None),
            };
        };
        let is_allowed = |origin| self.allows_origin(origin, host, is_loopback);
        if !one(headers, header::ORIGIN).is_some_and(is_allowed) {
            return Err(Box::new(wrong_origin(&text(origin), log, peer)));
        }
        Ok(is_plain.then(|| origin.clone()))
    }

    /// The host that a request is for.
    ///
    /// # Errors
    /// The same, where it is not this server for all that a page knows.
    pub(super) fn check_host<'a, B>(
        &self,
        request: &'a Request<B>,
        is_loopback: bool,
    ) -> Result<&'a str, &'a str> {
        let headers = request.headers();
        let host = match request.uri().authority() {
            Some(authority) => authority.as_str(),
            None => one(headers, header::HOST).unwrap_or_default(),
        };
        // Browsers always say which host they want.
        let is_unnamed = request.uri().authority().is_none() && !headers.contains_key(header::HOST);
        match is_unnamed || self.allows_host(host, is_loopback) {
            true => Ok(host),
            false => Err(host),
        }
    }

    /// Whether the server goes by this name. Others matter only where a name that points to this machine opens what the
    /// network cannot reach, or where names were given.
    fn allows_host(&self, host: &str, is_loopback: bool) -> bool {
        if !is_loopback && self.hosts.is_empty() {
            return true;
        }
        let Some((host, _)) = host_and_port(host) else {
            return false;
        };
        // A name that somebody else can point here is neither an address nor one of this machine's own.
        host.parse::<IpAddr>().is_ok()
            || is_localhost(&host)
            || self.hosts.iter().any(|name| name.is(&host))
    }

    /// Whether a page may talk to the server that it calls `host`: its own, one on the same machine, or one that allows
    /// it.
    fn allows_origin(&self, origin: &str, host: &str, is_loopback: bool) -> bool {
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

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
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

fn wrong_host(host: &str, log: &LogLimit, peer: Option<Peer>) -> Response {
    let host = shown(host);
    if log.admits(Kind::OtherHost, peer) {
        tracing::info!(
            peer = peer.map(display),
            "refusing a request for the host '{host}', which allow-host would allow"
        );
    }
    let text = format!(
        "this server does not go by the name '{host}' - ask for an IP address or localhost, or have it \
         listed in the setting allow-host"
    );
    refuse(StatusCode::MISDIRECTED_REQUEST, text)
}

fn wrong_origin(origin: &str, log: &LogLimit, peer: Option<Peer>) -> Response {
    let origin = shown(origin);
    if log.admits(Kind::OtherSite, peer) {
        tracing::info!(
            peer = peer.map(display),
            "refusing a page of the origin '{origin}', which allow-origin would allow"
        );
    }
    let text = format!(
        "pages of the origin '{origin}' may not talk to this server - have {origin} listed \
         in its setting allow-origin"
    );
    refuse(StatusCode::FORBIDDEN, text)
}

fn other_site(site: &str, log: &LogLimit, peer: Option<Peer>) -> Response {
    let site = shown(site);
    if log.admits(Kind::OtherSite, peer) {
        tracing::info!(
            peer = peer.map(display),
            "refusing a request of another site's page that names no origin"
        );
    }
    let text = format!(
        "the browser asks for a page of another site (Sec-Fetch-Site: {site}) without naming its origin - use fetch, \
         EventSource or WebSocket, in a page whose origin the server's setting allow-origin lists"
    );
    refuse(StatusCode::FORBIDDEN, text)
}

/// Answers the question a browser asks before it lets a page make a request that is not simple; `None` for others.
pub(super) fn preflight<B>(request: &Request<B>) -> Option<Response> {
    let is_one = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !is_one {
        return None;
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, x-auth-token, last-event-id",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Some(response)
}

/// Lets the page of an allowed origin read an answer.
pub(super) fn share(response: &mut Response, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}

#[cfg(test)]
mod tests;
