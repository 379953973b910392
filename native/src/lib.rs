//! Tagged publish/subscribe as a library: an embeddable server and a client.
//!
//! [`Server`] serves a broker from a program of one's own, [`Client`] talks to one. What they say to each other is in
//! `PROTOCOL.md` of the repository.
//!
//! A server logs through [`tracing`], on the threads that serve its clients: whoever writes the lines must not block
//! there. The `mist` program has them written by a thread of its own, behind a queue that loses lines when it is full.

#![forbid(unsafe_code)]

pub mod address;
pub mod auth;
pub mod client;
pub mod command;
mod distrust;
mod drive;
#[doc(hidden)]
pub mod file;
mod hub;
mod listener;
mod lock;
mod log_limit;
mod pem;
mod server;

pub use address::AddressError;
pub use auth::AuthenticatorFactory;
pub use client::{Client, ClientError};
pub use listener::{Acceptor, Address, CertificateError, ListenError, Listener, ListenerFactory};
pub use mist_core::{Access, Limits, Stats};
pub use pem::PemError;
pub use server::{BindError, Handle, Server, ServerBuilder};

/// Runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
