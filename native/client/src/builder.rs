//! Owns what a client can be told before it connects, and its start; knows nothing of its work.

use std::fmt;
use std::future::Future;
#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mist_core::client::{Backoff, Client as Machine, Offline, Options, Token};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::shared::Shared;
use super::task::Task;
use super::{Client, ClientError};
use mist_net::address::{Endpoint, without_secrets};
use mist_net::transport::Dialer;
use mist_net::trust::Trust;

type Obtaining = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Where the token of each connection comes from.
#[derive(Clone)]
pub(super) enum TokenSource {
    None,
    Fixed(String),
    Fetched(Arc<dyn Fn() -> Obtaining + Send + Sync>),
}

impl TokenSource {
    pub(super) async fn obtain(&self) -> Result<Option<String>, String> {
        match self {
            Self::None => Ok(None),
            Self::Fixed(token) => Ok(Some(token.clone())),
            Self::Fetched(fetch) => match fetch().await {
                Ok(token) => Ok(Some(token)),
                Err(why) => Err(format!("no token: {why}")),
            },
        }
    }

    pub(super) fn present<'a>(&self, token: &'a str) -> Token<'a> {
        match self {
            Self::Fetched(_) => Token::Fresh(token),
            Self::None | Self::Fixed(_) => Token::Static(token),
        }
    }
}

/// Describes a client before it connects; see [`Client::builder`].
#[must_use]
pub struct ClientBuilder {
    uri: String,
    token: TokenSource,
    options: Options,
    message_buffer: usize,
    send_buffer: usize,
    #[cfg(feature = "tls")]
    authorities: Vec<PathBuf>,
    #[cfg(feature = "tls")]
    accepts_invalid_certs: bool,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("uri", &self.uri)
            .field("config", &self.options)
            .finish_non_exhaustive()
    }
}

/// Says a failed first attempt with the address that was tried.
pub(super) fn failure(endpoint: &Endpoint, reason: &str) -> ClientError {
    ClientError::Connect {
        address: endpoint.to_string(),
        reason: reason.into(),
    }
}

impl ClientBuilder {
    pub(super) fn new(uri: &str) -> Self {
        Self {
            uri: uri.into(),
            token: TokenSource::None,
            options: Options::default(),
            message_buffer: 4096,
            send_buffer: 256 << 10,
            #[cfg(feature = "tls")]
            authorities: Vec::new(),
            #[cfg(feature = "tls")]
            accepts_invalid_certs: false,
        }
    }

    /// Presents this token at every connection. Once a server refuses it, the client closes.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = TokenSource::Fixed(token.into());
        self
    }

    /// Obtains a token for every connection, for tokens that expire. Once a server refuses one, the next attempt
    /// obtains another; an error is a failed attempt.
    pub fn token_from<F, R>(mut self, fetch: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, String>> + Send + 'static,
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
    pub fn heartbeat(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.options.heartbeat = interval.into();
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

    /// Sets how many delivered messages wait for the application before the socket is read no further; 4,096 without
    /// this call. It is read no further with 32 MiB of them either.
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
    /// [`ClientError::InvalidUri`], [`ClientError::Certificate`], [`ClientError::Connect`],
    /// [`ClientError::AuthRefused`].
    pub async fn connect(self) -> Result<Client, ClientError> {
        let dialer = self.dialer().await?;
        // Without randomness all that is lost is that clients come back at different times.
        let seed = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
        let flush = self.options.request_timeout;
        let start = Instant::now();
        let machine = Machine::new(self.options, seed, Duration::ZERO);
        let shared = Shared::new(machine, start, self.message_buffer, self.send_buffer);
        let client = Client::new(shared);
        let (first, outcome) = oneshot::channel();
        let task = Task {
            shared: client.shared(),
            dialer,
            token: self.token,
            flush,
            first: Some(first),
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

    /// How connections to the server are opened.
    async fn dialer(&self) -> Result<Dialer, ClientError> {
        let invalid = |why| ClientError::InvalidUri {
            uri: without_secrets(&self.uri),
            why,
        };
        let endpoint = Endpoint::to_connect(&self.uri).map_err(invalid)?;
        #[cfg(feature = "tls")]
        let trust = if endpoint.scheme().is_encrypted() {
            Trust::new(self.authorities.clone(), self.accepts_invalid_certs)
                .await
                .map_err(ClientError::Certificate)?
        } else {
            Trust::default()
        };
        #[cfg(not(feature = "tls"))]
        let trust = Trust::default();
        Ok(Dialer {
            endpoint,
            trust,
            message_bytes: self.options.message_bytes,
        })
    }
}
