//! Owns a server's life once it is bound: it runs, and drains at its end.

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use mist_core::{Stats, TokenError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

#[cfg(feature = "cluster")]
use crate::cluster::Cluster;
use crate::hub::Hub;
use crate::listener::acceptor::Acceptor;
use crate::listener::certificate::CertificateError;
use crate::listener::offers::Offers;
use crate::listener::tls::Tls;
use crate::listener::{Address, Listener};
use crate::shutdown::{self, Stages};
use crate::tap::Tap;

/// A bound server: its addresses are taken, and clients can connect, but nobody is served until [`Server::run`].
pub struct Server {
    pub(crate) hub: Arc<Hub>,
    pub(crate) offers: Offers,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) listeners: Vec<Box<dyn Listener>>,
    pub(crate) operator_listeners: Vec<Box<dyn Listener>>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) operator_addresses: Vec<Address>,
    pub(crate) stages: Stages,
    #[cfg(feature = "cluster")]
    pub(crate) cluster: Option<Cluster>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// Connections at once on a listener for operators; further ones wait for these.
const SEATS: usize = 64;

impl Server {
    /// The addresses that were bound, in the order of the listeners. One that is named by a host has all of the host's.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The addresses that were bound for operators.
    #[must_use]
    pub fn operator_addresses(&self) -> &[Address] {
        &self.operator_addresses
    }

    /// The SHA-256 of the certificate that the server has made for itself, if it has, in hexadecimal pairs.
    #[must_use]
    pub fn fingerprint(&self) -> Option<String> {
        self.tls.as_ref()?.fingerprint()
    }

    /// Returns a handle to publish through and to look at the server while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle {
            hub: Arc::clone(&self.hub),
            tls: self.tls.clone(),
            hurried: self.stages.hurried.clone(),
        }
    }

    /// Serves until `shutdown` completes; then takes leave as [`ServerBuilder::drain`](crate::ServerBuilder::drain) says, accepts nothing more, writes
    /// what is queued, says goodbye and returns.
    ///
    /// When it returns, no task of the server is left; a thread may be, idle, as long as there is a [`Handle`]. Writing
    /// what is queued takes at most [`Limits::drain_seconds`](mist_core::Limits).
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self {
            hub,
            tls,
            offers,
            listeners,
            stages,
            operator_listeners,
            #[cfg(feature = "cluster")]
            cluster,
            ..
        } = self;
        let certificate = tls.clone();
        let watch = tokio::spawn(Arc::clone(&hub).watch(move || {
            if let Some(tls) = &certificate {
                tls.remind(SystemTime::now());
            }
        }));
        let following = tokio::spawn(Arc::clone(&hub).follow_store());
        let authenticators = tokio::spawn({
            let hub = Arc::clone(&hub);
            async move { hub.authenticators().run().await }
        });
        let acceptor = Acceptor {
            hub: Arc::clone(&hub),
            listener: u16::MAX,
            tls,
            offers: offers.of_clients(!operator_listeners.is_empty()),
            seats: None,
            stages: stages.clone(),
            #[cfg(feature = "cluster")]
            membership: cluster.as_ref().map(Cluster::membership),
        };
        #[cfg(feature = "cluster")]
        let goodbye = CancellationToken::new();
        #[cfg(feature = "cluster")]
        let member = cluster.map(|cluster| {
            let (hub, goodbye) = (Arc::clone(&hub), goodbye.clone());
            tokio::spawn(cluster.run(hub, goodbye))
        });
        for listener in operator_listeners {
            let acceptor = Acceptor {
                offers: offers.of_operators(),
                seats: Some(Arc::new(Semaphore::new(SEATS))),
                ..acceptor.clone()
            };
            hub.tasks.spawn(listener.serve(acceptor));
        }
        for (number, listener) in (0..).zip(listeners) {
            let acceptor = Acceptor {
                listener: number,
                ..acceptor.clone()
            };
            hub.tasks.spawn(listener.serve(acceptor));
        }
        drop(acceptor);
        shutdown.await;
        shutdown::end(&hub, &stages).await;
        #[cfg(feature = "cluster")]
        if let Some(member) = member {
            goodbye.cancel();
            let _ = member.await;
        }
        for task in [watch, following, authenticators] {
            task.abort();
            let _ = task.await;
        }
        hub.log.tell_all();
    }
}

/// A running server, seen from the program it runs in. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) hub: Arc<Hub>,
    pub(crate) tls: Option<Arc<Tls>>,
    hurried: CancellationToken,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

impl Handle {
    /// Publishes a message; returns how many outboxes took it. The limits for clients do not apply to it: their tokens'
    /// tags, `message-bytes`, and how long and how many its tags may be.
    ///
    /// It may be called from anywhere and never blocks for I/O: from any thread, from a [`CommandHandler`](crate::command::CommandHandler), from within
    /// the stream of a custom [`Listener`] while the server reads or writes it, from a [`tracing`] layer that gets a line
    /// of the server's. Only what it causes must not call it for ever: a layer that publishes what publishing logs, say.
    pub fn publish(&self, tags: &[&str], data: &str) -> usize {
        self.hub.publish(tags, data)
    }

    /// Shows the program every message from now on, whatever its tags, and in order. What it does not take waits for it as
    /// for any client, up to `outbox-messages` and `outbox-bytes`; then messages are dropped, and it is told how many.
    ///
    /// A tap is a session, and counts where sessions are counted: also among those that a receipt counts (`delivered`), so
    /// that publishers can tell that somebody listens.
    #[must_use]
    pub fn tap(&self) -> Tap {
        Tap::open(Arc::clone(&self.hub))
    }

    /// Asks the authenticator again about a token that was changed elsewhere, as by another server that keeps its tokens in
    /// the same store, and takes away what the token grants no more: its sessions lose subscriptions, or the token
    /// itself, as if the change had been made here.
    ///
    /// It returns when the broker knows; subscriptions of many sessions are removed by and by.
    ///
    /// # Errors
    /// [`TokenError`] when the authenticator cannot say. Nothing has changed then, and the same may be tried again.
    pub async fn token_changed(&self, token: &str) -> Result<(), TokenError> {
        self.hub.tell_token(token);
        self.hub.token_changed(token).await
    }

    /// As [`Handle::token_changed`], for all tokens of a subject that sessions go by, or are about to.
    ///
    /// # Errors
    /// [`TokenError`], the first, when the authenticator cannot say of some of them. The others are asked about all the
    /// same.
    pub async fn subject_changed(&self, subject: &str) -> Result<(), TokenError> {
        self.hub.subject_changed(subject).await
    }

    /// Reads the certificate files anew, for connections that are made from now on; those that are open go on.
    ///
    /// Without files there is nothing to do.
    ///
    /// # Errors
    /// [`CertificateError`] when the files cannot be used; the certificate stays as it was.
    pub fn reload_tls(&self) -> Result<(), CertificateError> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.reload())
    }

    /// Cuts short the end of a server that is ending: connections are closed at once, whatever waits for them.
    pub fn hurry(&self) {
        self.hurried.cancel();
    }

    /// Returns how many bytes of memory clients make the server keep, roughly: subscriptions, messages that wait or are not
    /// whole, and the connections themselves.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.hub.held_bytes()
    }

    /// Returns figures of the broker.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.hub.stats()
    }
}
