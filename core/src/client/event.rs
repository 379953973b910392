//! Owns what a client tells its host and its application; knows nothing of how it comes about.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::error::ServerError;
use crate::message::{Message, NodeInfo, RegisteredToken};
use crate::text::{Part, push, text};

/// The name of one request until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

impl From<RequestId> for u64 {
    fn from(request: RequestId) -> Self {
        request.0
    }
}

/// The name of one local subscription; several may share one on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub(super) u64);

impl From<SubscriptionId> for u64 {
    fn from(subscription: SubscriptionId) -> Self {
        subscription.0
    }
}

/// For a host that can hold numbers only; one that was never given out names no subscription.
impl From<u64> for SubscriptionId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

/// How a client stands with its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// A connection is being made, or its subscriptions are being restored, also after its token has ended.
    Connecting,
    /// The connection works, and the server holds every wanted subscription.
    Open,
    /// The connection was lost, and the next attempt is due later.
    Waiting,
    /// The end: no further attempt will be made.
    Closed,
}

/// What the host is to do, or to pass on to the application.
#[derive(Debug)]
pub enum Action {
    /// Open a connection, then call `handle_open`, or `handle_close` if it fails; `handle_no_token` where there is none for
    /// it.
    Connect,
    /// Obtain another token for the connection, then call `handle_token` or `handle_no_token`, unless the connection has ended
    /// meanwhile.
    ObtainToken,
    /// Write these bytes: whole messages in UTF-8, each ended by a newline, so that a stream takes them as they are
    /// and a framed transport cuts them at the newlines.
    Send(Vec<u8>),
    /// Close the connection once everything sent is written. The host says nothing more about this connection.
    Disconnect,
    /// A request has its answer. Each request has exactly one.
    Answer {
        /// The request.
        request: RequestId,
        /// The server's answer, or why there is none.
        result: Result<Reply, RequestError>,
    },
    /// Something the application should know.
    Event(Event),
}

/// What an application is told without having asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An attempt to connect begins, or the token has ended, and what the server held is restored with another.
    Connecting,
    /// The connection works, and the server holds every wanted subscription.
    Open {
        /// Whether the client was open before; messages in between were missed.
        resumed: bool,
    },
    /// The connection was lost, or an attempt failed.
    Waiting {
        /// What happened.
        reason: String,
        /// How long until the next attempt.
        retry_in: Duration,
    },
    /// No further attempt will be made.
    Closed {
        /// Why.
        reason: CloseReason,
    },
    /// There was no token to present, or the server refused it. Another is asked for after a pause: on the same connection as
    /// long as that works, otherwise for the next.
    TokenFailed {
        /// What happened.
        reason: String,
        /// Why, as the server says it, if it was the server that refused.
        error: Option<ServerError>,
    },
    /// A message was delivered.
    Message(Delivery),
    /// The server dropped messages for this client, because it did not read fast enough.
    Dropped {
        /// How many messages.
        count: u64,
    },
    /// The server does not hold a subscription any more, and the client has stopped wanting it.
    SubscriptionLost {
        /// The subscription's tags.
        tags: Arc<[String]>,
        /// Why, as the server says it.
        error: ServerError,
    },
    /// The server refused a message for which no caller waits: mostly a publish without acknowledgement.
    Refused {
        /// What was refused; empty when the server could not read it.
        command: String,
        /// Its tags.
        tags: Vec<String>,
        /// Why, as the server says it.
        error: ServerError,
    },
    /// Publishes that were kept for the next connection will never be sent: they are too old, or the client closed.
    Discarded {
        /// How many publishes.
        publishes: usize,
    },
    /// The server sent something that cannot be read.
    Unreadable {
        /// What is wrong, and where.
        error: String,
    },
    /// The server sent a message this client has no meaning for: a custom command's.
    Other(Reply),
}

/// A delivered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The message's tags, sorted; messages with equal tags share them.
    pub tags: Arc<[String]>,
    /// The data; empty when there was none.
    pub data: String,
    /// The local subscriptions that match, in the order they were made.
    pub subscriptions: Arc<[SubscriptionId]>,
}

/// A server's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The command that is answered.
    pub command: String,
    /// The tags of the answer: the request's, or for `tags` those of the token.
    pub tags: Vec<String>,
    /// The data; empty when there is none.
    pub data: String,
    /// For `list`: the tag sets of the session.
    pub subscriptions: Vec<Vec<String>>,
    /// For `listall`: the tags of everybody's subscriptions.
    pub subscribed: Vec<String>,
    /// For `who`: the connections since the server started.
    pub connections: Option<u64>,
    /// For `who`: the connections that hold a subscription now.
    pub subscribers: Option<u64>,
    /// For `tags`: the tags by which the token may subscribe, where those are not all of its tags.
    pub subscribe: Option<Vec<String>>,
    /// For `tags`: the tags with which the token may publish, where those are not all of its tags.
    pub publish: Option<Vec<String>>,
    /// For `auth` and `tags`: in how many seconds the token ends.
    pub expires_in: Option<u64>,
    /// For `tokens`: those that are registered; what `data` says is behind them.
    pub registered: Vec<RegisteredToken>,
    /// For an acknowledged publish: how many sessions took it.
    pub delivered: Option<u64>,
    /// What only a server of a cluster says.
    pub cluster: Option<Box<OfCluster>>,
}

