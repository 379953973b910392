//! The listener for HTTP and WebSocket. The only place that knows warp.

mod api;
mod body;
pub(super) mod browsers;
mod events;
mod metrics;
mod page;
pub(super) mod proxies;
mod publish;
mod query;
mod routes;
mod stall_timeout;
mod token;
mod upgrade;
mod visit;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use mist_core::ErrorCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tracing::field::display;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::header::{CONTENT_TYPE, RETRY_AFTER};
use warp::http::{HeaderMap, HeaderName, StatusCode, Uri};
use warp::reply::{Reply, Response};

use self::proxies::Client;
pub(crate) use self::routes::Offers;
use self::stall_timeout::StallTimeout;
use super::socket::accept_tcp;
use super::tls::Tls;
use super::{Acceptor, Address, Guest, Listener, Permit, Refusal};
use crate::admission::address_limit::AddressPermit;
use crate::admission::peer::Peer;
use crate::admission::rates::{Exceeded, Meter};
use crate::hub::Arrival;
use crate::log_limit::{Kind, LogLimit};

struct Web {
    listener: TcpListener,
    address: Address,
    tls: Option<Arc<Tls>>,
}

pub(super) fn new(
    listener: TcpListener,
    address: Address,
    tls: Option<Arc<Tls>>,
) -> Box<dyn Listener> {
    Box::new(Web {
        listener,
        address,
        tls,
    })
}

impl Listener for Web {
    fn address(&self) -> Address {
        self.address.clone()
    }

    fn serve(self: Box<Self>, acceptor: Acceptor) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let socket = self.address.socket();
            let is_loopback = socket.is_some_and(|socket| is_this_machine(socket.ip()));
            let site = Site::new(&acceptor, is_loopback);
            accept_tcp(self.listener, &acceptor, |stream, peer| {
                let guest = match acceptor.hub.in_force().proxies.trusts(peer.ip()) {
                    true => acceptor.greet_proxy(peer.ip()),
                    false => acceptor.greet(Some(peer.ip())),
                };
                match &self.tls {
                    None => serve_http(&acceptor, stream, guest, &site),
                    Some(tls) => {
                        let site = site.clone();
                        let serve = move |acceptor: &Acceptor, stream, guest| {
                            serve_http(acceptor, stream, guest, &site);
                        };
                        tls.accept(stream, guest, &acceptor, https_required, serve);
                    }
                }
            })
            .await;
        })
    }
}

/// What is served on a listener.
#[derive(Clone)]
pub(super) struct Site {
    routes: BoxedFilter<(Response,)>,
    /// Whether only this machine can reach it.
    is_loopback: bool,
}

impl Site {
    pub(super) fn new(acceptor: &Acceptor, is_loopback: bool) -> Self {
        Self {
            routes: routes::of(acceptor),
            is_loopback,
        }
    }
}

fn is_this_machine(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// What a client is told that asks in plain text where it has to encrypt.
fn https_required() -> Vec<u8> {
    let body = error_body(
        "",
        ErrorCode::TlsRequired.name(),
        "this port speaks TLS - use https:// or wss://",
    );
    let head = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json";
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into()
}

/// Speaks HTTP on a connection until it ends, or until it becomes a WebSocket, which has a task of its own.
pub(super) fn serve_http<S>(acceptor: &Acceptor, stream: S, guest: Guest, site: &Site)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let listener = acceptor.listener;
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(guest.patience(&acceptor.hub))
        .max_headers(100)
        .max_buf_size(64 << 10);
    // A WebSocket takes the permit over from the connection it was.
    let (address, since) = (guest.address, guest.since);
    let is_first = AtomicBool::new(true);
    let (permit, routes) = match guest.permit {
        Ok(permit) => (Some(Arc::new(permit)), site.routes.clone()),
        Err(refusal) => {
            http.keep_alive(false);
            (None, not_let_in(refusal))
        }
    };
    let routes = TowerToHyperService::new(warp::service(routes));
    let lent = permit.clone();
    let is_loopback = site.is_loopback;
    let hub = Arc::clone(&acceptor.hub);
    let meter = Arc::<Meter>::default();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let in_force = hub.in_force();
        let (browsers, proxies) = (&in_force.browsers, &in_force.proxies);
        let behind = address.filter(|address| proxies.trusts(*address));
        let client = behind.map(|proxy| proxies.client(proxy, request.headers()));
        let from = client.map(|client| client.address).or(address);
        let peer = from.map(Peer::from);
        // A proxy on this machine asks for others, whether or not it is trusted.
        let is_local = client.is_none()
            && address.is_some_and(is_this_machine)
            && !proxies::is_forwarded(request.headers())
            && browsers.check_host(&request, true).is_ok();
        if let Some(permit) = &lent {
            // A later request begins anew; how long the connection was at rest is no matter.
            let since = match is_first.swap(false, Ordering::Relaxed) {
                true => since,
                false => Instant::now(),
            };
            request.extensions_mut().insert(Caller {
                permit: Arc::clone(permit),
                peer,
                listener,
                client,
                is_local,
                since,
                meter: client.is_none().then(|| Arc::clone(&meter)),
            });
        }
        let checked = browsers
            .check(&request, is_loopback, &hub.log, peer)
            .map(|origin| {
                let early = origin.as_ref().and_then(|_| browsers::preflight(&request));
                (origin, early.ok_or_else(|| routes.call(with_path(request))))
            });
        async move {
            let (origin, answer) = match checked {
                Ok(checked) => checked,
                Err(refusal) => return Ok::<_, Infallible>(*refusal),
            };
            let mut response = match answer {
                Ok(early) => early,
                Err(answer) => answer.await?,
            };
            if let Some(origin) = origin {
                browsers::share(&mut response, origin);
            }
            Ok(response)
        }
    });
    let seconds = acceptor.hub.in_force().limits.stall_seconds.max(1);
    let stream = StallTimeout::new(stream, Duration::from_secs(seconds.into()));
    let log = Arc::clone(&acceptor.hub.log);
    let stages = acceptor.stages.clone();
    acceptor.hub.tasks.spawn(async move {
        let connection = http
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = stages.stopped.cancelled() => {
                connection.as_mut().graceful_shutdown();
                // A request that does not go on must not outlive the server.
                tokio::select! {
                    ended = connection => Some(ended),
                    () = stages.cut.cancelled() => None,
                }
            }
        };
        if let Some(Err(error)) = ended {
            log_end(&log, address.map(Peer::from), &error);
        }
        drop(permit);
    });
}

