//! A client for mist, tagged publish/subscribe.
//!
//! A message carries *tags*; a *subscription* is a set of tags; a message is delivered when *all* of the subscription's
//! tags are on it. There are no topics and no hierarchy. Delivery is at most once, and nothing is stored: a client
//! that is not connected misses what is published.
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = mist::Server::builder().listen("tcp://127.0.0.1:0").bind().await?;
//! # let uri = server.addresses()[0].to_string();
//! # tokio::spawn(server.run(std::future::pending()));
//! use mist_client::Client;
//!
//! // A client never gets what it publishes itself, so it takes two.
//! let reader = Client::connect(&uri).await?;
//! let mut late_buses = reader.subscribe(["bus", "late"]).await?;
//!
//! let writer = Client::connect(&uri).await?;
//! let receipt = writer.publish_acked(["late", "line:7", "bus"], "12 min").await?;
//! assert_eq!(receipt.delivered, 1);
//!
//! let message = late_buses.next().await.ok_or("the client is closed")?;
//! assert_eq!(*message.tags, ["bus", "late", "line:7"]);
//! assert_eq!(message.data, "12 min");
//! # Ok(()) }
//! ```
//!
//! # Clients and connections
//! A [`Client`] is one connection, which one background task drives. It is cheap to clone; all clones share it. When
//! the connection is lost, the task makes a new one, presents the token, restores every subscription, and only then
//! tells [`Event::Open`]. Meanwhile a request fails, a subscription waits, and a publish is refused or kept
//! ([`Offline`]). What happens is told by [`Client::events`].
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = mist::Server::builder()
//! #     .listen("tcp://127.0.0.1:0").authenticator("memory://").token("secret").bind().await?;
//! # let uri = server.addresses()[0].to_string();
//! # tokio::spawn(server.run(std::future::pending()));
//! # let other = &uri;
//! use std::time::Duration;
//!
//! use mist_client::{Backoff, Client, Offline};
//!
//! let client = Client::builder(&uri)
//!     .server(other)
//!     .token("secret")
//!     .request_timeout(Duration::from_secs(2))
//!     .reconnect(Backoff::new(Duration::from_millis(100), Duration::from_secs(5)))
//!     .offline(Offline::buffer(1000, 1 << 20, Duration::from_secs(30)))
//!     .connect()
//!     .await?;
//! # client.close().await?;
//! # Ok(()) }
//! ```
//!
//! # Reading
//! | stream | gets | begins | ends |
//! |---|---|---|---|
//! | [`Subscription`] | messages with all of its tags | when it is made | when it is dropped, which unsubscribes, or when the server takes it away |
//! | [`Client::messages`] | a copy of every message to this client, once | when it is called | with the client |
//! | [`Client::events`] | what happens, but messages | when it is called | with the client |
//!
//! A message that matches several subscriptions of a client is sent to it once, and reaches each of their streams. All
//! of them implement `Stream`.
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = mist::Server::builder().listen("tcp://127.0.0.1:0").bind().await?;
//! # let uri = server.addresses()[0].to_string();
//! # tokio::spawn(server.run(std::future::pending()));
//! # use mist_client::Client;
//! # let writer = Client::connect(&uri).await?;
//! let reader = Client::connect(&uri).await?;
//! let mut buses = reader.subscribe(["bus"]).await?;
//! let mut late = reader.subscribe(["late"]).await?;
//!
//! writer.publish(["bus", "late"], "12 min").await?;
//! assert_eq!(buses.next().await.ok_or("closed")?.data, "12 min");
//! assert_eq!(late.next().await.ok_or("closed")?.data, "12 min");
//!
//! late.unsubscribe().await?;
//! assert_eq!(reader.list().await?, [["bus"]]);
//! # Ok(()) }
//! ```
//!
//! Streams are bounded ([`ClientBuilder::message_buffer`]). The socket is always read on, so one that is not read holds
//! up neither the others nor an answer: when it is full, messages are dropped for it, counted by
//! [`Subscription::dropped`], and [`Event::Lagged`] tells when that begins. A server drops messages likewise for a
//! connection that does not take them ([`Event::Dropped`]).
//!
//! # Publishing
//! - [`Client::publish`] returns when the message is handed over. It waits while much is waiting to be sent.
//! - [`Client::flush`] returns when the server has taken all that was handed over before.
//! - [`Client::publish_acked`] returns when the server has delivered the message, and says to how many sessions.
//! - [`Client::close`] sends what was handed over; so does dropping the last clone, without waiting.
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = mist::Server::builder().listen("tcp://127.0.0.1:0").bind().await?;
//! # let uri = server.addresses()[0].to_string();
//! # tokio::spawn(server.run(std::future::pending()));
//! let client = mist_client::Client::connect(&uri).await?;
//! for minutes in 0..100 {
//!     client.publish(["bus"], &format!("{minutes} min")).await?;
//! }
//! client.flush().await?;
//! client.close().await?;
//! assert!(client.publish(["bus"], "too late").await.is_err());
//! # Ok(()) }
//! ```
//!
//! # Errors
//! A request has exactly one outcome: the server's answer, or a [`ClientError`] that says why there is none. Its
//! variants are for programs, as is the [`ErrorCode`] of what a server says; where there is a cause, it is the
//! `source`.
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mist_client::{Client, ClientError, ConnectError};
//!
//! match Client::connect("tcp://no-such-host.invalid").await {
//!     Err(ClientError::Connect { source: Some(ConnectError::Address(cause)), .. }) => println!("{cause}"),
//!     other => panic!("{other:?}"),
//! }
//! # Ok(()) }
//! ```
//!
//! # Tokens
//! [`ClientBuilder::token`] presents one at each connection, [`ClientBuilder::token_from`] obtains one for each, and
//! the next before one ends. With the server's own token a client may manage others, by [`Client::admin`].
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = mist::Server::builder()
//! #     .listen("tcp://127.0.0.1:0").authenticator("memory://").token("secret").bind().await?;
//! # let uri = server.addresses()[0].to_string();
//! # tokio::spawn(server.run(std::future::pending()));
//! # use mist_client::Client;
//! let client = Client::builder(&uri).token("secret").connect().await?;
//! client.admin().register("north-desk", ["district:north"]).await?;
//! assert_eq!(client.admin().tags("north-desk").await?, ["district:north"]);
//! # Ok(()) }
//! ```
//!
//! # Features
//! | feature | what it adds | crates built, with this one |
//! |---|---|--:|
//! | none | `tcp://` and `unix://` | 23 |
//! | `websocket`, the default | `ws://` | 45 |
//! | `tls` | `tls://`, and with `websocket` also `wss://`; needs a C compiler | 14 more |
//! | `idn` | hosts whose names are not ASCII; without it they are written in their `xn--` form | 26 more |
//!
//! An address that takes what was left out is refused with the feature's name.

#![forbid(unsafe_code)]

mod admin;
mod builder;
mod client;
mod error;
mod event;
mod inbox;
mod queue;
mod servers;
mod shared;
mod streams;
mod task;
mod token;

pub use admin::{Admin, TokenGrants, TokenPage};
pub use builder::ClientBuilder;
pub use client::{Client, Receipt, Who};
pub use error::{ClientError, TokenSourceError};
pub use event::Event;
pub use inbox::Message;
pub use mist_core::client::{Backoff, CloseReason, OfCluster, Offline, Reply, State};
pub use mist_core::message::{NodeInfo, RegisteredToken};
pub use mist_core::{ErrorCode, Rights, ServerError};
pub use mist_net::address::AddressError;
pub use mist_net::connect::ConnectError;
#[cfg(feature = "tls")]
pub use mist_net::pem::PemError;
#[cfg(feature = "tls")]
pub use mist_net::trust::{TlsError, TrustError};
pub use streams::{Events, Messages, Subscription};
