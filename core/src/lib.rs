//! The broker of mist as a pure state machine: no sockets, no clock, no threads, no `unsafe`.
//!
//! A *message* carries tags, a *subscription* is a set of tags, and a message is delivered to every session with a
//! subscription whose tags are *all* on it. Everything that is decided is decided here, once, for every transport:
//!
//! ```text
//!   bytes ──► Messages ──► Broker::decide (shared)    ──► targets + body
//!                     └──► Broker::handle (exclusive) ──► poll_output: Send, Deliver, Ask, Custom, Close
//! ```
//!
//! A host moves bytes and does what the outputs say. This is a whole one:
//!
//! ```
//! use mist_core::{Broker, Config, Credentials, Output};
//!
//! let mut broker = Broker::new(Config::default(), 1);
//! let (reader, writer) = (broker.connect(Credentials::default()), broker.connect(Credentials::default()));
//! broker.handle_message(reader, br#"{"command":"subscribe","tags":["bus","late"]}"#);
//! broker.handle_message(writer, br#"{"command":"publish","tags":["late","line:7","bus"],"data":"12 min"}"#);
//!
//! let Some(Output::Deliver { targets, message, .. }) = broker.poll_output() else { panic!("no delivery") };
//! assert_eq!(targets, [reader]);
//! assert_eq!(message, br#"{"command":"publish","tags":["bus","late","line:7"],"data":"12 min"}"#);
//! ```
//!
//! # Panics
//! No input makes the broker panic; a panic is a defect of this crate. Every `expect` in it states the invariant it
//! rests on.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod auth;
mod broker;
pub mod client;
pub mod cluster;
mod ends;
mod error;
mod index;
pub mod limits;
pub mod message;
mod needs;
mod slots;
mod sort;
mod text;

pub use auth::{
    Access, AuthReply, AuthRequest, EditKind, Grants, ListedToken, NEVER, Rights, TokenEdit,
    TokenName, TokenPage, TokenStorage,
};
pub use broker::{
    Broker, Config, Credentials, CustomReply, CustomRequest, DisconnectReason, Elsewhere, Listing,
    Long, NodesQuery, Others, OthersQuery, Output, Receipt, Scratch, SessionId, Standing, Stats,
    TokenCheck, Verdict, Walk,
};
pub use error::{ErrorCode, ServerError, TokenError};
pub use limits::Limits;
pub use message::{
    NodeInfo, dropped_lines, dropped_notice, input_full, message_over_rate, rate_exceeded,
    throttled_notice, tls_required, too_many_connections, too_many_of_address,
};
pub use needs::{Directory, NeedChange};
