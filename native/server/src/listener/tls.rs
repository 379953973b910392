//! Owns the TLS settings of a server and its current certificate; knows nothing of connections.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use mist_net::lock::{Mutex, RwLock};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::{self, CertificateError};
use super::validity::{self, Reminder, Validity};
use mist_net::address::Site;

/// The TLS settings that all listeners of a server share.
pub(crate) struct Tls {
    pub(super) config: Arc<ServerConfig>,
    current: Arc<Current>,
    /// For the current certificate, if its dates can be read.
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

/// The certificate for new connections.
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

impl Tls {
    /// Reads the certificate, with those of its issuers, and its key.
    pub(crate) fn from_files(certificate: PathBuf, key: PathBuf) -> Result<Self, CertificateError> {
        let provider = Arc::new(default_provider());
        let certified = certificate::read(&certificate, &key, &provider)?;
        Self::new(provider, certified, Source::Files { certificate, key })
    }

    /// Makes a self-signed certificate for some hosts and this machine.
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
        // Clients keep what they need to resume a session; the server keeps nothing for them.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Ticketer::new().map_err(unavailable)?;
        Ok(Self {
            config: Arc::new(config),
            current,
            reminder,
            source: Mutex::new(source),
        })
    }

    /// Reads the files again, for new connections. If they cannot be used, nothing changes.
    pub(crate) fn reload(&self) -> Result<(), CertificateError> {
        let files = self.files();
        if let Some((certificate, key)) = files {
            self.take_over(&Self::from_files(certificate, key)?);
        }
        Ok(())
    }

    /// Uses another's certificate for new connections.
    pub(crate) fn take_over(&self, other: &Self) {
        *self.source.lock() = other.source.lock().clone();
        *self.reminder.lock() = other.reminder.lock().take();
        let certified = Arc::clone(&other.current.certified.read());
        *self.current.certified.write() = certified;
        self.look_at_names();
        self.remind(SystemTime::now());
    }

    /// The files of the certificate and its key.
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

    /// Logs that the certificate has expired or soon will, at most once a day.
    pub(crate) fn remind(&self, now: SystemTime) {
        let words = self.reminder.lock().as_mut().and_then(|it| it.due(now));
        if let (Some(words), Some((certificate, _))) = (words, self.files()) {
            tracing::warn!("the certificate in '{}' {words}", certificate.display());
        }
    }

    /// Logs it if the certificate is for no name at all, so that no client can accept it.
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

    /// The SHA-256 of the certificate, if it is self-signed.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        match &*self.source.lock() {
            Source::Files { .. } => None,
            Source::SelfSigned { fingerprint } => Some(fingerprint.clone()),
        }
    }
}
