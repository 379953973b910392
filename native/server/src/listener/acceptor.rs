//! Owns what happens to a new connection: it is counted, admitted or refused, and served.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::field::display;

use super::offers::Offers;
use super::tls::Tls;
use crate::admission::address_limit::AddressPermit;
use crate::admission::peer::Peer;
use crate::admission::rates::Exceeded;
#[cfg(feature = "cluster")]
use crate::cluster::Membership;
use crate::connection::Connection;
use crate::hub::{Arrival, Hub};
use crate::log_limit::Kind;
use crate::shutdown::Stages;

/// Takes the connections of a listener.
#[derive(Clone)]
pub struct Acceptor {
    pub(crate) hub: Arc<Hub>,
    /// The listener's number.
    pub(crate) listener: u16,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) offers: Offers,
    pub(crate) stages: Stages,
    /// On a listener for operators, the connections that are left; no other limit on connections applies there.
    pub(crate) seats: Option<Arc<Semaphore>>,
    #[cfg(feature = "cluster")]
    pub(crate) membership: Option<Arc<Membership>>,
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

    /// Serves a connection like [`Acceptor::accept`], and counts it towards the limits of its address.
    pub fn accept_from<S>(&self, stream: S, address: IpAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve_lines(self.greet(Some(address)), stream);
    }

    /// Serves a guest, or tells it why it was not admitted.
    pub(crate) fn serve_lines<S>(&self, guest: Guest, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let arrival = Arrival {
            peer: guest.address.map(Peer::from),
            took: guest.since.elapsed(),
            is_request: false,
            is_link: false,
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

    /// Receives a connection: counts it, unless there are too many, and notes its address and the time.
    pub(crate) fn greet(&self, address: Option<IpAddr>) -> Guest {
        self.receive(address, address)
    }

    /// Receives a connection of a trusted proxy. It does not count for the proxy's address: each request on it may be
    /// from another client.
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
            // The listener has waited until one was free.
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

    /// Counts a connection for its address, unless that has too many, or has made too many in the last second.
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

    /// Tells the client why, and closes the connection.
    fn refuse<S>(&self, mut stream: S, mut text: Vec<u8>)
    where
        S: AsyncWrite + Unpin + Send + 'static,
    {
        text.push(b'\n');
        self.hub.tasks.spawn(async move {
            // Long enough for the system to buffer a line; a client that does not read is not waited for.
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

/// Why a connection is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// What the client is told.
    pub(crate) message: Vec<u8>,
    /// The rate, if there were too many connections in the last second.
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
    /// Or why it is refused.
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

    /// What is left of a number of seconds, counted from when it was accepted.
    fn left_of(&self, seconds: u32) -> Duration {
        let deadline = self.since + Duration::from_secs(seconds.into());
        deadline.saturating_duration_since(Instant::now())
    }
}

/// Counts one open connection for as long as it lives, in total and for its address.
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
