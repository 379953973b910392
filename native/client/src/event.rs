//! Owns what an application is told of a client without having asked; knows nothing of how it comes about.

use std::sync::Arc;
use std::time::Duration;

use mist_core::ServerError;
use mist_core::client::{self as core, CloseReason, Reply};

/// What happens to a client, besides messages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An attempt to connect begins, or the token has ended, and what the server held is restored with another.
    Connecting,
    /// The connection works, and the server holds every subscription.
    #[non_exhaustive]
    Open {
        /// Whether the client was open before; messages in between were missed.
        resumed: bool,
    },
    /// The connection was lost, or an attempt failed.
    #[non_exhaustive]
    Waiting {
        /// What happened.
        reason: String,
        /// How long until the next attempt.
        retry_in: Duration,
    },
    /// No further attempt will be made.
    #[non_exhaustive]
    Closed {
        /// Why.
        reason: CloseReason,
    },
    /// The server dropped messages for this client, because its connection did not take them fast enough.
    #[non_exhaustive]
    Dropped {
        /// How many messages.
        count: u64,
    },
    /// A stream is not read fast enough: there is no room for a message, the first since it was last read. It and those
    /// behind it are missing there until there is room again; [`Subscription::dropped`](crate::Subscription::dropped)
    /// counts them.
    #[non_exhaustive]
    Lagged {
        /// The subscription's tags; empty for a stream of all messages.
        tags: Arc<[String]>,
    },
    /// The server has taken a subscription away, whose stream has ended.
    #[non_exhaustive]
    SubscriptionLost {
        /// The subscription's tags.
        tags: Arc<[String]>,
        /// Why, as the server says it.
        error: ServerError,
    },
    /// The server refused a message for which no caller waits: mostly a publish without acknowledgement.
    #[non_exhaustive]
    Refused {
        /// What was refused; empty when the server could not read it.
        command: String,
        /// Its tags.
        tags: Vec<String>,
        /// Why, as the server says it.
        error: ServerError,
    },
    /// There was no token to present, or the server refused it. Another is asked for after a pause: on the same connection as
    /// long as that works, otherwise for the next.
    #[non_exhaustive]
    TokenFailed {
        /// What happened.
        reason: String,
        /// Why, as the server says it, if it was the server that refused.
        error: Option<ServerError>,
    },
    /// Publishes that were kept for the next connection will never be sent: they are too old, or the client closed.
    #[non_exhaustive]
    Discarded {
        /// How many publishes.
        publishes: usize,
    },
    /// The server sent something that cannot be read.
    #[non_exhaustive]
    Unreadable {
        /// What is wrong, and where.
        error: String,
    },
    /// The server sent a message this client has no meaning for: a custom command's.
    Other(Reply),
}

impl Event {
    /// Takes what the state machine tells, unless it is a message, or of a kind that this version does not know.
    pub(crate) fn of(event: core::Event) -> Option<Self> {
        Some(match event {
            core::Event::Connecting => Self::Connecting,
            core::Event::Open { resumed } => Self::Open { resumed },
            core::Event::Waiting { reason, retry_in } => Self::Waiting { reason, retry_in },
            core::Event::Closed { reason } => Self::Closed { reason },
            core::Event::Dropped { count } => Self::Dropped { count },
            core::Event::SubscriptionLost { tags, error } => Self::SubscriptionLost { tags, error },
            core::Event::Refused {
                command,
                tags,
                error,
            } => Self::Refused {
                command,
                tags,
                error,
            },
            core::Event::TokenFailed { reason, error } => Self::TokenFailed { reason, error },
            core::Event::Discarded { publishes } => Self::Discarded { publishes },
            core::Event::Unreadable { error } => Self::Unreadable { error },
            core::Event::Other(reply) => Self::Other(reply),
            _ => return None,
        })
    }
}
