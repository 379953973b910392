//! Tagged publish/subscribe: a server to embed and a client, in one crate.
//!
//! A message carries tags; a subscription is a set of tags; a message is delivered when *all* of the subscription's
//! tags are on it. [`Server`] serves a broker from your own program, [`Client`] connects to one. `PROTOCOL.md` in the
//! repository specifies what they say to each other.
//!
//! This crate is the `mist` program, and a facade of two others. If you need only one half, depend on
//! `mist-pubsub-client` or `mist-pubsub-server`, which have the same items and far fewer dependencies, or on this crate
//! without its default features and with `client` or `server`.

#![forbid(unsafe_code)]

#[cfg(feature = "client")]
pub use mist_client as client;
#[cfg(feature = "client")]
pub use mist_client::{Client, ClientError};
#[cfg(feature = "server")]
pub use mist_server as server;
#[cfg(feature = "server")]
pub use mist_server::{
    Acceptor, Access, Address, AddressError, AuthenticatorFactory, BindError, CertificateError,
    Handle, Limits, ListenError, Listener, ListenerFactory, PemError, Server, ServerBuilder, Stats,
    Tap, Tapped, auth, command,
};
