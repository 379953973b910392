//! Owns a server's life once it is bound: running, and shutting down.

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use mist_core::{Stats, TokenError, TokenName};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::sha256_of;
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

/// A bound server: clients can connect to its addresses, but are not served before [`Server::run`].
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

/// Connections at the same time on a listener for operators; further ones wait.
const SEATS: usize = 64;

impl Server {
    /// The addresses that were bound, in the order of the listeners. A listener with a host name has all of the host's.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The addresses that were bound for operators.
    #[must_use]
    pub fn operator_addresses(&self) -> &[Address] {
        &self.operator_addresses
    }

    /// The SHA-256 of the server's self-signed certificate, if it has one, in hexadecimal pairs.
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

    /// Serves until `shutdown` completes. Then it drains as [`ServerBuilder::drain`](crate::ServerBuilder::drain) says,
    /// stops accepting, sends what is queued, closes its connections and returns.
    ///
    /// No task of the server is left then; an idle thread may be, as long as there is a [`Handle`]. Sending what is
    /// queued takes at most [`Limits::drain_seconds`](mist_core::Limits).
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

/// A running server, as the program around it sees it. Cheap to clone.
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
    /// Publishes a message; returns how many outboxes took it. What limits clients does not apply: the tags of a token,
    /// `message-bytes`, and the number and length of tags.
    ///
    /// It never blocks on I/O and may be called from anywhere: from any thread, from a
    /// [`CommandHandler`](crate::command::CommandHandler), from within the stream of a custom [`Listener`] while the
    /// server reads or writes it, or from a [`tracing`] layer that handles a line of the server. Only avoid endless
    /// recursion, as in a layer that publishes what publishing logs.
    pub fn publish(&self, tags: &[&str], data: &str) -> usize {
        self.hub.publish(tags, data)
    }

    /// Opens a tap, which receives every message from now on, whatever its tags, in order. Messages that are not taken
    /// wait as for any client, up to `outbox-messages` and `outbox-bytes`; beyond that they are dropped, and the tap
    /// says how many.
    ///
    /// A tap is a session and is counted like one, also in receipts (`delivered`): so a publisher can see that
    /// its message has a receiver.
    #[must_use]
    pub fn tap(&self) -> Tap {
        Tap::open(Arc::clone(&self.hub))
    }

    /// Asks the authenticator again about a token that was changed elsewhere, for example by another server with the
    /// same store, and revokes what it no longer grants: its sessions lose subscriptions, or the token itself, as if
    /// the change had been made here.
    ///
    /// It returns when the broker knows of the change; if it concerns many sessions, their subscriptions are removed
    /// afterwards.
    ///
    /// # Errors
    /// [`TokenError`] if the authenticator has no answer. Then nothing has changed, and the call can be repeated.
    pub async fn token_changed(&self, token: &str) -> Result<(), TokenError> {
        let name = TokenName::Token(token.to_owned());
        self.hub.tell_token(sha256_of(&name));
        self.hub.token_changed(token).await
    }

    /// As [`Handle::token_changed`], for all tokens of a subject that sessions use or are about to use.
    ///
    /// # Errors
    /// The first [`TokenError`], if the authenticator has no answer for some of them. It is asked about the others all
    /// the same.
    pub async fn subject_changed(&self, subject: &str) -> Result<(), TokenError> {
        self.hub.subject_changed(subject).await
    }

    /// Reads the certificate files again, for new connections; open ones are not affected. Without files it does
    /// nothing.
    ///
    /// # Errors
    /// [`CertificateError`] if the files cannot be used; the certificate then stays as it was.
    pub fn reload_tls(&self) -> Result<(), CertificateError> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.reload())
    }

    /// Cuts a shutdown short: connections are closed at once, whatever is queued for them.
    pub fn hurry(&self) {
        self.hurried.cancel();
    }

    /// Returns roughly how many bytes the server holds for its clients: subscriptions, messages that are queued or
    /// incomplete, and the connections themselves.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.hub.held_bytes()
    }

    /// Returns the broker's figures.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.hub.stats()
    }
}