/// What an answer says of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OfCluster {
    /// For an acknowledged publish: how many other nodes the message was handed to. For `who`: how many nodes there are.
    pub nodes: Option<u64>,
    /// For `nodes`: what each says of itself.
    pub members: Vec<NodeInfo>,
    /// The names of nodes that did not answer, so that the answer is without them.
    pub silent: Vec<String>,
}

impl Reply {
    pub(super) fn new(message: &Message<'_>) -> Self {
        Self {
            command: message.command_name().into_owned(),
            tags: message.tags().map(Cow::into_owned).collect(),
            data: message.data().map(Cow::into_owned).unwrap_or_default(),
            subscriptions: message.subscriptions(),
            subscribed: message.subscribed(),
            connections: message.connections(),
            subscribers: message.subscribers(),
            subscribe: message.subscribe_tags(),
            publish: message.publish_tags(),
            expires_in: message.expires_in(),
            registered: message.registered(),
            delivered: message.delivered(),
            cluster: Some(OfCluster {
                nodes: message.nodes(),
                members: message.members(),
                silent: message.silent(),
            })
            .filter(|cluster| *cluster != OfCluster::default())
            .map(Box::new),
        }
    }

    /// How many nodes the answer to a publish or to `who` counts, in a cluster.
    #[must_use]
    pub fn nodes(&self) -> Option<u64> {
        self.cluster.as_ref()?.nodes
    }

    pub(super) fn success(command: &str) -> Self {
        Self {
            command: command.into(),
            data: "success".into(),
            ..Self::default()
        }
    }
}

/// Why a client is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The application closed it.
    Requested,
    /// The server refused the token, which would be the same at the next attempt; with the server's words.
    AuthRefused(ServerError),
    /// The application has no token, and says that it will have none; with its words.
    NoToken(String),
    /// The connection was lost, and reconnecting is off; with what happened.
    Lost(String),
}

impl Part for CloseReason {
    fn push_to(&self, text: &mut String) {
        match self {
            Self::Requested => push!(text, "closed by the application"),
            Self::AuthRefused(error) => push!(text, "the server refused the token: ", error),
            Self::NoToken(reason) => push!(text, "no token: ", reason),
            Self::Lost(reason) => push!(text, reason),
        }
    }
}

impl CloseReason {
    /// Returns the sentence that is displayed, for hosts where formatting is dear.
    #[must_use]
    pub fn text(&self) -> String {
        text![self]
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text![self])
    }
}

/// Why a request has no answer from the server, or not the one that was hoped for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// `subscribe` or `publish` without tags.
    MissingTags {
        /// The command.
        command: &'static str,
    },
    /// The server said no.
    Refused {
        /// The command.
        command: String,
        /// Why, as the server says it.
        error: ServerError,
    },
    /// No answer came in time.
    Timeout {
        /// The command.
        command: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The connection was lost before the answer came; the server may or may not have done it.
    ConnectionLost {
        /// The command.
        command: String,
        /// What happened to the connection.
        reason: String,
    },
    /// There is no connection now, and nothing is kept for the next one.
    Offline {
        /// The command.
        command: String,
    },
    /// There is no connection now, and the room for publishes kept for the next one is used up.
    BufferFull {
        /// How many publishes are kept.
        publishes: usize,
        /// How many bytes they are.
        bytes: usize,
    },
    /// The subscription was given up before the server acknowledged it.
    Unsubscribed,
    /// The client is closed.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

impl Part for RequestError {
    fn push_to(&self, text: &mut String) {
        match self {
            Self::MissingTags { command } => {
                push!(text, "cannot ", command, " without tags: name at least one")
            }
            Self::Refused { command, error } => {
                push!(text, "the server refused ", command, ": ", error)
            }
            Self::Timeout { command, after } => push!(
                text,
                "no answer to ",
                command,
                " within ",
                after,
                "; the server may still have done it"
            ),
            Self::ConnectionLost { command, reason } => push!(
                text,
                "connection lost before ",
                command,
                " was answered (",
                reason,
                "); the server may or may not have done it"
            ),
            Self::Offline { command } => push!(
                text,
                "cannot ",
                command,
                " while offline: wait until the client is open, or use the option offline"
            ),
            Self::BufferFull { publishes, bytes } => push!(
                text,
                "offline, and the buffer is full with ",
                publishes,
                " publishes of ",
                bytes,
                " bytes: publish less, or allow more"
            ),
            Self::Unsubscribed => {
                push!(
                    text,
                    "unsubscribed before the server acknowledged the subscription"
                )
            }
            Self::Closed { reason } => {
                push!(text, "the client is closed (", reason, "): connect anew")
            }
        }
    }
}

impl RequestError {
    /// Returns the sentence that is displayed, for hosts where formatting is dear.
    #[must_use]
    pub fn text(&self) -> String {
        text![self]
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text![self])
    }
}

impl core::error::Error for RequestError {}
