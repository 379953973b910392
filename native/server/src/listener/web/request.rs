//! Owns the caller of a request, and how its head is read; knows nothing of the answers.

use std::sync::Arc;

use tokio::time::Instant;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::header::{self, AsHeaderName};
use warp::http::{HeaderMap, HeaderName};

use crate::admission::address_limit::AddressPermit;
use crate::admission::peer::Peer;
use crate::admission::proxies::Client;
use crate::admission::rates::meter::Meter;
use crate::hub::Arrival;
use crate::listener::acceptor::{Acceptor, Permit, Refusal};

/// The client that makes a request.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) permit: Arc<Permit>,
    pub(super) peer: Option<Peer>,
    /// The number of the listener that received the request.
    pub(super) listener: u16,
    /// The client behind a trusted proxy, whose connection does not count for any address.
    pub(super) client: Option<Client>,
    /// Whether it comes from this machine, as far as can be seen.
    pub(super) is_local: bool,
    pub(super) since: Instant,
    /// The meter of the connection; none for a proxy's, which carries many clients.
    pub(super) meter: Option<Arc<Meter>>,
}

impl Caller {
    pub(super) fn arrival(&self) -> Arrival {
        Arrival {
            peer: self.peer,
            took: self.since.elapsed(),
            is_request: false,
            is_link: false,
            listener: self.listener,
        }
    }

    /// Counts a long-lived request as a connection of the caller's address, unless its connection is counted already.
    pub(super) fn count_address(
        &self,
        acceptor: &Acceptor,
    ) -> Result<Option<AddressPermit>, Refusal> {
        let Some(client) = self.client else {
            return Ok(None);
        };
        if !client.is_named {
            acceptor.hub.in_force().proxies.note_unnamed(client.address);
        }
        acceptor.count_address(self.peer)
    }
}

pub(super) fn get_or_head() -> BoxedFilter<()> {
    warp::get().or(warp::head()).unify().boxed()
}

/// The query as it was sent, empty when there is none.
pub(super) fn raw_query() -> BoxedFilter<(String,)> {
    warp::query::raw()
        .or(warp::any().map(String::new))
        .unify()
        .boxed()
}

/// The value of a header that occurs once.
pub(super) fn one(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

pub(super) fn offered_protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    listed(headers, header::SEC_WEBSOCKET_PROTOCOL)
}

/// Whether a value is among those of the headers with this name.
pub(super) fn lists(headers: &HeaderMap, name: impl AsHeaderName, value: &str) -> bool {
    listed(headers, name).any(|listed| listed.eq_ignore_ascii_case(value))
}

/// The comma-separated values of the headers with this name.
pub(super) fn listed(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
}
