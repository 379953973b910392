//! Owns what a client can be told before it connects, and its start; knows nothing of its work.

use std::fmt;
use std::future::Future;
#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mist_core::client::{Backoff, Client as Machine, Offline, Options};
use tokio::sync::oneshot;
use tokio::time::Instant;

use mist_net::address::{Endpoint, without_secrets};
use mist_net::connect::Connector;
use mist_net::trust::Trust;
#[cfg(feature = "tls")]
use mist_net::trust::{TrustError, Trusted};

use crate::client::Client;
use crate::error::{ClientError, TokenSourceError};
use crate::servers::Servers;
use crate::shared::{Limits, Shared};
use crate::task::Task;
use crate::token::TokenSource;

/// Describes a client before it connects; see [`Client::builder`].
#[must_use]
pub struct ClientBuilder {
    uris: Vec<String>,
    token: TokenSource,
    options: Options,
    message_buffer: usize,
    send_buffer: usize,
    #[cfg(feature = "tls")]
    authorities: Vec<PathBuf>,
    #[cfg(feature = "tls")]
    fingerprint: Option<String>,
    #[cfg(feature = "tls")]
    accepts_invalid_certs: bool,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uris: Vec<_> = self.uris.iter().map(|uri| without_secrets(uri)).collect();
        f.debug_struct("ClientBuilder")
            .field("uris", &uris)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Begins to describe a client.
    pub fn builder(uri: &str) -> ClientBuilder {
        ClientBuilder::new(uri)
    }
}

impl ClientBuilder {
    pub(crate) fn new(uri: &str) -> Self {
        Self {
            uris: vec![uri.into()],
            token: TokenSource::None,
            options: Options::default(),
            message_buffer: 65_536,
            send_buffer: 256 << 10,
            #[cfg(feature = "tls")]
            authorities: Vec::new(),
            #[cfg(feature = "tls")]
            fingerprint: None,
            #[cfg(feature = "tls")]
            accepts_invalid_certs: false,
        }
    }

    /// Names one more server that serves the same. The first connection is made to the first that can be connected to, in
    /// the order they are named; later ones begin with any of them, so that clients spread. Each has its part of the time
    /// that an attempt may take.
    pub fn server(mut self, uri: &str) -> Self {
        self.uris.push(uri.into());
        self
    }

