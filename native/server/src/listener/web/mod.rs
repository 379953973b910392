//! The listener for HTTP and WebSocket. Only the files of this folder know warp.

mod api;
mod body;
mod browsers;
mod events;
mod forwarded;
mod metrics;
mod page;
mod publish;
mod query;
mod reply;
mod request;
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
use warp::http::Uri;
use warp::reply::Response;

use self::reply::{error_body, unavailable};
use self::request::Caller;
use self::stall_timeout::StallTimeout;
use super::acceptor::{Acceptor, Guest, Refusal};
use super::socket::accept_tcp;
use super::tls::Tls;
use super::{Address, Listener};
use crate::admission::peer::Peer;
use crate::admission::rates::meter::Meter;
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

/// The answer to a client that uses plain HTTP on a TLS port.
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
    // A WebSocket takes over the permit of the HTTP connection.
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
        let client = behind.map(|proxy| proxies.client(proxy, forwarded::hops(request.headers())));
        let from = client.map(|client| client.address).or(address);
        let peer = from.map(Peer::from);
        // A proxy on this machine forwards requests of others, whether or not it is trusted.
        let is_local = client.is_none()
            && address.is_some_and(is_this_machine)
            && !forwarded::is_forwarded(request.headers())
            && browsers::is_for_this_machine(&request);
        if let Some(permit) = &lent {
            // Later requests are timed from their own start, not from that of the connection.
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
                // A stalled request must not outlive the server.
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

/// A target such as `host:port` has no path, and warp panics without one; it gets a path that matches no route.
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
