//! Owns what an application calls; knows nothing of the wire, which is the state machine's and the transport's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mist_core::client::{Reply, State};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::ClientError;
use crate::event::Event;
use crate::inbox::Inbox;
use crate::shared::{Handle, Shared, answered};
use crate::streams::{Events, Messages, Subscription};

/// A connection to a server, which survives being cut.
///
/// It is cheap to clone; all clones share one connection. Dropping the last of them, and the last [`Subscription`],
/// closes it as [`Client::close`] does, without waiting.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
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
#[non_exhaustive]
pub struct Who {
    /// Connections since the server started, this one included.
    pub connections: u64,
    /// Connections that hold a subscription now.
    pub subscribers: u64,
    /// How many nodes these are the figures of, in a cluster.
    pub nodes: Option<u64>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// How many sessions of the server took it.
    pub delivered: u64,
    /// How many other nodes it was handed to, in a cluster.
    pub nodes: Option<u64>,
}

impl Client {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            handle: Arc::new(Handle { shared }),
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Connects to `tcp://host:port`, `ws://host:port/path`, their encrypted kin `tls://` and `wss://`, `unix:///path`,
    /// or `host:port`, which means tcp; without a port to the scheme's own. `http://` and `https://` mean a WebSocket
    /// there. Returns once the server has answered.
    ///
    /// # Errors
    /// [`ClientError::InvalidUri`] and [`ClientError::Connect`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O.
    pub async fn connect(uri: &str) -> Result<Self, ClientError> {
        Self::builder(uri).connect().await
    }

    /// Subscribes to messages that carry all of `tags`; returns their stream once the server has the subscription.
    ///
    /// While the connection is being made anew, this waits for it. Dropping the future unsubscribes again.
    ///
    /// # Errors
    /// [`ClientError`]; the subscription does not exist then.
    pub async fn subscribe<T: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<Subscription, ClientError> {
        let mut tags: Vec<String> = tags.into_iter().map(|tag| tag.as_ref().into()).collect();
        tags.sort_unstable();
        tags.dedup();
        let inbox = Inbox::new(tags.into(), self.shared().limits().messages);
        let (sender, answer) = oneshot::channel();
        let id = self
            .shared()
            .hand_over(|inner, now| {
                let (id, request) = inner.machine.subscribe(now, &*inbox.tags)?;
                inner.answers.insert(request, sender);
                inner.inboxes.insert(id, Arc::clone(&inbox));
                Ok(id)
            })
            .await?;
        // From here on, dropping it takes everything back.
        let subscription = Subscription::new(Arc::clone(&self.handle), id, inbox);
        answered(answer).await?;
        Ok(subscription)
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
        // The caller's code runs before the lock is taken: it may use this client, or panic.
        let tags: Vec<T> = tags.into_iter().collect();
        let tags: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
        self.shared()
            .hand_over(|inner, now| inner.machine.publish(now, &tags, data))
            .await
    }

    /// Publishes; returns how many sessions took the message, once the server knows.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn publish_acked<T: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = T>,
        data: &str,
    ) -> Result<Receipt, ClientError> {
        let tags: Vec<T> = tags.into_iter().collect();
        let tags: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
        let reply = self
            .shared()
            .ask(|machine, now| machine.publish_acked(now, &tags, data))
            .await?;
        match reply.delivered {
            Some(delivered) => Ok(Receipt {
                delivered,
                nodes: reply.nodes(),
            }),
            None => Err(unexpected(reply)),
        }
    }

    /// Returns once the server has taken everything that was handed over before: what it delivers, it has delivered to
    /// its outboxes, and what it refuses is an [`Event::Refused`]. While there is no connection, this waits for one.
    ///
    /// # Errors
    /// [`ClientError::ConnectionLost`] when the connection is cut first, or was cut since, so that some of it may be
    /// lost; this is said once, to one of the client's clones; [`ClientError::Timeout`] when there is neither an answer
    /// nor a connection in time; [`ClientError::Closed`].
    pub async fn flush(&self) -> Result<(), ClientError> {
        let limit = self.shared().limits().request_timeout;
        let flushed = async {
            // Before asking, so that no connection is missed.
            let mut events = self.events();
            loop {
                match self.flush_once().await {
                    // What is kept for the next connection goes out in front of what is asked on it.
                    Err(ClientError::Offline { .. }) => {
                        while !matches!(events.next().await, Some(Event::Open { .. }) | None) {}
                    }
                    answer => return answer,
                }
            }
        };
        tokio::time::timeout(limit, flushed)
            .await
            .unwrap_or_else(|_| {
                Err(ClientError::Timeout {
                    command: "flush".into(),
                    after: limit,
                })
            })
    }

    async fn flush_once(&self) -> Result<(), ClientError> {
        let mut asked = None;
        let answer = self
            .shared()
            .ask(|machine, now| {
                let request = machine.flush(now)?;
                asked = Some(request);
                Ok(request)
            })
            .await;
        if let (Err(ClientError::ConnectionLost { .. }), Some(request)) = (&answer, asked) {
            self.shared()
                .with(|inner, _| inner.machine.forgive_loss(request));
        }
        answer.map(drop)
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
                nodes: reply.nodes(),
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
        let request = mist_core::message::Request {
            command,
            tags,
            data,
            ..Default::default()
        };
        self.ask(request).await
    }

    pub(crate) async fn ask(
        &self,
        request: mist_core::message::Request<'_>,
    ) -> Result<Reply, ClientError> {
        self.shared()
            .ask(|machine, now| machine.request_with(now, request))
            .await
    }

    /// Returns a stream of all messages that are delivered to this client from now on, each once, however many of its
    /// subscriptions it matches.
    ///
    /// These are copies: a [`Subscription`] has its messages whether there is such a stream or not. To read only
    /// this one, [detach](Subscription::detach) the subscriptions. Each such stream has every message. It does not keep
    /// the client open.
    #[must_use]
    pub fn messages(&self) -> Messages {
        Messages::new(self.shared().add_tap())
    }

    /// Returns a stream of what happens from now on: state changes, dropped messages, refused publishes. Each stream
    /// has every event.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.shared().add_events())
    }

    /// Returns how the client stands with its server.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared().state()
    }

    /// Sends what was handed over, then closes the connection; requests that wait for an answer fail, and all streams
    /// end. Does nothing more when called again.
    ///
    /// # Errors
    /// [`ClientError::ConnectionLost`] when the server did not take all that was handed over, or publishes were still
    /// waiting for a connection.
    pub async fn close(&self) -> Result<(), ClientError> {
        let shared = self.shared();
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
