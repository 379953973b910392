//! WebSocket upgrades: which requests become connections, and which token they bring.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::header;
use warp::http::{HeaderMap, StatusCode};
use warp::path::FullPath;
use warp::reply::{Reply, Response};

use super::query::Query;
use super::reply::{refuse, unavailable};
use super::request::{Caller, lists, offered_protocols, one, raw_query};
use super::stall_timeout::StallTimeout;
use super::token::token;
use crate::admission::address_limit::AddressPermit;
use crate::connection::Connection;
use crate::listener::acceptor::Acceptor;

/// Matches the requests that ask for a WebSocket at one of its paths.
pub(super) fn route(acceptor: Acceptor) -> BoxedFilter<(Response,)> {
    wants_websocket()
        .and(warp::get())
        .and(warp::ext::optional::<OnUpgrade>())
        .and(warp::ext::get::<Caller>())
        .and(warp::header::headers_cloned())
        .and(raw_query())
        .map(
            move |on_upgrade, caller, headers: HeaderMap, query: String| {
                upgrade(&acceptor, caller, on_upgrade, &headers, &query)
            },
        )
        .boxed()
}

/// `/`, the original's `/subscribe/websocket` and what is below it, and the `/ws` of its README.
pub(super) fn is_websocket_path(path: &str) -> bool {
    let below = path.strip_prefix("/subscribe/websocket");
    matches!(path, "/" | "/ws")
        || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a request is meant to open a WebSocket, even if it is incomplete, as when a proxy has removed `Upgrade`. An
/// offer of another protocol, as by clients of HTTP/2, is ignored.
pub(super) fn is_wanted(path: &str, headers: &HeaderMap) -> bool {
    is_websocket_path(path)
        && (headers.contains_key(header::SEC_WEBSOCKET_KEY)
            || headers.contains_key(header::SEC_WEBSOCKET_VERSION)
            || lists(headers, header::UPGRADE, "websocket"))
}

fn wants_websocket() -> BoxedFilter<()> {
    warp::path::full()
        .and(warp::header::headers_cloned())
        .and_then(|path: FullPath, headers: HeaderMap| async move {
            match is_wanted(path.as_str(), &headers) {
                true => Ok(()),
                false => Err(warp::reject::not_found()),
            }
        })
        .untuple_one()
        .boxed()
}

/// Answers an upgrade request and starts the connection, or says what is wrong with the request.
fn upgrade(
    acceptor: &Acceptor,
    caller: Caller,
    on_upgrade: Option<OnUpgrade>,
    headers: &HeaderMap,
    query: &str,
) -> Response {
    let missing = [
        (header::UPGRADE, "websocket", "Upgrade: websocket"),
        (header::CONNECTION, "upgrade", "Connection: upgrade"),
    ];
    let missing = missing
        .into_iter()
        .filter(|(name, value, _)| !lists(headers, name, value));
    let missing: Vec<_> = missing.map(|(.., line)| line).collect();
    if !missing.is_empty() {
        return upgrade_required(&format!(
            "the request is for a WebSocket, but lacks '{}' - a proxy in front has to pass that on",
            missing.join("' and '")
        ));
    }
    let Some(on_upgrade) = on_upgrade else {
        return upgrade_required(
            "the request for a WebSocket came as HTTP/1.0 - a proxy in front has to speak HTTP/1.1",
        );
    };
    if one(headers, header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return upgrade_required("only WebSocket version 13 is spoken here");
    }
    let bytes = |key: &&str| BASE64_STANDARD.decode(key).map_or(0, |bytes| bytes.len());
    let Some(key) = one(headers, header::SEC_WEBSOCKET_KEY).filter(|key| bytes(key) == 16) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "the header Sec-WebSocket-Key has to be there once, with 16 bytes in base64",
        );
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
    // The key was decoded, so it holds only what a header may contain.
    let Ok(response) = response.body(Vec::new()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let token = match Query::parse(query).and_then(|query| token(headers, &query)) {
        Ok(token) => token,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error),
    };
    let address = match caller.count_address(acceptor) {
        Ok(permit) => permit,
        Err(refusal) => return unavailable(refusal),
    };
    start_websocket(acceptor.clone(), caller, address, on_upgrade, token);
    response.into_response()
}

/// Answers a request that is not a complete upgrade.
pub(super) fn upgrade_required(text: &str) -> Response {
    let refusal = refuse(StatusCode::UPGRADE_REQUIRED, text);
    let refusal = warp::reply::with_header(refusal, header::UPGRADE, "websocket");
    let refusal = warp::reply::with_header(refusal, header::CONNECTION, "upgrade");
    warp::reply::with_header(refusal, header::SEC_WEBSOCKET_VERSION, "13").into_response()
}

fn start_websocket(
    acceptor: Acceptor,
    caller: Caller,
    address: Option<AddressPermit>,
    on_upgrade: OnUpgrade,
    token: Option<String>,
) {
    // The upgrade has its own task, so that the connection's future is not as large as the handshake's.
    acceptor.hub.tasks.clone().spawn(async move {
        let upgraded = tokio::select! {
            upgraded = on_upgrade => upgraded,
            () = acceptor.stopped() => return,
        };
        let Ok(upgraded) = upgraded else { return };
        match upgraded.downcast::<TokioIo<StallTimeout<TcpStream>>>() {
            Ok(parts) => serve_frames(&acceptor, caller, address, parts, token.as_deref()),
            Err(upgraded) => {
                if let Ok(parts) =
                    upgraded.downcast::<TokioIo<StallTimeout<TlsStream<TcpStream>>>>()
                {
                    serve_frames(&acceptor, caller, address, parts, token.as_deref());
                }
            }
        }
    });
}

fn serve_frames<S>(
    acceptor: &Acceptor,
    caller: Caller,
    address: Option<AddressPermit>,
    parts: Parts<TokioIo<StallTimeout<S>>>,
    token: Option<&str>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let hub = Arc::clone(&acceptor.hub);
    let stream = parts.io.into_inner().into_inner();
    let connection = Connection::frames(
        hub,
        stream,
        parts.read_buf.to_vec(),
        token,
        caller.arrival(),
    );
    acceptor.spawn((caller.permit, address), connection);
}
