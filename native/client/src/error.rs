//! Owns what can go wrong for the user of a client, and how it is said; knows nothing of how it is found out.

use std::time::Duration;

use mist_core::ServerError;
use mist_core::client::{CloseReason, RequestError};

use mist_net::address::AddressError;
use mist_net::connect::ConnectError;
#[cfg(feature = "tls")]
use mist_net::trust::TrustError;

/// Why a client could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is not one that a client can connect to.
    #[error("invalid address '{uri}' - {source}")]
    #[non_exhaustive]
    InvalidUri {
        /// The address as given, without what may be secret in it.
        uri: String,
        /// What is wrong with it, and what would be right.
        source: AddressError,
    },
    /// The certificates to trust cannot be used.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The first attempt to connect failed.
    #[error("cannot connect to {address}: {reason}")]
    #[non_exhaustive]
    Connect {
        /// Host and port, or the URI of a Unix socket; with several servers all of them.
        address: String,
        /// What happened, with several servers at each.
        reason: String,
        /// The same for programs, of the first server; nothing when a connection was there and then lost.
        source: Option<ConnectError>,
    },
    /// There is no token to present: the source of [`ClientBuilder::token_from`](crate::ClientBuilder::token_from) failed.
    #[error("no token: {reason}")]
    #[non_exhaustive]
    NoToken {
        /// Why, as the source says it.
        reason: String,
    },
    /// The server refused the token.
    #[error("the server refused the token: {reason}; check the token")]
    #[non_exhaustive]
    AuthRefused {
        /// Why, as the server says it.
        reason: ServerError,
    },
    /// `subscribe` or `publish` without tags.
    #[error("cannot {command} without tags: name at least one")]
    #[non_exhaustive]
    MissingTags {
        /// The command.
        command: &'static str,
    },
    /// The server said no.
    #[error("the server refused {command}: {reason}")]
    #[non_exhaustive]
    Refused {
        /// The command.
        command: String,
        /// Why, as the server says it.
        reason: ServerError,
    },
    /// No answer came in time.
    #[error("no answer to {command} within {after:?}; the server may still have done it")]
    #[non_exhaustive]
    Timeout {
        /// The command.
        command: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The connection was lost before the answer came.
    #[error(
        "connection lost before {command} was done ({reason}); the server may or may not have done it"
    )]
    #[non_exhaustive]
    ConnectionLost {
        /// The command.
        command: String,
        /// What happened to the connection.
        reason: String,
    },
    /// There is no connection now.
    #[error(
        "cannot {command} while offline: wait until the client is open, or use the option offline"
    )]
    #[non_exhaustive]
    Offline {
        /// The command.
        command: String,
    },
    /// There is no connection now, and no more room for publishes that wait for one.
    #[error("offline, and the buffer is full with {publishes} publishes of {bytes} bytes")]
    #[non_exhaustive]
    BufferFull {
        /// How many publishes are kept.
        publishes: usize,
        /// How many bytes they are.
        bytes: usize,
    },
    /// The subscription was given up while its acknowledgement was awaited.
    #[error("unsubscribed before the server acknowledged the subscription")]
    Unsubscribed,
    /// The client is closed.
    #[error("the client is closed ({reason}): connect anew")]
    #[non_exhaustive]
    Closed {
        /// Why.
        reason: String,
    },
    /// The server's answer has a form that this client does not know.
    #[error("unexpected answer to {command}: '{answer}'; is the server a mist of this version?")]
    #[non_exhaustive]
    UnexpectedAnswer {
        /// The command.
        command: String,
        /// The answer's data.
        answer: String,
    },
}

/// Why [`ClientBuilder::token_from`](crate::ClientBuilder::token_from) has no token. Any error converts into
/// [`Unavailable`](Self::Unavailable), as `?` does it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenSourceError {
    /// There is none now; the text says why. It is asked for again.
    Unavailable(String),
    /// There will be none, such as for a user who has signed out; the text says why. The client closes.
    Unauthorized(String),
}

// It is not an `Error` itself: then this would overlap with the conversion into itself.
impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for TokenSourceError {
    fn from(error: E) -> Self {
        Self::Unavailable(error.into().to_string())
    }
}

impl From<RequestError> for ClientError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::MissingTags { command } => Self::MissingTags { command },
            RequestError::Refused { command, error } => Self::Refused {
                command,
                reason: error,
            },
            RequestError::Timeout { command, after } => Self::Timeout { command, after },
            RequestError::ConnectionLost { command, reason } => {
                Self::ConnectionLost { command, reason }
            }
            RequestError::Offline { command } => Self::Offline { command },
            RequestError::BufferFull { publishes, bytes } => Self::BufferFull { publishes, bytes },
            RequestError::Unsubscribed => Self::Unsubscribed,
            RequestError::Closed {
                reason: CloseReason::AuthRefused(reason),
            } => Self::AuthRefused { reason },
            RequestError::Closed {
                reason: CloseReason::NoToken(reason),
            } => Self::NoToken { reason },
            RequestError::Closed { reason } => Self::Closed {
                reason: reason.to_string(),
            },
            other => Self::Closed {
                reason: other.to_string(),
            },
        }
    }
}
