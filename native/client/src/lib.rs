//! Owns the Rust client: what an application calls; knows nothing of the wire, which is the state machine's and the
//! transport's.
//!
//! A [`Client`] connects to a server, publishes, subscribes and asks. It is cheap to clone; all clones share one
//! connection, which one background task drives. When the connection is lost, the task makes a new one, presents the
//! token, restores every subscription, and only then says [`Event::Open`].
//!
//! ```
//! # async fn server() -> Result<String, Box<dyn std::error::Error>> {
//! #     let server = mist::Server::builder().listen("tcp://127.0.0.1:0").bind().await?;
//! #     let uri = server.addresses()[0].to_string();
//! #     tokio::spawn(server.run(std::future::pending()));
//! #     Ok(uri)
//! # }
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let uri = server().await?;
//! use mist::Client;
//!
//! let reader = Client::connect(&uri).await?;
//! reader.subscribe(["bus", "late"]).await?;
//!
//! let writer = Client::connect(&uri).await?;
//! let delivered = writer.publish_acked(["late", "line:7", "bus"], "12 min").await?;
//! assert_eq!(delivered, 1);
//!
//! let message = reader.messages().next().await.ok_or("closed")?;
//! assert_eq!(*message.tags, ["bus", "late", "line:7"]);
//! assert_eq!(message.data, "12 min");
//! # Ok(()) }
//! ```
//!
//! # What is promised
//! - A request has exactly one outcome: the server's answer, or an error that says why there is none.
//! - [`Client::publish`] returns when the message is handed over: it is delivered at most once, and lost with the
//!   connection. [`Client::publish_acked`] says how many sessions took it.
//! - Messages that are not read are not thrown away here: the socket is read no further, the server's outbox for this
//!   client fills, the server drops what does not fit, and tells how much ([`Event::Dropped`]). A server closes a
//!   connection that takes nothing for long. While a request waits for its answer, which stands behind them, the socket
//!   is read on, until 32 MiB of messages wait; past that, requests fail with [`ClientError::Timeout`].

//!
//! # Features
//! | feature | what it adds | crates built, with this one |
//! |---|---|--:|
//! | none | `tcp://` and `unix://` | 23 |
//! | `websocket`, the default | `ws://` | 45 |
//! | `tls` | `tls://`, and with `websocket` also `wss://`; needs a C compiler | 14 more |
//! | `idn` | hosts whose names are not ASCII; without it they are written in their `xn--` form | 26 more |

#![forbid(unsafe_code)]

mod builder;
mod error;
mod queue;
mod shared;
mod streams;
mod task;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use builder::ClientBuilder;
pub use error::ClientError;
pub use mist_core::client::{Backoff, CloseReason, Event, Offline, Reply, State};
pub use mist_core::{ErrorCode, ServerError};
pub use mist_net::address::AddressError;
pub use streams::{Events, Message, Messages};
use tokio::time::Instant;

use self::shared::{Delayed, Shared};

/// A connection to a server, which survives being cut.
///
/// Dropping the last clone closes it as [`Client::close`] does, without waiting.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

/// What all clones of a client share; dropping it ends the task.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// How many clients a server has and had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// Connections since the server started, this one included.
    pub connections: u64,
    /// Connections that hold a subscription now.
    pub subscribers: u64,
}

/// A publish that is due later; dropping this does not cancel it.
#[must_use = "without this the publish cannot be cancelled"]
pub struct DelayedPublish {
    shared: Arc<Shared>,
    key: (Instant, u64),
}

impl DelayedPublish {
    /// Cancels the publish; returns whether it was still to come.
    pub fn cancel(self) -> bool {
        self.shared
            .with(|inner, _| inner.delayed.remove(&self.key).is_some())
    }
}

impl fmt::Debug for DelayedPublish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayedPublish").finish_non_exhaustive()
    }
}

impl Client {
    fn new(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        Self {
            handle: Arc::new(Handle { shared }),
        }
    }

    fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.handle.shared)
    }

    /// Connects to `tcp://host:port`, `ws://host:port/path`, their encrypted kin `tls://` and `wss://`, `unix:///path`, or
    /// `host:port`, which means tcp; without a port to the scheme's own. `http://` and `https://` mean a WebSocket there. Returns once the server has answered.
    ///
    /// # Errors
    /// [`ClientError::InvalidUri`] and [`ClientError::Connect`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O.
    pub async fn connect(uri: &str) -> Result<Self, ClientError> {
        Self::builder(uri).connect().await
    }

    /// Begins to describe a client.
    ///
    /// ```
    /// # async fn server() -> Result<String, Box<dyn std::error::Error>> {
    /// #     let server = mist::Server::builder().listen("tcp://127.0.0.1:0").bind().await?;
    /// #     let uri = server.addresses()[0].to_string();
    /// #     tokio::spawn(server.run(std::future::pending()));
    /// #     Ok(uri)
    /// # }
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let uri = server().await?;
    /// use std::time::Duration;
    ///
    /// use mist::client::{Backoff, Client, Offline};
    ///
    /// let client = Client::builder(&uri)
    ///     .token("secret")
    ///     .request_timeout(Duration::from_secs(2))
    ///     .reconnect(Backoff { min: Duration::from_millis(100), max: Duration::from_secs(5) })
    ///     .offline(Offline::Buffer { messages: 1000, bytes: 1 << 20, max_age: Duration::from_secs(30) })
    ///     .connect()
    ///     .await?;
    /// # client.close().await?;
    /// # Ok(()) }
    /// ```
    pub fn builder(uri: &str) -> ClientBuilder {
        ClientBuilder::new(uri)
    }

    /// Subscribes to messages that carry all of `tags`; returns once the server has the subscription.
    ///
    /// Subscribing again to the same tags, in any order, counts: each call is undone by one
    /// [`unsubscribe`](Self::unsubscribe). While the connection is being made anew, this waits for it.
    ///
    /// Dropping the future before its end leaves the subscription wanted.
    ///
    /// # Errors
    /// [`ClientError`]; the subscription does not exist then.
    pub async fn subscribe<T: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), ClientError> {
        let shared = &self.handle.shared;
        shared
            .ask(|machine, now| machine.subscribe(now, tags).map(|(_, request)| request))
            .await
            .map(drop)
    }

    /// Undoes one [`subscribe`](Self::subscribe); returns once the server knows. Without one it changes nothing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn unsubscribe<T: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), ClientError> {
        let mut tags = tags.into_iter().peekable();
        if tags.peek().is_none() {
            return Err(ClientError::MissingTags {
                command: "unsubscribe",
            });
        }
        let shared = &self.handle.shared;
        let Some(subscription) = shared.with(|inner, _| inner.machine.find_subscription(tags))
        else {
            return Ok(());
        };
        shared
            .ask(|machine, now| machine.unsubscribe(now, subscription))
            .await
            .map(drop)
    }

    /// Publishes; returns when the message is handed over. Waits while the outgoing buffer is full.
    ///
    /// Messages of one task reach a subscriber in order. Nothing says whether they did: see
    /// [`publish_acked`](Self::publish_acked). What the server refuses is an [`Event::Refused`].
    ///
    /// # Errors
    /// [`ClientError::MissingTags`], [`ClientError::Offline`], [`ClientError::BufferFull`], [`ClientError::Closed`].
    pub async fn publish<T: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = T>,
        data: &str,
    ) -> Result<(), ClientError> {
        let shared = &self.handle.shared;
        shared
            .hand_over(|inner, now| inner.machine.publish(now, tags, data))
            .await
    }

    /// Publishes; returns how many sessions took the message.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn publish_acked<T: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = T>,
        data: &str,
    ) -> Result<u64, ClientError> {
        let shared = &self.handle.shared;
        let reply = shared
            .ask(|machine, now| machine.publish_acked(now, tags, data))
            .await?;
        reply.delivered.ok_or_else(|| unexpected(reply))
    }

    /// Publishes once `delay` has passed; returns at once, with a handle that can cancel it.
    ///
    /// A publish that is refused when it is due is an [`Event::Refused`]; closing the client discards those to come.
    ///
    /// ```
    /// # async fn server() -> Result<String, Box<dyn std::error::Error>> {
    /// #     let server = mist::Server::builder().listen("tcp://127.0.0.1:0").bind().await?;
    /// #     let uri = server.addresses()[0].to_string();
    /// #     tokio::spawn(server.run(std::future::pending()));
    /// #     Ok(uri)
    /// # }
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let uri = server().await?;
    /// # let client = mist::Client::connect(&uri).await?;
    /// use std::time::Duration;
    ///
    /// let reminder = client.publish_after(["door"], "still open", Duration::from_secs(60))?;
    /// assert!(reminder.cancel());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ClientError::MissingTags`] and [`ClientError::Closed`].
    pub fn publish_after<T: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = T>,
        data: impl Into<String>,
        delay: Duration,
    ) -> Result<DelayedPublish, ClientError> {
        let tags: Vec<String> = tags.into_iter().map(|tag| tag.as_ref().into()).collect();
        if tags.is_empty() {
            return Err(ClientError::MissingTags { command: "publish" });
        }
        let data = data.into();
        let shared = self.shared();
        let key = shared.delay(delay, Delayed { tags, data })?;
        Ok(DelayedPublish { shared, key })
    }

    /// Lists the tag sets that the server holds for this client.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list(&self) -> Result<Vec<Vec<String>>, ClientError> {
        Ok(self.request("list", &[], "").await?.subscriptions)
    }

    /// Lists the distinct tags of all subscriptions on the server, sorted.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_all(&self) -> Result<Vec<String>, ClientError> {
        let reply = self.request("listall", &[], "").await?;
        match reply.subscribed.is_empty() && !reply.data.is_empty() {
            true => Err(unexpected(reply)),
            false => Ok(reply.subscribed),
        }
    }

    /// Counts the server's connections.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn who(&self) -> Result<Who, ClientError> {
        let reply = self.request("who", &[], "").await?;
        match (reply.connections, reply.subscribers) {
            (Some(connections), Some(subscribers)) => Ok(Who {
                connections,
                subscribers,
            }),
            _ => Err(unexpected(reply)),
        }
    }

    /// Asks the server for a sign of life; returns how long it took.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ping(&self) -> Result<Duration, ClientError> {
        let asked = Instant::now();
        self.request("ping", &[], "").await?;
        Ok(asked.elapsed())
    }

    /// Admin: creates a token with tags.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when it exists or this client is not admin; else as [`request`](Self::request).
    pub async fn register<T: AsRef<str>>(
        &self,
        token: &str,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), ClientError> {
        self.change_token("register", token, tags).await
    }

    /// Admin: removes a token, also an unknown one.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub async fn unregister(&self, token: &str) -> Result<(), ClientError> {
        self.request("unregister", &[], token).await.map(drop)
    }

    /// Admin: adds tags to a token.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the token is unknown; else as [`request`](Self::request).
    pub async fn set<T: AsRef<str>>(
        &self,
        token: &str,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), ClientError> {
        self.change_token("set", token, tags).await
    }

    /// Admin: removes tags from a token.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the token is unknown; else as [`request`](Self::request).
    pub async fn unset<T: AsRef<str>>(
        &self,
        token: &str,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), ClientError> {
        self.change_token("unset", token, tags).await
    }

    /// Admin: lists a token's tags, sorted.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the token is unknown; else as [`request`](Self::request).
    pub async fn tags(&self, token: &str) -> Result<Vec<String>, ClientError> {
        Ok(self.request("tags", &[], token).await?.tags)
    }

    async fn change_token<T: AsRef<str>>(
        &self,
        command: &str,
        token: &str,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), ClientError> {
        let tags: Vec<T> = tags.into_iter().collect();
        let tags: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
        self.request(command, &tags, token).await.map(drop)
    }

    /// Sends any command and waits for its answer: for a server's custom commands.
    ///
    /// Subscriptions made this way are not restored; use [`subscribe`](Self::subscribe).
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the server's words, [`ClientError::Timeout`], [`ClientError::ConnectionLost`],
    /// [`ClientError::Offline`], [`ClientError::Closed`].
    pub async fn request(
        &self,
        command: &str,
        tags: &[&str],
        data: &str,
    ) -> Result<Reply, ClientError> {
        let shared = &self.handle.shared;
        shared
            .ask(|machine, now| machine.request(now, command, tags, data))
            .await
    }

    /// Returns the stream of delivered messages.
    ///
    /// A client has one queue of them: with several streams each message goes to one of them, and what was delivered
    /// before the first stream is not lost. A stream does not keep the client open.
    #[must_use]
    pub fn messages(&self) -> Messages {
        Messages::new(self.shared())
    }

    /// Returns a stream of what happens from now on: state changes, dropped messages, refused publishes. Each stream
    /// has every event.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.handle.shared.add_events())
    }

    /// Returns how the client stands with its server.
    #[must_use]
    pub fn state(&self) -> State {
        self.handle.shared.state()
    }

    /// Sends what was handed over, then closes the connection; requests that wait for an answer fail. Does nothing
    /// more when called again.
    ///
    /// ```
    /// # async fn server() -> Result<String, Box<dyn std::error::Error>> {
    /// #     let server = mist::Server::builder().listen("tcp://127.0.0.1:0").bind().await?;
    /// #     let uri = server.addresses()[0].to_string();
    /// #     tokio::spawn(server.run(std::future::pending()));
    /// #     Ok(uri)
    /// # }
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let uri = server().await?;
    /// let client = mist::Client::connect(&uri).await?;
    /// client.publish(["bus"], "12 min").await?;
    /// client.close().await?;
    /// assert!(client.publish(["bus"], "13 min").await.is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ClientError::ConnectionLost`] when the server did not take all that was handed over.
    pub async fn close(&self) -> Result<(), ClientError> {
        let shared = &self.handle.shared;
        shared.close();
        shared.done().await;
        match shared.with(|inner, _| inner.unflushed.clone()) {
            Some(reason) => Err(ClientError::ConnectionLost {
                command: "close".into(),
                reason,
            }),
            None => Ok(()),
        }
    }
}

fn unexpected(reply: Reply) -> ClientError {
    ClientError::UnexpectedAnswer {
        command: reply.command,
        answer: reply.data,
    }
}
