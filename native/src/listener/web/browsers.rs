//! Owns which requests of browsers are let in: by the page that sends them, and by the name it has for this server.
//! It must not know what they ask for.
//!
//! Any page may make a browser connect to any server, with the rights of whoever looks at it: to one that only this
//! machine can reach, say. What a page cannot do is lie about its origin, or about the host that it asked for.

use std::net::IpAddr;

use warp::http::header::{self, HeaderValue};
use warp::http::{HeaderMap, Method, Request, StatusCode};
use warp::reply::Response;

use super::{refuse, upgrade};

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
    fn of(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (name, plain) = match text.strip_prefix('*') {
            Some("") => return Some(Self::Every),
            Some(below) => (Self::Below(below.to_owned()), below.strip_prefix('.')?),
            None => (Self::Exactly(text.clone()), &*text),
        };
        let is_plain = !plain.is_empty() && !plain.contains(['*', '/', '@', ' ']);
        is_plain.then_some(name)
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
    /// A sentence naming the flag and the value that cannot be read.
    pub(crate) fn new(origins: &[String], hosts: &[String]) -> Result<Self, String> {
        let origins = origins.iter().map(|text| {
            allowed(text).ok_or_else(|| {
                format!(
                    "invalid --allow-origin '{text}' - write https://example.com, https://*.example.com, null, or * for \
                     all"
                )
            })
        });
        let hosts = hosts.iter().map(|text| {
            let name = Name::of(text).filter(|_| {
                // An address may have colons; a name with one has a port behind it.
                !text.contains(':') || text.parse::<IpAddr>().is_ok()
            });
            name.ok_or_else(|| {
                format!(
                    "invalid --allow-host '{text}' - write a name without scheme and port: mist.example.com, \
                     *.example.com, or * for all"
                )
            })
        });
        Ok(Self {
            origins: origins.collect::<Result<_, _>>()?,
            hosts: hosts.collect::<Result<_, _>>()?,
        })
    }

    /// Looks at a request before anybody else does. Returns the origin that may read the answer, if it needs leave.
    pub(super) fn check<B>(
        &self,
        request: &Request<B>,
        is_loopback: bool,
    ) -> Result<Option<HeaderValue>, Box<Response>> {
        let headers = request.headers();
        let host = match request.uri().authority() {
            Some(authority) => authority.as_str(),
            None => one(headers, header::HOST).unwrap_or_default(),
        };
        let is_unnamed = request.uri().authority().is_none() && !headers.contains_key(header::HOST);
        // Browsers always say which host they want.
        if !is_unnamed && !self.allows_host(host, is_loopback) {
            return Err(Box::new(wrong_host(host)));
        }
        let path = request.uri().path();
        let is_plain = ["/publish", "/subscribe"].contains(&path.trim_end_matches('/'));
        if !headers.contains_key(header::ORIGIN) || !(is_plain || upgrade::is_wanted(path, headers))
        {
            return Ok(None);
        }
        let origin = one(headers, header::ORIGIN);
        if !origin.is_some_and(|origin| self.allows_origin(origin, host, is_loopback)) {
            let shown = String::from_utf8_lossy(headers[header::ORIGIN].as_bytes()).into_owned();
            return Err(Box::new(wrong_origin(&shown)));
        }
        Ok(headers.get(header::ORIGIN).filter(|_| is_plain).cloned())
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

fn allowed(text: &str) -> Option<Allowed> {
    match text {
        "*" => return Some(Allowed::Every),
        "null" => return Some(Allowed::Null),
        _ => {}
    }
    let Site { scheme, host, port } = Site::of(text.strip_suffix('/').unwrap_or(text))?;
    let host = Name::of(&host).filter(|name| *name != Name::Every)?;
    Some(Allowed::Site(Site { scheme, host, port }))
}

/// The only value of a header.
fn one(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
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

fn wrong_host(host: &str) -> Response {
    let host = shown(host);
    tracing::info!("refusing a request for the host '{host}'; --allow-host {host} allows it");
    let text = format!(
        "this server does not go by the name '{host}' - ask for an IP address or localhost, or start it with \
         --allow-host {host}"
    );
    refuse(StatusCode::MISDIRECTED_REQUEST, text)
}

fn wrong_origin(origin: &str) -> Response {
    let origin = shown(origin);
    tracing::info!("refusing a page of the origin '{origin}'; --allow-origin {origin} allows it");
    let text = format!(
        "pages of the origin '{origin}' may not talk to this server - start it with --allow-origin {origin} to allow \
         it"
    );
    refuse(StatusCode::FORBIDDEN, text)
}

/// A value of somebody unknown, fit for a line in a log.
fn shown(value: &str) -> String {
    value
        .chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
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
mod tests {
    use super::*;

    fn browsers(origins: &[&str], hosts: &[&str]) -> Browsers {
        let owned = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
        Browsers::new(&owned(origins), &owned(hosts)).expect("they can be read")
    }

    #[test]
    fn a_page_may_talk_to_its_own_host_on_any_port() {
        let strict = browsers(&[], &[]);
        for (origin, host) in [
            ("http://example.com", "example.com"),
            ("https://example.com", "example.com"),
            ("http://Example.com:8080", "EXAMPLE.com:8888"),
            ("http://example.com", "example.com.:8888"),
            ("http://10.1.2.3:8080", "10.1.2.3:8888"),
            ("http://[2001:db8::1]:8080", "[2001:db8::1]:8888"),
        ] {
            for is_loopback in [false, true] {
                assert!(
                    strict.allows_origin(origin, host, is_loopback),
                    "{origin} {host}"
                );
            }
        }
        for origin in [
            "http://evil.example",
            "http://example.com.evil.example",
            "http://evilexample.com",
            "http://sub.example.com",
            "null",
            "",
            "example.com",
            "://example.com",
            "http://",
            "http://example.com/",
            "http://example.com@evil.example",
            "http://evil.example#example.com",
            "chrome-extension://example.com",
            "file://",
        ] {
            for is_loopback in [false, true] {
                assert!(
                    !strict.allows_origin(origin, "example.com:8888", is_loopback),
                    "{origin}"
                );
            }
        }
    }

    #[test]
    fn a_page_of_this_machine_may_talk_to_a_listener_on_this_machine_only() {
        let strict = browsers(&[], &[]);
        for origin in [
            "http://localhost:8080",
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "https://[::1]:5173",
            "http://app.localhost",
        ] {
            assert!(
                strict.allows_origin(origin, "127.0.0.1:8888", true),
                "{origin}"
            );
            assert!(
                !strict.allows_origin(origin, "10.1.2.3:8888", false),
                "{origin}"
            );
        }
        for origin in [
            "http://10.1.2.3:8080",
            "http://localhost.example",
            "http://notlocalhost",
            "http://127.0.0.1.example",
        ] {
            assert!(
                !strict.allows_origin(origin, "127.0.0.1:8888", true),
                "{origin}"
            );
        }
    }

    #[test]
    fn what_is_allowed_is_compared_as_origins_are() {
        let some = browsers(
            &[
                "https://app.example.com/",
                "https://*.example.org:8443",
                "app://mist",
                "http://a:80",
            ],
            &[],
        );
        for (origin, is_allowed) in [
            ("https://app.example.com", true),
            ("https://app.example.com:443", true),
            ("HTTPS://APP.example.com", true),
            ("http://app.example.com", false),
            ("https://app.example.com:8443", false),
            ("https://x.app.example.com", false),
            ("https://a.example.org:8443", true),
            ("https://a.b.example.org:8443", true),
            ("https://example.org:8443", false),
            ("https://.example.org:8443", false),
            ("https://a.example.org", false),
            ("https://evil-example.org:8443", false),
            ("app://mist", true),
            ("http://a", true),
            ("null", false),
        ] {
            assert_eq!(
                some.allows_origin(origin, "10.1.2.3", false),
                is_allowed,
                "{origin}"
            );
        }
        assert!(browsers(&["null"], &[]).allows_origin("null", "a", false));
        for origin in ["null", "https://evil.example", "nonsense"] {
            assert!(browsers(&["*"], &[]).allows_origin(origin, "a", false));
        }
    }

    #[test]
    fn a_listener_of_this_machine_answers_to_names_of_this_machine() {
        let strict = browsers(&[], &[]);
        for (host, is_allowed) in [
            ("127.0.0.1:8888", true),
            ("10.1.2.3", true),
            ("[::1]:8888", true),
            ("localhost", true),
            ("LOCALHOST.:1", true),
            ("app.localhost:8888", true),
            ("evil.example:8888", false),
            ("localhost.evil.example", false),
            ("evillocalhost", false),
            ("", false),
            ("127.0.0.1.evil.example", false),
            ("[::1].evil.example", false),
            ("localhost:evil", false),
        ] {
            assert_eq!(strict.allows_host(host, true), is_allowed, "{host}");
            assert!(strict.allows_host(host, false), "{host}");
        }
        let named = browsers(&[], &["mist.example.com", "*.example.org"]);
        for is_loopback in [false, true] {
            assert!(named.allows_host("Mist.example.com:80", is_loopback));
            assert!(named.allows_host("a.example.org", is_loopback));
            assert!(named.allows_host("10.1.2.3", is_loopback));
            assert!(!named.allows_host("example.org", is_loopback));
            assert!(!named.allows_host("evil.example", is_loopback));
        }
        assert!(browsers(&[], &["*"]).allows_host("evil.example", true));
    }

    #[test]
    fn what_cannot_be_an_origin_or_a_host_is_named() {
        for text in [
            "example.com",
            "https://",
            "https://*",
            "https://a.*.b",
            "https://a/b",
            "",
        ] {
            let error = Browsers::new(&[text.to_owned()], &[]).expect_err(text);
            assert!(
                error.contains(&format!("--allow-origin '{text}'")),
                "{error}"
            );
        }
        for text in [
            "https://example.com",
            "example.com:80",
            "*example.com",
            "a b",
            "",
        ] {
            let error = Browsers::new(&[], &[text.to_owned()]).expect_err(text);
            assert!(error.contains(&format!("--allow-host '{text}'")), "{error}");
        }
    }

    #[test]
    fn a_header_cannot_write_lines_into_the_log() {
        assert_eq!(shown("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(shown(&"x".repeat(1000)).len(), 200);
    }
}
