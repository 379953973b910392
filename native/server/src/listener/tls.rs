//! Owns how connections become encrypted; knows nothing of what is spoken over them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use mist_net::lock::{Mutex, RwLock};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::{self, CertificateError};
use super::validity::{self, Reminder, Validity};
use super::{Acceptor, Guest};
use crate::admission::peer::Peer;
use crate::log_limit::Kind;
use mist_net::address::Site;

/// What all listeners of a server encrypt with.
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
    current: Arc<Current>,
    /// Of the current certificate, unless it says nothing that can be read.
    reminder: Mutex<Option<Reminder>>,
    source: Mutex<Source>,
}

#[derive(Clone)]
enum Source {
    Files { certificate: PathBuf, key: PathBuf },
    SelfSigned { fingerprint: String },
}

fn reminder(certified: &CertifiedKey, provider: &CryptoProvider) -> Option<Reminder> {
    let own = certified.cert.first()?;
    Validity::of(own, provider).map(Reminder::new)
}

/// The certificate that new connections are shown.
struct Current {
    certified: RwLock<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.certified.read()))
    }
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Current")
    }
}

/// The type of record that a client's first one has.
const HANDSHAKE: u8 = 22;

/// How long a client may take to read why it is sent away.
const FAREWELL: Duration = Duration::from_secs(1);

impl Tls {
    /// Reads the certificate, with those that vouch for it, and its key.
    pub(crate) fn from_files(certificate: PathBuf, key: PathBuf) -> Result<Self, CertificateError> {
        let provider = Arc::new(default_provider());
        let certified = certificate::read(&certificate, &key, &provider)?;
        Self::new(provider, certified, Source::Files { certificate, key })
    }

    /// Makes a certificate for some hosts and this machine itself.
    pub(crate) fn self_signed(sites: &[&Site]) -> Result<Self, CertificateError> {
        let provider = Arc::new(default_provider());
        let certified = certificate::make(sites, &provider)?;
        let fingerprint = certificate::fingerprint(&certified);
        Self::new(provider, certified, Source::SelfSigned { fingerprint })
    }

    fn new(
        provider: Arc<CryptoProvider>,
        certified: CertifiedKey,
        source: Source,
    ) -> Result<Self, CertificateError> {
        let reminder = Mutex::new(reminder(&certified, &provider));
        let current = Arc::new(Current {
            certified: RwLock::new(Arc::new(certified)),
        });
        let unavailable = |error: rustls::Error| CertificateError::Unavailable(error.to_string());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unavailable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        // Clients keep what is needed to come back quickly; the server keeps nothing for those who do not.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Ticketer::new().map_err(unavailable)?;
        Ok(Self {
            config: Arc::new(config),
            current,
            reminder,
            source: Mutex::new(source),
        })
    }

    /// Reads the files anew; what is open goes on as it is. When they cannot be used, nothing changes.
    pub(crate) fn reload(&self) -> Result<(), CertificateError> {
        let files = self.files();
        if let Some((certificate, key)) = files {
            self.take_over(&Self::from_files(certificate, key)?);
        }
        Ok(())
    }

    /// Shows another's certificate from now on; what is open goes on as it is.
    pub(crate) fn take_over(&self, other: &Self) {
        *self.source.lock() = other.source.lock().clone();
        *self.reminder.lock() = other.reminder.lock().take();
        let certified = Arc::clone(&other.current.certified.read());
        *self.current.certified.write() = certified;
        self.look_at_names();
        self.remind(SystemTime::now());
    }

    /// The files that the certificate and its key are from.
    fn files(&self) -> Option<(PathBuf, PathBuf)> {
        match &*self.source.lock() {
            Source::Files { certificate, key } => Some((certificate.clone(), key.clone())),
            Source::SelfSigned { .. } => None,
        }
    }

    /// When the current certificate expires.
    pub(super) fn expiry(&self) -> Option<SystemTime> {
        let reminder = self.reminder.lock();
        reminder.as_ref().map(|it| it.validity.not_after)
    }

    /// Says that the certificate has expired or soon will, at most once a day.
    pub(crate) fn remind(&self, now: SystemTime) {
        let words = self.reminder.lock().as_mut().and_then(|it| it.due(now));
        if let (Some(words), Some((certificate, _))) = (words, self.files()) {
            tracing::warn!("the certificate in '{}' {words}", certificate.display());
        }
    }

    /// Says when no client can take the certificate, whatever the name it connects to.
    pub(crate) fn look_at_names(&self) {
        let certified = Arc::clone(&self.current.certified.read());
        let is_nameless = certified.cert.first().is_some_and(validity::is_nameless);
        if let (true, Some((certificate, _))) = (is_nameless, self.files()) {
            tracing::warn!(
                "the certificate in '{}' is for no name, and clients refuse it; make one with the names that they \
                 connect to (subjectAltName)",
                certificate.display()
            );
        }
    }

    /// The SHA-256 of the certificate, if it was made here.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        match &*self.source.lock() {
            Source::Files { .. } => None,
            Source::SelfSigned { fingerprint } => Some(fingerprint.clone()),
        }
    }

    /// Shakes hands on a task of its own, so that nobody waits for it, and then hands the connection to `serve`.
    ///
    /// A client that does not encrypt is told so by the words of `in_plain`.
    pub(super) fn accept(
        &self,
        stream: TcpStream,
        guest: Guest,
        acceptor: &Acceptor,
        in_plain: fn() -> Vec<u8>,
        serve: impl FnOnce(&Acceptor, TlsStream<TcpStream>, Guest) + Send + 'static,
    ) {
        let acceptor = acceptor.clone();
        let tls = TlsAcceptor::from(Arc::clone(&self.config));
        acceptor.hub.tasks.clone().spawn(async move {
            let seconds = acceptor.hub.handshake_seconds();
            let shaken = tokio::select! {
                () = acceptor.stopped() => return,
                shaken = timeout(guest.patience(&acceptor.hub), shake(stream, tls, in_plain)) => shaken,
            };
            let error = match shaken {
                Ok(Ok(Some(stream))) => return serve(&acceptor, stream, guest),
                Ok(Ok(None)) => return,
                Ok(Err(error)) => error,
                Err(_) => io::Error::other(format!(
                    "it is not done after {seconds} seconds (handshake-seconds)"
                )),
            };
            let failed = &acceptor.hub.counters.failed_handshakes;
            failed.fetch_add(1, Ordering::Relaxed);
            let peer = guest.address.map(Peer::from);
            if acceptor.hub.log.admits(Kind::HandshakeFailed, peer) {
                tracing::debug!(peer = peer.map(display), %error, "a TLS handshake failed");
            }
        });
    }
}

/// Encrypts a connection, unless the client leaves without a word, as those do that only look whether the port is open.
async fn shake(
    stream: TcpStream,
    tls: TlsAcceptor,
    in_plain: fn() -> Vec<u8>,
) -> io::Result<Option<TlsStream<TcpStream>>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    if first[0] == HANDSHAKE {
        return tls.accept(stream).await.map(Some);
    }
    // Whoever does not read this gets no more attention.
    let _ = timeout(FAREWELL, turn_away(stream, &in_plain())).await;
    Err(io::Error::other("the client does not speak TLS"))
}

/// Says why, then reads on: closing with input unread would make the system throw the words away.
async fn turn_away(mut stream: TcpStream, words: &[u8]) -> io::Result<()> {
    stream.write_all(words).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(())
}
