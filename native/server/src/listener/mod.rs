//! Owns the ways in: what a listener is, and what it does with a connection.

pub(crate) mod bind;
mod certificate;
mod socket;
mod tcp;
pub(crate) mod tls;
#[cfg(unix)]
mod unix;
mod validity;
mod web;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::field::display;

pub use self::certificate::CertificateError;
use self::tls::Tls;
pub(crate) use self::web::Offers;
pub(crate) use self::web::browsers::Browsers;
pub(crate) use self::web::proxies::Proxies;
use crate::admission::address_limit::AddressPermit;
use crate::admission::peer::Peer;
use crate::admission::rates::Exceeded;
use crate::connection::Connection;
use crate::hub::{Arrival, Hub};
use crate::log_limit::Kind;
use crate::shutdown::Stages;
use mist_net::address::AddressError;

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

/// What a listener hands its connections to.
#[derive(Clone)]
pub struct Acceptor {
    pub(crate) hub: Arc<Hub>,
    /// The listener's number.
    pub(crate) listener: u16,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) offers: Offers,
    pub(crate) stages: Stages,
    /// On a listener for operators, how many may still connect. They are held to no other limit on connections.
    pub(crate) seats: Option<Arc<Semaphore>>,
}

impl Acceptor {
    /// Serves a connection that speaks the JSON lines of TCP, on a task of its own.
    ///
    /// No lock of the server is held while the stream is read, written or dropped, so it may call
    /// [`Handle::publish`](crate::Handle::publish).
    pub fn accept<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve_lines(self.greet(None), stream);
    }

    /// Serves a connection like [`Acceptor::accept`], within the bounds of the address that it comes from.
    pub fn accept_from<S>(&self, stream: S, address: IpAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve_lines(self.greet(Some(address)), stream);
    }

    /// Serves a guest; without a permit it is told why it is not let in.
    pub(crate) fn serve_lines<S>(&self, guest: Guest, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let arrival = Arrival {
            peer: guest.address.map(Peer::from),
            took: guest.since.elapsed(),
            is_request: false,
            listener: self.listener,
        };
        match guest.permit {
            Ok(permit) => self.spawn(
                permit,
                Connection::lines(Arc::clone(&self.hub), stream, None, arrival),
            ),
            Err(refusal) => self.refuse(stream, refusal.message),
        }
    }

    /// Completes when the server stops.
    pub async fn stopped(&self) {
        self.stages.stopped.cancelled().await;
    }

    /// Receives a connection: counts it, unless there are too many, and notes where it comes from and when.
    pub(crate) fn greet(&self, address: Option<IpAddr>) -> Guest {
        self.receive(address, address)
    }

    /// Receives a connection of a trusted proxy, which is not counted among those of its address: each request on it may
    /// come from somewhere else.
    pub(crate) fn greet_proxy(&self, address: IpAddr) -> Guest {
        self.receive(Some(address), None)
    }

    fn receive(&self, address: Option<IpAddr>, counted: Option<IpAddr>) -> Guest {
        Guest {
            permit: self.admit(counted.map(Peer::from)),
            address,
            since: Instant::now(),
        }
    }

    fn admit(&self, peer: Option<Peer>) -> Result<Permit, Refusal> {
        let hub = &self.hub;
        if let Some(seats) = &self.seats {
            hub.open_connections.fetch_add(1, Ordering::Relaxed);
            // The listener has waited for it.
            let seat = Arc::clone(seats).try_acquire_owned().ok();
            return Ok(Permit(Arc::clone(hub), None, seat));
        }
        let permit = Permit(Arc::clone(hub), self.count_address(peer)?, None);
        let before = hub.open_connections.fetch_add(1, Ordering::Relaxed);
        let most = hub.in_force().limits.connections;
        if before < most {
            hub.rates.note_connect(std::time::Instant::now());
            return Ok(permit);
        }
        self.count_refused();
        Err(Refusal::of(mist_core::too_many_connections(most)))
    }

    /// Counts a connection among those of its address, unless there are too many, or have been in the last second.
    pub(crate) fn count_address(
        &self,
        peer: Option<Peer>,
    ) -> Result<Option<AddressPermit>, Refusal> {
        let now = std::time::Instant::now();
        if let Err(exceeded) = self.hub.rates.connect_from(peer, now) {
            self.hub.say_exceeded(peer, exceeded);
            self.count_refused();
            return Err(Refusal {
                message: exceeded.answer("", None),
                exceeded: Some(exceeded),
            });
        }
        self.hub.address_limiter.acquire(peer).map_err(|limit| {
            if self.hub.log.admits(Kind::AddressFull, peer) {
                let peer = peer.map(display);
                tracing::debug!(
                    peer,
                    "refusing a connection: there are {limit} (connections-per-address)"
                );
            }
            self.count_refused();
            Refusal::of(mist_core::too_many_of_address(limit))
        })
    }

    fn count_refused(&self) {
        let refused = &self.hub.counters.refused_connections;
        refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Says why before it closes.
    fn refuse<S>(&self, mut stream: S, mut text: Vec<u8>)
    where
        S: AsyncWrite + Unpin + Send + 'static,
    {
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
        permit: impl Send + 'static,
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

/// Why a connection is not let in.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// What the client is told.
    pub(crate) message: Vec<u8>,
    /// Where there have been too many in the last second.
    pub(crate) exceeded: Option<Exceeded>,
}

impl Refusal {
    fn of(message: Vec<u8>) -> Self {
        let exceeded = None;
        Self { message, exceeded }
    }
}

/// A connection that has just been accepted.
pub(crate) struct Guest {
    /// Or why it is not let in.
    pub(crate) permit: Result<Permit, Refusal>,
    /// Where it comes from, if that is an internet address.
    pub(crate) address: Option<IpAddr>,
    pub(crate) since: Instant,
}

impl Guest {
    /// What is left of the time for handshakes, which is part of the time to authenticate.
    pub(crate) fn patience(&self, hub: &Hub) -> Duration {
        self.left_of(hub.handshake_seconds())
    }

    /// What is left of a number of seconds since it was accepted.
    fn left_of(&self, seconds: u32) -> Duration {
        let deadline = self.since + Duration::from_secs(seconds.into());
        deadline.saturating_duration_since(Instant::now())
    }
}

/// Counts one open connection, also among those of its address, for as long as it lives.
pub(crate) struct Permit(
    Arc<Hub>,
    #[expect(dead_code, reason = "it counts while it is there")] Option<AddressPermit>,
    #[expect(dead_code, reason = "it is taken while it is there")] Option<OwnedSemaphorePermit>,
);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open_connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why an address could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The URI is not one that a server can listen on.
    #[error("invalid listener '{uri}' - {why}")]
    Uri {
        /// The URI as it was given, without what may be secret in it.
        uri: String,
        /// What is wrong with it, and what would be right.
        why: AddressError,
    },
    /// Somebody else listens there.
    #[error(
        "cannot listen on '{uri}' - the address is in use; stop what listens there or choose another"
    )]
    InUse {
        /// The URI as it was given.
        uri: String,
    },
    /// Another listener of the same server has the address.
    #[error(
        "cannot listen on '{uri}' - '{other}' of this server has the address already; leave one of them out"
    )]
    Twice {
        /// The URI as it was given.
        uri: String,
        /// The other's URI as it was given.
        other: String,
    },
    /// The address is another machine's.
    #[error(
        "cannot listen on '{uri}' - this machine does not have the address; choose one of its own, or 0.0.0.0 or [::] \
         for all of them"
    )]
    Absent {
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
            io::ErrorKind::AddrNotAvailable => Self::Absent { uri },
            _ => Self::Io { uri, source },
        }
    }
}

/// Binds an address given as a URI.
pub type ListenerFactory =
    Arc<dyn Fn(String) -> BoxFuture<'static, Result<Box<dyn Listener>, ListenError>> + Send + Sync>;
