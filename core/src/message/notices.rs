//! Owns what a client is told that did not ask: that messages for it were dropped, or why it is not let in.

use alloc::vec::Vec;

use super::{Data, Reply};
use crate::text::text;

/// Returns what a client is told at the place where `count` messages for it were dropped.
#[must_use]
pub fn dropped_notice(count: u64) -> Vec<u8> {
    let reply = Reply {
        command: "dropped",
        data: Data::Text(&text![count]),
        ..Reply::default()
    };
    reply.encode()
}

/// Returns what a client is told that is not let in, since `limit` connections are open.
#[must_use]
pub fn too_many_connections(limit: usize) -> Vec<u8> {
    let reply = Reply {
        error: Some(&crate::error::too_many_connections(limit)),
        ..Reply::default()
    };
    reply.encode()
}

/// Returns what a client is told that is closed, since all connections together have sent more than `limit` bytes of
/// messages that are not whole.
#[must_use]
pub fn input_full(limit: usize) -> Vec<u8> {
    let reply = Reply {
        error: Some(&crate::error::input_full(limit)),
        ..Reply::default()
    };
    reply.encode()
}

/// Returns what a client is told that is not let in, since its address has `limit` connections.
#[must_use]
pub fn too_many_of_address(limit: usize) -> Vec<u8> {
    let reply = Reply {
        error: Some(&crate::error::too_many_of_address(limit)),
        ..Reply::default()
    };
    reply.encode()
}

/// Returns what a client is told that talks in plain text to a listener that encrypts.
#[must_use]
pub fn tls_required() -> Vec<u8> {
    let reply = Reply {
        error: Some(&crate::error::tls_required()),
        ..Reply::default()
    };
    reply.encode()
}
