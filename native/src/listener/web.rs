//! The listener for HTTP and WebSocket. The only place that knows warp.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, StatusCode, header};
use warp::reply::{Reply, Response};
use warp::Filter;

use super::{Acceptor, Address, ListenError, Listener, Permit, accept_all, bind_socket};
use crate::drive::Connection;

struct Web {
    listener: TcpListener,
    address: Address,
}

pub(crate) async fn bind(uri: String) -> Result<Box<dyn Listener>, ListenError> {
    let scheme = if uri.starts_with("http") {
        "http"
    } else {
        "ws"
    };
    let port = if scheme == "http" { 8080 } else { 8888 };
    let listener = bind_socket(&uri, port).await?;
    let socket = listener
        .local_addr()
        .map_err(|source| ListenError::io(&uri, source))?;
    Ok(Box::new(Web {
        listener,
        address: Address::from_socket(scheme, socket),
    }))
}

impl Listener for Web {
    fn address(&self) -> Address {
        self.address.clone()
    }

    fn serve(self: Box<Self>, acceptor: Acceptor) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let routes = routes(acceptor.clone());
            accept_all(self.listener, &acceptor, |stream, _| {
                serve_http(stream, &acceptor, &routes)
            })
            .await;
        })
    }
}

/// Speaks HTTP on a connection until it ends, or until it becomes a WebSocket, which has a task of its own.
fn serve_http(stream: TcpStream, acceptor: &Acceptor, routes: &BoxedFilter<(Response,)>) {
    let Some(permit) = acceptor.admit() else {
        return;
    };
    let service = TowerToHyperService::new(warp::service(routes.clone()));
    let handshake = Duration::from_secs(acceptor.hub.limits.handshake_seconds.into());
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(handshake)
        .max_headers(100)
        .max_buf_size(64 << 10);
    let stop = acceptor.stop.clone();
    acceptor.spawn(permit, async move {
        let connection = http
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "an HTTP connection ended early");
        }
    });
}

fn routes(acceptor: Acceptor) -> BoxedFilter<(Response,)> {
    let ping = warp::path!("ping")
        .and(warp::get())
        .map(|| "pong\n".into_response());
    let upgrade = websocket_path()
        .and(warp::get())
        .and(warp::ext::get::<OnUpgrade>())
        .and(warp::header::headers_cloned())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .map(move |on_upgrade, headers: HeaderMap, query: String| {
            upgrade(&acceptor, on_upgrade, &headers, &query).unwrap_or_else(|refusal| refusal)
        });
    let page = warp::path::end()
        .and(warp::get())
        .map(|| warp::reply::html(include_str!("../../../web/plain.html")).into_response());
    let anything = warp::any().map(|| {
        let text = "not found - try GET /ping, or a WebSocket at /subscribe/websocket\n";
        warp::reply::with_status(text, StatusCode::NOT_FOUND).into_response()
    });
    ping.or(upgrade)
        .unify()
        .or(page)
        .unify()
        .or(anything)
        .unify()
        .boxed()
}

/// `/`, the original's `/subscribe/websocket` and below it, and the `/ws` of its README.
fn websocket_path() -> BoxedFilter<()> {
    warp::path::full()
        .and_then(|path: warp::path::FullPath| async move {
            let path = path.as_str();
            let below = path.strip_prefix("/subscribe/websocket");
            if matches!(path, "/" | "/ws")
                || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            {
                Ok(())
            } else {
                Err(warp::reject::not_found())
            }
        })
        .untuple_one()
        .boxed()
}

/// Answers an upgrade request and starts the connection, or says what is wrong with the request.
fn upgrade(
    acceptor: &Acceptor,
    on_upgrade: OnUpgrade,
    headers: &HeaderMap,
    query: &str,
) -> Result<Response, Response> {
    let refuse =
        |status, text: &'static str| warp::reply::with_status(text, status).into_response();
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &warp::http::HeaderValue| value.to_str().ok())
    };
    if !text(header::UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            "only an upgrade to websocket is offered here\n",
        ));
    }
    if text(header::SEC_WEBSOCKET_VERSION) != Some("13") {
        let refusal = refuse(
            StatusCode::UPGRADE_REQUIRED,
            "only WebSocket version 13 is spoken here\n",
        );
        return Err(
            warp::reply::with_header(refusal, "sec-websocket-version", "13").into_response(),
        );
    }
    let Some(key) = text(header::SEC_WEBSOCKET_KEY) else {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            "the header Sec-WebSocket-Key is missing\n",
        ));
    };
    let Some(permit) = acceptor.admit() else {
        return Err(refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many connections (connections)\n",
        ));
    };
    let mut response = warp::http::Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(
            header::SEC_WEBSOCKET_ACCEPT,
            derive_accept_key(key.as_bytes()),
        );
    if offered_protocols(headers).any(|protocol| protocol == "mist.v1") {
        response = response.header(header::SEC_WEBSOCKET_PROTOCOL, "mist.v1");
    }
    let response = response
        .body(Vec::new())
        .map_err(|_| StatusCode::BAD_REQUEST.into_response())?;
    let token = token(headers, query);
    start_websocket(acceptor.clone(), permit, on_upgrade, token);
    Ok(response.into_response())
}

fn start_websocket(
    acceptor: Acceptor,
    permit: Permit,
    on_upgrade: OnUpgrade,
    token: Option<String>,
) {
    let hub = Arc::clone(&acceptor.hub);
    // The upgrade has its own task, so that the connection's future is not as large as the handshake's.
    acceptor.hub.tasks.clone().spawn(async move {
        let upgraded = tokio::select! {
            upgraded = on_upgrade => upgraded,
            () = acceptor.stopped() => return,
        };
        let parts = upgraded.map(|upgraded| upgraded.downcast::<TokioIo<TcpStream>>());
        if let Ok(Ok(parts)) = parts {
            let stream = parts.io.into_inner();
            let connection =
                Connection::frames(hub, stream, parts.read_buf.to_vec(), token.as_deref());
            acceptor.spawn(permit, connection);
        }
    });
}

/// The token a client presents with its upgrade request: the headers go before the query.
fn token(headers: &HeaderMap, query: &str) -> Option<String> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    let bearer = |value: String| {
        let (scheme, token) = value.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned())
    };
    let in_protocol = || {
        offered_protocols(headers).find_map(|protocol| {
            let token = BASE64_URL_SAFE_NO_PAD
                .decode(protocol.strip_prefix("mist.bearer.")?)
                .ok()?;
            String::from_utf8(token).ok()
        })
    };
    let in_query = || {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name.eq_ignore_ascii_case("x-auth-token"))
            .map(|(_, token)| token.into_owned())
    };
    text("x-auth-token")
        .or_else(|| text("authorization").and_then(bearer))
        .or_else(in_protocol)
        .or_else(in_query)
}

fn offered_protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
}

