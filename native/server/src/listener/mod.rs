//! Owns what a listener is, and what each is made of; the ways in stand in the files beside it.

pub(crate) mod acceptor;
pub(crate) mod bind;
pub(crate) mod certificate;
mod handshake;
pub(crate) mod offers;
mod socket;
mod tcp;
pub(crate) mod tls;
#[cfg(unix)]
mod unix;
mod validity;
mod web;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use self::acceptor::Acceptor;
use crate::bind_error::ListenError;

/// A bound address: taken, and not served yet.
pub trait Listener: Send + 'static {
    /// Where it listens.
    fn address(&self) -> Address;

    /// Accepts connections and hands them to `acceptor`, until [`Acceptor::stopped`] completes.
    ///
    /// Errors of one connection are its own affair; a listener ends only when it is told to.
    fn serve(self: Box<Self>, acceptor: Acceptor) -> BoxFuture<'static, ()>;
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    scheme: String,
    place: String,
    socket: Option<SocketAddr>,
}

impl Address {
    /// An address that is not an internet socket.
    #[must_use]
    pub fn new(scheme: &str, place: &str) -> Self {
        Self {
            scheme: scheme.into(),
            place: place.into(),
            socket: None,
        }
    }

    /// The address of an internet socket, with the port that was really bound.
    #[must_use]
    pub fn from_socket(scheme: &str, socket: SocketAddr) -> Self {
        let place = match socket {
            // In a URI, the percent sign in front of the zone is written out.
            SocketAddr::V6(v6) if v6.scope_id() != 0 => {
                format!("[{}%25{}]:{}", v6.ip(), v6.scope_id(), v6.port())
            }
            _ => socket.to_string(),
        };
        Self {
            scheme: scheme.into(),
            place,
            socket: Some(socket),
        }
    }

    /// The URI's scheme.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The internet socket, if it is one.
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddr> {
        self.socket
    }
}

/// Writes the URI that clients connect to.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.place)
    }
}

/// Binds an address given as a URI.
pub type ListenerFactory =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<Box<dyn Listener>, ListenError>> + Send + Sync>;
