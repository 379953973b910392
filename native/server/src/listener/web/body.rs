//! Owns how the body of a request is read: how large it may be, how long it may take, and what it counts for while it is
//! there. It must not know what a body means.

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

/// For so many bytes that have come a body has a second more: who is slower over a long time keeps room that others need.
const BYTES_PER_SECOND: usize = 64 << 10;

/// How often it is looked whether there is room for a body that does not go on.
const LOOK: Duration = Duration::from_secs(1);

/// A whole body. What is made of it counts as it does, so the count goes on when the bytes have become something else.
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

/// Reads a body up to the limit, which is another without a token where one is needed. What is over it is thrown away,
/// so that the client gets to read why.
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
    // Such a client has sent nothing of the body yet.
    if let (Some(length), true) = (announced, headers.contains_key(header::EXPECT)) {
        return Err(too_large(&format!("{length} bytes")));
    }
    // A stranger has as long for the whole as to authenticate; others for each pause, and more for the whole the more of it
    // has come.
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
            // Who says nothing must not hold what others need.
            Err(_) if bytes.len() >= COUNTED_FROM && hub.unfinished.is_full() => {
                return Err(full(limits.input_total_bytes));
            }
            Err(_) if Instant::now() < deadline => {}
            // From here on it is a stranger's. Who sends nothing more keeps what has come no longer than for a pause.
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
