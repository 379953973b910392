//! Owns which servers a client trusts, and how it says that it does not; knows nothing of messages.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certificate_error;
use crate::fingerprint::{AnotherCertificate, Fingerprint, OneCertificate};
use crate::pem::{PemError, read_certificates};
use crate::stream::{Duplex, plain};

/// Why the trusted certificates cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A file that was named has no certificates.
    #[error(transparent)]
    File(Arc<PemError>),
    /// A certificate in a file that was named cannot be read.
    #[error("{}", certificate_error::damaged(.0))]
    Damaged(PathBuf),
    /// The system trusts nobody, and nobody was named.
    #[error("this system trusts no certificates: name those to trust")]
    Nobody,
    /// A fingerprint is none.
    #[error("invalid fingerprint '{0}' - {1}")]
    Fingerprint(String, &'static str),
    /// A server is to be trusted by its certificate, and shows none.
    #[error(
        "a fingerprint is of use with tls://, https:// and wss:// only: without encryption nobody shows a certificate"
    )]
    NothingEncrypted,
    /// TLS cannot be used.
    #[error("TLS is not available - {0}")]
    Unavailable(String),
}

/// Whom a client is to trust.
#[derive(Clone, Debug)]
pub enum Trusted {
    /// The servers for which the system's authorities vouch, or the certificates in these files.
    Authorities(Vec<PathBuf>),
    /// The server with this certificate.
    Certificate(Fingerprint),
    /// Whoever answers.
    Anybody,
}

impl Default for Trusted {
    fn default() -> Self {
        Self::Authorities(Vec::new())
    }
}

/// Why there is no encrypted connection: mostly, because the server is not trusted.
#[derive(Clone, Debug)]
pub struct TlsError {
    host: String,
    error: Arc<io::Error>,
}

impl TlsError {
    fn new(host: &str, error: io::Error) -> Self {
        Self {
            host: host.to_owned(),
            error: Arc::new(error),
        }
    }

    fn inner(&self) -> Option<&Error> {
        self.error.get_ref()?.downcast_ref()
    }

    /// Says what is wrong with the server's certificate, if that is why; `setting` is how others are trusted.
    #[must_use]
    pub fn untrusted(&self, setting: Option<&str>) -> Option<String> {
        let Some(Error::InvalidCertificate(why)) = self.inner() else {
            return None;
        };
        let what = certificate_error::words(why, &self.host, setting);
        Some(format!("the server's certificate {what}"))
    }

    /// Whether the server shows another certificate than the only one that is trusted.
    #[must_use]
    pub fn is_of_another(&self) -> bool {
        let Some(Error::InvalidCertificate(CertificateError::Other(why))) = self.inner() else {
            return false;
        };
        why.0.is::<AnotherCertificate>()
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.inner() {
            Some(Error::InvalidCertificate(_)) => {
                f.write_str(&self.untrusted(None).unwrap_or_default())
            }
            Some(Error::InvalidMessage(_)) => {
                f.write_str("the server does not speak TLS there; try tcp:// or ws://")
            }
            Some(Error::AlertReceived(alert)) => write!(
                f,
                "the server refuses to speak TLS with this program ({alert:?})"
            ),
            Some(Error::PeerIncompatible(_)) => {
                f.write_str("the server speaks no version or no cipher of TLS that is safe")
            }
            Some(error) => write!(f, "no TLS with the server: {error}"),
            None if is_end(self.error.kind()) => {
                f.write_str("the server closed the connection at once; does it speak TLS there?")
            }
            None => f.write_str(&plain(&self.error)),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.error)
    }
}

/// What is needed to encrypt a connection; nothing for a client that does not.
#[derive(Clone, Default)]
pub struct Trust(Option<Arc<ClientConfig>>);

impl Trust {
    /// Reads what has to be read to trust those.
    ///
    /// # Errors
    /// What is wrong with which file, or with this system.
    pub async fn new(trusted: Trusted) -> Result<Self, TrustError> {
        // The system has its certificates in files, too.
        tokio::task::spawn_blocking(move || Self::read(&trusted))
            .await
            .unwrap_or_else(|error| Err(TrustError::Unavailable(error.to_string())))
    }

    fn read(trusted: &Trusted) -> Result<Self, TrustError> {
        let unavailable = |error: Error| TrustError::Unavailable(error.to_string());
        let provider = Arc::new(default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match trusted {
            Trusted::Authorities(files) => Arc::new(Known::read(files, Arc::clone(&provider))?),
            Trusted::Certificate(fingerprint) => Arc::new(OneCertificate {
                fingerprint: *fingerprint,
                provider: Arc::clone(&provider),
            }),
            Trusted::Anybody => Arc::new(Anybody(Arc::clone(&provider))),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unavailable)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self(Some(Arc::new(config))))
    }

    /// Shakes hands with the server that is called `host`.
    ///
    /// # Errors
    /// Most often, that the server is not trusted.
    pub async fn encrypt(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> Result<Box<dyn Duplex>, TlsError> {
        let failed = |error| TlsError::new(host, error);
        let config = self.0.clone();
        let config = config.ok_or_else(|| failed(io::Error::other("TLS was not asked for")))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            let text = format!("'{host}' is not a name that a certificate can have");
            failed(io::Error::other(text))
        })?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        Ok(Box::new(stream.map_err(failed)?))
    }
}

fn is_end(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// Trusts the system's authorities, and the certificates that were named.
#[derive(Debug)]
struct Known {
    rules: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl Known {
    fn read(files: &[PathBuf], provider: Arc<CryptoProvider>) -> Result<Self, TrustError> {
        let mut named = Vec::new();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for file in files {
            for certificate in
                read_certificates(file).map_err(|error| TrustError::File(Arc::new(error)))?
            {
                roots
                    .add(certificate.clone())
                    .map_err(|_| TrustError::Damaged(file.clone()))?;
                named.push(certificate);
            }
        }
        let rules = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_| TrustError::Nobody)?;
        Ok(Self { rules, named })
    }
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self
            .rules
            .verify_server_cert(own, intermediates, name, ocsp, now);
        match verified {
            // A certificate that may sign others is not taken for a server's own by the rules, but that is what
            // `openssl req -x509` makes. One that was named to the byte is meant.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.named.iter().any(|named| named == own) =>
            {
                verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.rules.verify_tls12_signature(message, own, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.rules.verify_tls13_signature(message, own, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.rules.supported_verify_schemes()
    }
}

/// Trusts any server that has the key of its certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, own, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, own, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