/// A target such as `host:port` has no path, and warp panics without one. What takes its place leads nowhere.
fn with_path(mut request: Request<Incoming>) -> Request<Incoming> {
    if request.uri().path_and_query().is_none() {
        *request.uri_mut() = Uri::from_static("*");
    }
    request
}

fn log_end(log: &LogLimit, peer: Option<Peer>, error: &hyper::Error) {
    let shown = peer.map(display);
    if error.is_parse() && !error.is_parse_too_large() {
        if log.admits(Kind::NotHttp, peer) {
            tracing::info!(
                peer = shown,
                %error,
                "a client sent something that is not HTTP; if it speaks TLS, it needs an https:// or wss:// listener"
            );
        }
    } else if log.admits(Kind::HttpEnded, peer) {
        tracing::debug!(peer = shown, %error, "an HTTP connection ended early");
    }
}

fn not_let_in(refusal: Refusal) -> BoxedFilter<(Response,)> {
    warp::any()
        .map(move || unavailable(refusal.clone()))
        .boxed()
}

/// Who makes a request.
#[derive(Clone)]
struct Caller {
    permit: Arc<Permit>,
    peer: Option<Peer>,
    /// The number of the listener that the request came to.
    listener: u16,
    /// For whom a trusted proxy asks, whose own connection does not count for anybody.
    client: Option<Client>,
    /// Whether it comes from this machine, for all that can be seen.
    is_local: bool,
    since: Instant,
    /// What was done on the connection lately; not for a proxy's, which carries many clients.
    meter: Option<Arc<Meter>>,
}

impl Caller {
    fn arrival(&self) -> Arrival {
        Arrival {
            peer: self.peer,
            took: self.since.elapsed(),
            is_request: false,
            listener: self.listener,
        }
    }

    /// Counts what will go on for long among what the caller's address has, unless its connection is counted already.
    fn count_address(&self, acceptor: &Acceptor) -> Result<Option<AddressPermit>, Refusal> {
        let Some(client) = self.client else {
            return Ok(None);
        };
        if !client.is_named {
            acceptor.hub.in_force().proxies.note_unnamed(client.address);
        }
        acceptor.count_address(self.peer)
    }
}

/// Answers a client that is one too many, or came too soon.
fn unavailable(refusal: Refusal) -> Response {
    let Refusal {
        mut message,
        exceeded,
    } = refusal;
    message.push(b'\n');
    match exceeded {
        Some(exceeded) => too_often(message, exceeded),
        None => json(StatusCode::SERVICE_UNAVAILABLE, message),
    }
}

/// Seconds after which a client may try again where nobody knows when it will get further.
const RETRY_SECONDS: u64 = 10;

/// Answers a client that does more in a second than it may.
fn too_often(message: Vec<u8>, exceeded: Exceeded) -> Response {
    let mut response = json(StatusCode::TOO_MANY_REQUESTS, message);
    let seconds = exceeded.retry_after().into();
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

/// The query as it was sent, empty when there is none.
fn raw_query() -> BoxedFilter<(String,)> {
    warp::query::raw()
        .or(warp::any().map(String::new))
        .unify()
        .boxed()
}

/// The only value of a header.
fn one(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Refuses a request that is not for a command.
fn refuse(status: StatusCode, error: impl AsRef<str>) -> Response {
    refuse_command("", status, error)
}

/// Refuses a command with a message like those on any other transport.
fn refuse_command(command: &str, status: StatusCode, error: impl AsRef<str>) -> Response {
    json(status, error_body(command, code_of(status), error.as_ref()))
}

/// The `code` of what only HTTP has.
fn code_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => ErrorCode::Unauthenticated.name(),
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not-found",
        StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
        StatusCode::REQUEST_TIMEOUT => "timeout",
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge.name(),
        StatusCode::MISDIRECTED_REQUEST => "wrong-host",
        StatusCode::UPGRADE_REQUIRED => "upgrade-required",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ => "bad-request",
    }
}

/// The fields in the order that they have everywhere.
fn error_body(command: &str, code: &str, error: &str) -> String {
    let error = serde_json::Value::from(error);
    format!("{{\"command\":\"{command}\",\"error\":{error},\"code\":\"{code}\"}}\n")
}

fn json(status: StatusCode, body: impl Into<Vec<u8>>) -> Response {
    let reply = warp::reply::with_header(body.into(), CONTENT_TYPE, "application/json");
    let mut response = warp::reply::with_status(reply, status).into_response();
    if let StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS = status {
        let seconds = RETRY_SECONDS.into();
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}
