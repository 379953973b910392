//! Owns the check of requests by browsers, and how refused ones are answered; knows nothing of which pages are allowed,
//! and must not know what they ask for.

use std::borrow::Cow;

use warp::http::header::{self, HeaderValue};
use warp::http::{Method, Request, StatusCode};
use warp::reply::Response;

use super::reply::refuse;
use super::request::one;
use super::upgrade;
use crate::admission::browsers::{Browsers, is_this_machine};
use crate::admission::peer::Peer;
use crate::log_limit::{Kind, LogLimit, shown};

/// Tells how the requesting page is related to the server. Browsers send it also for images, scripts, frames and links,
/// which have no origin, but only to servers that are encrypted or on the same machine.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Its values if no other site has made the request: a page of this server, or the user.
const IS_NO_OTHER: [&str; 2] = ["same-origin", "none"];

impl Browsers {
    /// Checks a request before anything else does, and logs it if it is refused. Returns the origin that must be
    /// allowed to read the answer, if there is one.
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
                Some(site) if !self.allows_every_origin() => {
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
    /// The same, if it is not a name of this server.
    fn check_host<'a, B>(
        &self,
        request: &'a Request<B>,
        is_loopback: bool,
    ) -> Result<&'a str, &'a str> {
        let host = host_of(request);
        // Browsers always name the host.
        let is_unnamed =
            request.uri().authority().is_none() && !request.headers().contains_key(header::HOST);
        match is_unnamed || self.allows_host(host, is_loopback) {
            true => Ok(host),
            false => Err(host),
        }
    }
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// The host that a request names, if it names one.
fn host_of<B>(request: &Request<B>) -> &str {
    match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => one(request.headers(), header::HOST).unwrap_or_default(),
    }
}

/// Whether a request addresses this machine by a loopback name. A request that a proxy forwards has a public one.
pub(super) fn is_for_this_machine<B>(request: &Request<B>) -> bool {
    is_this_machine(host_of(request))
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

/// Answers a preflight request, which a browser sends before a page's request that is not simple; `None` for others.
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

/// Allows the page of an origin to read the answer.
pub(super) fn share(response: &mut Response, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}
