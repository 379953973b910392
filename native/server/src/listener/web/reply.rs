//! Owns how answers and refusals are written: in the form of messages, as on any other transport.

use mist_core::ErrorCode;
use warp::http::StatusCode;
use warp::http::header::{CONTENT_TYPE, RETRY_AFTER};
use warp::reply::{Reply, Response};

use crate::admission::rates::Exceeded;
use crate::listener::acceptor::Refusal;

/// Answers a client when there are too many connections, or were too many in the last second.
pub(super) fn unavailable(refusal: Refusal) -> Response {
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

/// Seconds after which a client may try again if there is no better estimate.
const RETRY_SECONDS: u64 = 10;

/// Answers a client that has exceeded a rate.
pub(super) fn too_often(message: Vec<u8>, exceeded: Exceeded) -> Response {
    let mut response = json(StatusCode::TOO_MANY_REQUESTS, message);
    let seconds = exceeded.retry_after().into();
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

/// Refuses a request that is not for a command.
pub(super) fn refuse(status: StatusCode, error: impl AsRef<str>) -> Response {
    refuse_command("", status, error)
}

/// Refuses a command with a message as on any other transport.
pub(super) fn refuse_command(
    command: &str,
    status: StatusCode,
    error: impl AsRef<str>,
) -> Response {
    json(status, error_body(command, code_of(status), error.as_ref()))
}

/// The `code` of errors that only HTTP has.
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

/// An error, with its fields in the usual order.
pub(super) fn error_body(command: &str, code: &str, error: &str) -> String {
    let error = serde_json::Value::from(error);
    format!("{{\"command\":\"{command}\",\"error\":{error},\"code\":\"{code}\"}}\n")
}

pub(super) fn json(status: StatusCode, body: impl Into<Vec<u8>>) -> Response {
    let reply = warp::reply::with_header(body.into(), CONTENT_TYPE, "application/json");
    let mut response = warp::reply::with_status(reply, status).into_response();
    if let StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS = status {
        let seconds = RETRY_SECONDS.into();
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}