    /// Presents this token at every connection. Once a server refuses it, or it ends, the client closes.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = TokenSource::Fixed(token.into());
        self
    }

    /// Obtains a token for every connection, and another before that one ends: the connection goes on with it, and no message
    /// is missed. Should it come too late, the subscriptions are restored with it, and what was published meanwhile is
    /// missed, which is an [`Event::Open`](crate::Event::Open) that says `resumed`.
    ///
    /// What goes wrong is an [`Event::TokenFailed`](crate::Event::TokenFailed), and `fetch` is called again after a second
    /// at least, unless it says [`TokenSourceError::Unauthorized`]: then the client closes. Any other error converts by `?`.
    pub fn token_from<F, R>(mut self, fetch: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, TokenSourceError>> + Send + 'static,
    {
        self.token = TokenSource::Fetched(Arc::new(move || Box::pin(fetch())));
        self
    }

    /// Sets how a lost connection is made anew; `None` closes the client instead. Without this call it waits a random
    /// time up to 0.5 s, then 1 s, 2 s, … and 20 s at most.
    pub fn reconnect(mut self, policy: impl Into<Option<Backoff>>) -> Self {
        self.options.reconnect = policy.into();
        self
    }

    /// Sets how long to wait for the answer to a request; 10 s without this call.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.options.request_timeout = timeout;
        self
    }

    /// Sets how long an attempt to connect may take; 10 s without this call.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// Sets after how long without a message the server is asked for a sign of life; 25 s without this call.
    ///
    /// The answer is awaited for 10 s, or as long as this if that is less; then the connection counts as lost.
    /// `None` and zero never ask.
    pub fn heartbeat(mut self, interval: impl Into<Option<Duration>>) -> Self {
        let interval: Option<Duration> = interval.into();
        self.options.heartbeat = interval.filter(|interval| !interval.is_zero());
        if let Some(interval) = self.options.heartbeat {
            self.options.heartbeat_timeout = self.options.heartbeat_timeout.min(interval);
        }
        self
    }

    /// Sets what happens to a publish while there is no connection; it is refused without this call.
    pub fn offline(mut self, policy: Offline) -> Self {
        self.options.offline = policy;
        self
    }

    /// Sets how many messages wait in each stream for the application to read them; 65,536 without this call. There is
    /// no room with 32 MiB of them either. Those that do not fit are dropped for that stream, which is an
    /// [`Event::Lagged`](crate::Event::Lagged).
    pub fn message_buffer(mut self, messages: usize) -> Self {
        self.message_buffer = messages;
        self
    }

    /// Sets how many bytes wait to be written before a publish waits; 256 KiB without this call.
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = bytes;
        self
    }

    /// Sets the size of the largest message that is accepted from the server; 64 MiB without this call.
    pub fn message_bytes(mut self, bytes: usize) -> Self {
        self.options.message_bytes = bytes;
        self
    }

    /// Trusts the certificates in a PEM file, besides those that the system trusts: those that vouch for a server's,
    /// or the server's own. Can be called for several files.
    #[cfg(feature = "tls")]
    pub fn ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.authorities.push(file.into());
        self
    }

    /// Trusts the servers that have this certificate, by its SHA-256, and no others: 64 hexadecimal digits, with or without
    /// colons, as a server prints them that has made its own certificate. Whom the certificate names and who signed it does
    /// not matter then; once it has expired it is refused. Files and
    /// [`danger_accept_invalid_certs`](Self::danger_accept_invalid_certs) have no effect besides. An address without
    /// encryption is refused.
    #[cfg(feature = "tls")]
    pub fn fingerprint(mut self, sha256: &str) -> Self {
        self.fingerprint = Some(sha256.into());
        self
    }

    /// Takes whatever certificate the server shows: what is sent is encrypted, but anybody in between can pose as the
    /// server, read everything and change it.
    #[cfg(feature = "tls")]
    pub fn danger_accept_invalid_certs(mut self, accept: bool) -> Self {
        self.accepts_invalid_certs = accept;
        self
    }

    /// Connects. Only the first attempt is made here: whether it is worth trying again is for the caller to say.
    ///
    /// # Errors
    /// [`ClientError::InvalidUri`], [`ClientError::Connect`], [`ClientError::NoToken`], [`ClientError::AuthRefused`]; with
    /// the feature `tls` also `ClientError::Trust`.
    pub async fn connect(self) -> Result<Client, ClientError> {
        let servers = Servers {
            all: self.connectors().await?,
            connect_timeout: self.options.connect_timeout,
            is_again: false,
        };
        // Without randomness all that is lost is that clients come back at different times.
        let seed = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
        let limits = Limits {
            messages: self.message_buffer,
            unsent_bytes: self.send_buffer.max(1),
            request_timeout: self.options.request_timeout,
        };
        let start = Instant::now();
        let machine = Machine::new(self.options, seed, Duration::ZERO);
        let shared = Arc::new(Shared::new(machine, start, limits));
        let client = Client::new(Arc::clone(&shared));
        let (first, outcome) = oneshot::channel();
        let task = Task {
            shared,
            servers,
            token: self.token,
            first: Some(first),
            cause: None,
        };
        tokio::spawn(task.run());
        match outcome.await {
            Ok(Ok(())) => Ok(client),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ClientError::Closed {
                reason: "its task is gone".into(),
            }),
        }
    }

    #[cfg(feature = "tls")]
    fn trusted(&self) -> Result<Trusted, TrustError> {
        Ok(match &self.fingerprint {
            Some(text) => {
                let wrong = |why| TrustError::Fingerprint(text.clone(), why);
                Trusted::Certificate(text.parse().map_err(wrong)?)
            }
            None if self.accepts_invalid_certs => Trusted::Anybody,
            None => Trusted::Authorities(self.authorities.clone()),
        })
    }

    /// How connections to the servers are opened.
    async fn connectors(&self) -> Result<Vec<Connector>, ClientError> {
        let read = |uri: &String| {
            Endpoint::to_connect(uri).map_err(|source| ClientError::InvalidUri {
                uri: without_secrets(uri),
                source,
            })
        };
        let endpoints = self.uris.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        #[cfg(feature = "tls")]
        let trust = match self.fingerprint.as_deref() {
            Some(_) if !endpoints.iter().all(|it| it.scheme().is_encrypted()) => {
                return Err(TrustError::NothingEncrypted.into());
            }
            _ if endpoints.iter().any(|it| it.scheme().is_encrypted()) => {
                Trust::new(self.trusted()?).await?
            }
            _ => Trust::default(),
        };
        #[cfg(not(feature = "tls"))]
        let trust = Trust::default();
        let connector = |endpoint| Connector {
            endpoint,
            trust: trust.clone(),
            message_bytes: self.options.message_bytes,
        };
        Ok(endpoints.into_iter().map(connector).collect())
    }
}
