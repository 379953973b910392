//! Owns what a client is told that did not ask: that messages for it were dropped, that it is held up, or why it is let
//! go or not let in.

use alloc::vec::Vec;
use core::ops::Range;

use super::encode::{Data, Reply};
use crate::error::{ErrorCode, ServerError};
use crate::limits::LIMIT;
use crate::text::text;

/// Returns what a client is told at the place where `count` messages for it were dropped, once it has sent an `id`:
/// others would not know what that means, as the original never says it.
#[must_use]
pub fn dropped_notice(count: u64) -> Vec<u8> {
    let reply = Reply {
        command: "dropped",
        data: Data::Text(&text![count]),
        ..Reply::default()
    };
    reply.encode()
}

/// Finds the first [`dropped_notice`] among lines that a broker delivers; returns where it stands, with its line end,
/// and what it counts.
#[must_use]
pub fn dropped_lines(lines: &[u8]) -> Option<(Range<usize>, u64)> {
    const BEGINNING: &[u8] = b"{\"command\":\"dropped\",\"data\":\"";
    // There are no raw line ends in messages, so that one can only begin where a line does.
    let mut from = 0;
    loop {
        let start = from + memchr::memmem::find(&lines[from..], BEGINNING)?;
        from = start + BEGINNING.len();
        if start == 0 || lines[start - 1] == b'\n' {
            let digits = lines[from..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit());
            let digits = from..from + digits.count();
            let end = digits.end + memchr::memchr(b'\n', &lines[digits.end..])? + 1;
            let count = core::str::from_utf8(&lines[digits]).ok()?.parse().ok()?;
            return Some((start..end, count));
        }
    }
}

/// Returns what a client is told now and then while it is held up for doing too much in a second. Other answers have to
/// wait then, so this one says that the server is there.
#[must_use]
pub fn throttled_notice() -> Vec<u8> {
    let reply = Reply {
        command: "throttled",
        ..Reply::default()
    };
    reply.encode()
}

/// Returns the error for a message of so many `bytes`, more than one message may have at the byte rate that `setting`
/// allows.
#[must_use]
pub fn message_over_rate(id: Option<&str>, bytes: usize, limit: u64, setting: &str) -> Vec<u8> {
    let text = text![
        "too many bytes in a message: it has ",
        bytes,
        ", the limit is ",
        limit,
        ", ten seconds' worth of ",
        setting
    ];
    let reply = Reply {
        command: "publish",
        error: Some(&ServerError::new(ErrorCode::LimitExceeded, text)),
        id,
        ..Reply::default()
    };
    reply.encode()
}

/// Returns what a client is told that is not let in, since `limit` connections are open.
#[must_use]
pub fn too_many_connections(limit: usize) -> Vec<u8> {
    let text = text![
        "too many connections: the limit is ",
        limit,
        " (",
        LIMIT.connections.name,
        "); closing"
    ];
    notice(&ServerError::new(ErrorCode::TooManyConnections, text))
}

/// Returns what a client is told that is closed, since all connections together have sent more than `limit` bytes of
/// messages that are not whole.
#[must_use]
pub fn input_full(limit: usize) -> Vec<u8> {
    let text = text![
        "too much has arrived of messages without an end: all connections together may have ",
        limit,
        " bytes of them (",
        LIMIT.input_total_bytes.name,
        "); closing"
    ];
    notice(&ServerError::new(ErrorCode::LimitExceeded, text))
}

/// Returns what a client is told that is not let in, since its address has `limit` connections.
#[must_use]
pub fn too_many_of_address(limit: usize) -> Vec<u8> {
    let text = text![
        "too many connections from your address: the limit is ",
        limit,
        " (",
        LIMIT.connections_per_address.name,
        "); closing"
    ];
    notice(&ServerError::new(ErrorCode::TooManyConnections, text))
}

/// Returns what a client is told that did something more often than `setting` allows, `limit` in a second, and is not
/// made to wait: with the command that was refused and its `id` as it was written, or with no command where the
/// connection is.
#[must_use]
pub fn rate_exceeded(command: &str, id: Option<&str>, limit: u32, setting: &str) -> Vec<u8> {
    let end = if command.is_empty() { "; closing" } else { "" };
    let text = text![
        "too much in a second: the limit is ",
        u64::from(limit),
        " (",
        setting,
        "); try again later",
        end
    ];
    let reply = Reply {
        command,
        error: Some(&ServerError::new(ErrorCode::RateExceeded, text)),
        id,
        ..Reply::default()
    };
    reply.encode()
}

/// Returns what a client is told that talks in plain text to a listener that encrypts.
#[must_use]
pub fn tls_required() -> Vec<u8> {
    let text = "this port speaks TLS: connect with tls://; closing";
    notice(&ServerError::new(ErrorCode::TlsRequired, text))
}

fn notice(error: &ServerError) -> Vec<u8> {
    let reply = Reply {
        error: Some(error),
        ..Reply::default()
    };
    reply.encode()
}

/// The words before a session is closed for sending nothing that can be read.
pub(crate) fn too_many_bad_messages(limit: u8) -> ServerError {
    let text = text![
        limit,
        " invalid messages in a row (",
        LIMIT.bad_messages.name,
        "); closing"
    ];
    ServerError::new(ErrorCode::TooManyBadMessages, text)
}

/// The words before a session is closed for not authenticating.
pub(crate) fn not_authenticated(seconds: usize) -> ServerError {
    let text = text![
        "not authorized - no valid token within ",
        seconds,
        " seconds (",
        LIMIT.authentication_seconds.name,
        "); closing"
    ];
    ServerError::new(ErrorCode::Unauthenticated, text)
}

/// The notice for a session whose token an administrator has ended.
pub(crate) fn token_ended() -> ServerError {
    let text = "an administrator has ended the token; closing";
    ServerError::new(ErrorCode::Revoked, text)
}

/// The notice before a session is closed because its token was not checked. The token is not refused by it.
pub(crate) fn too_many_wrong_tokens() -> ServerError {
    let text = text![
        "too many wrong tokens from your address (",
        LIMIT.failed_tokens.name,
        "): try again later; closing"
    ];
    ServerError::new(ErrorCode::TooManyWrongTokens, text)
}
