//! Owns the ways in: what a listener is, and what it does with a connection.

mod certificate;
pub(crate) mod scheme;
mod socket;
mod tcp;
pub(crate) mod tls;
mod unix;
mod web;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

pub use self::certificate::CertificateError;
pub(crate) use self::certificate::read_certificates;
pub(crate) use self::web::browsers::Browsers;
use crate::drive::Connection;
use crate::hub::Hub;

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
        Self {
            scheme: scheme.into(),
            place: socket.to_string(),
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

/// What a listener hands its connections to.
#[derive(Clone)]
pub struct Acceptor {
    pub(crate) hub: Arc<Hub>,
    pub(crate) browsers: Arc<Browsers>,
    pub(crate) stop: CancellationToken,
    /// Cancelled when the time to stop in good order is over.
    pub(crate) cut: CancellationToken,
}

impl Acceptor {
    /// Serves a connection that speaks the JSON lines of TCP, on a task of its own.
    pub fn accept<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve_lines(self.admit(), stream);
    }

    /// Serves a connection that was counted; without a permit it is told why it is not let in.
    pub(crate) fn serve_lines<S>(&self, permit: Option<Permit>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match permit {
            Some(permit) => self.spawn(
                Arc::new(permit),
                Connection::lines(Arc::clone(&self.hub), stream, None),
            ),
            None => self.refuse(stream),
        }
    }

    /// Completes when the server stops.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Counts a connection, unless there are too many.
    pub(crate) fn admit(&self) -> Option<Permit> {
        let permit = Permit(Arc::clone(&self.hub));
        let before = self.hub.open_connections.fetch_add(1, Ordering::Relaxed);
        if before < self.hub.limits.connections {
            return Some(permit);
        }
        self.hub
            .counters
            .refused_connections
            .fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Says why before it closes.
    fn refuse<S>(&self, mut stream: S)
    where
        S: AsyncWrite + Unpin + Send + 'static,
    {
        let mut text = mist_core::too_many_connections(self.hub.limits.connections);
        text.push(b'\n');
        self.hub.tasks.spawn(async move {
            // As long as the system takes to buffer a line; a client that does not read gets no more attention.
            let farewell = async {
                stream.write_all(&text).await?;
                stream.shutdown().await
            };
            let _ = tokio::time::timeout(Duration::from_secs(1), farewell).await;
        });
    }

    pub(crate) fn spawn(
        &self,
        permit: Arc<Permit>,
        connection: impl Future<Output = ()> + Send + 'static,
    ) {
        self.hub.tasks.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

/// Counts one open connection for as long as it lives.
pub(crate) struct Permit(Arc<Hub>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open_connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why an address could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The URI has no host and port where there must be one.
    #[error("invalid listener '{uri}' - {why} (for example tcp://127.0.0.1:1445)")]
    Uri {
        /// The URI as it was given.
        uri: String,
        /// What is wrong with it.
        why: String,
    },
    /// Somebody else listens there.
    #[error(
        "cannot listen on '{uri}' - the address is in use; stop what listens there or choose another"
    )]
    InUse {
        /// The URI as it was given.
        uri: String,
    },
    /// There is a file where the socket should be, and it is not one.
    #[error(
        "cannot listen on '{uri}' - there is something else than a socket; remove it or choose another path"
    )]
    NotASocket {
        /// The URI as it was given.
        uri: String,
    },
    /// The system refused.
    #[error("cannot listen on '{uri}' - {source}")]
    Io {
        /// The URI as it was given.
        uri: String,
        /// What the system said.
        source: io::Error,
    },
}

impl ListenError {
    /// Wraps what the system said about an address.
    #[must_use]
    pub fn io(uri: &str, source: io::Error) -> Self {
        let uri = uri.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { uri },
            _ => Self::Io { uri, source },
        }
    }
}

/// Binds an address given as a URI.
pub type ListenerFactory =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<Box<dyn Listener>, ListenError>> + Send + Sync>;
