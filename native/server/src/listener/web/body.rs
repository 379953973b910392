//! Owns how the body of a request is read: how large it may be, how long it may take, and how it is counted while it is
//! in memory. It must not know what a body means.

use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, BufMut};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};
use warp::http::{HeaderMap, StatusCode, header};
use warp::reply::Response;

use super::reply::refuse_command;
use super::request::Caller;
use super::visit::{Visit, unauthorized};
use crate::hub::Hub;
use crate::hub::unfinished::{COUNTED_FROM, Part};
use crate::log_limit::Kind;

/// For each of so many bytes that have arrived a body gets another second: a slower client would hold memory for too
/// long.
const BYTES_PER_SECOND: usize = 64 << 10;

/// How often a body that makes no progress is checked against the total limit.
const LOOK: Duration = Duration::from_secs(1);

/// A whole body, and its count, which goes on for what is made of the bytes.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) part: Part,
}

pub(super) fn refuse_publish(status: StatusCode, error: impl AsRef<str>) -> Response {
    refuse_command("publish", status, error)
}

fn full(most: usize) -> Response {
    let text = format!(
        "too much has arrived of messages without an end: all clients together may have {most} bytes of them \
         (input-total-bytes)"
    );
    refuse_publish(StatusCode::SERVICE_UNAVAILABLE, text)
}

/// Reads a body up to the limit, which is smaller if a token is required and missing. What exceeds it is discarded, so
/// that the client can read the error.
pub(super) async fn read_body<B: Buf>(
    hub: &Hub,
    caller: &Caller,
    visit: Option<&Visit>,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Body, Response> {
    let limits = hub.in_force().limits.clone();
    let is_early = hub.is_scoped && visit.is_none();
    let (limit, setting) = match limits.before_authentication().message_bytes {
        limit if is_early && limit < limits.message_bytes => (limit, "unauthenticated-bytes"),
        _ => (limits.message_bytes, "message-bytes"),
    };
    let too_large = |what: &str| {
        let text = format!("{what} exceed the limit of {limit} ({setting})");
        refuse_publish(StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok())
        .filter(|&length| length > limit as u64);
    // Such a client has not sent any of the body yet.
    if let (Some(length), true) = (announced, headers.contains_key(header::EXPECT)) {
        return Err(too_large(&format!("{length} bytes")));
    }
    // Without a valid token the whole body must arrive within the time to authenticate. For others the handshake time
    // bounds each pause, and the time for the whole grows with what has arrived.
    let is_hurried = is_early && limits.authentication_seconds > 0;
    let seconds = match is_hurried {
        true => limits.authentication_seconds,
        false => limits.handshake_seconds,
    };
    let patience = Duration::from_secs(seconds.into());
    let start = Instant::now();
    let mut deadline = start + patience;
    let mut body = pin!(body);
    let (mut bytes, mut count) = (Vec::new(), 0);
    let mut part = Part::new(&hub.unfinished);
    loop {
        let soon = Instant::now() + LOOK;
        match timeout_at(deadline.min(soon), body.next()).await {
            // A client that sends nothing must not hold memory that others need.
            Err(_) if bytes.len() >= COUNTED_FROM && hub.unfinished.is_full() => {
                return Err(full(limits.input_total_bytes));
            }
            Err(_) if Instant::now() < deadline => {}
            // The token was revoked. What has arrived is kept for no longer than one pause.
            Ok(Some(Ok(_))) if visit.is_some_and(Visit::was_revoked) => {
                let text = "not authorized - the token was taken back before the body had come";
                return Err(unauthorized(refuse_publish(StatusCode::UNAUTHORIZED, text)));
            }
            Ok(Some(Ok(piece))) => {
                count += piece.remaining();
                if count <= limit {
                    if !part.add(piece.remaining()) {
                        return Err(full(limits.input_total_bytes));
                    }
                    bytes.put(piece);
                    if !is_hurried {
                        let earned = Duration::from_secs((count / BYTES_PER_SECOND) as u64);
                        deadline = (Instant::now() + patience).min(start + patience + earned);
                    }
                } else {
                    bytes = Vec::new();
                    part.set(0);
                }
            }
            Ok(None) if count <= limit => return Ok(Body { bytes, part }),
            Ok(None) => return Err(too_large(&format!("{count} bytes"))),
            Err(_) if count > limit => return Err(too_large(&format!("more than {limit} bytes"))),
            Err(_) => {
                let text = match is_hurried {
                    true => {
                        "the body took too long for a request without a token (authentication-seconds)"
                    }
                    false => {
                        "the body did not go on, or was slower than 64 KiB a second (handshake-seconds)"
                    }
                };
                return Err(refuse_publish(StatusCode::REQUEST_TIMEOUT, text));
            }
            Ok(Some(Err(error))) => {
                if hub.log.admits(Kind::BodyBrokeOff, caller.peer) {
                    tracing::debug!(
                        peer = caller.peer.map(tracing::field::display),
                        %error,
                        "the body of a request broke off"
                    );
                }
                let text = "the body broke off, or its chunks are malformed";
                return Err(refuse_publish(StatusCode::BAD_REQUEST, text));
            }
        }
    }
}
