//! Owns which servers a client trusts, and how it says that it does not; knows nothing of messages.

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
use tokio_rustls::client::TlsStream;

use super::ClientError;
use super::transport::plain;
use crate::pem::read_certificates;

/// What is needed to encrypt a connection; nothing for a client that does not.
#[derive(Clone, Default)]
pub(super) struct Trust(Option<Arc<ClientConfig>>);

impl Trust {
    /// Trusts what the system trusts and the certificates in these files, or anybody.
    pub(super) async fn new(files: Vec<PathBuf>, is_anybody: bool) -> Result<Self, ClientError> {
        // The system has its certificates in files, too.
        tokio::task::spawn_blocking(move || Self::read(&files, is_anybody))
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(ClientError::Certificate)
    }

    fn read(files: &[PathBuf], is_anybody: bool) -> Result<Self, String> {
        let unavailable = |error: Error| format!("TLS is not available - {error}");
        let provider = Arc::new(default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = if is_anybody {
            Arc::new(Anybody(Arc::clone(&provider)))
        } else {
            Arc::new(Known::read(files, Arc::clone(&provider))?)
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
    pub(super) async fn encrypt(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> Result<TlsStream<TcpStream>, String> {
        let Some(config) = &self.0 else {
            return Err("TLS was not asked for".into());
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("'{host}' is not a name that a certificate can have"))?;
        TlsConnector::from(Arc::clone(config))
            .connect(name, stream)
            .await
            .map_err(|error| words(&error, host))
    }
}

/// Says why there is no encrypted connection, and what to do.
fn words(error: &io::Error, host: &str) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let why = match inner {
        Some(Error::InvalidCertificate(why)) => why,
        Some(Error::InvalidMessage(_)) => {
            return "the server does not speak TLS there; try tcp:// or ws://".into();
        }
        Some(Error::AlertReceived(alert)) => {
            return format!("the server refuses to speak TLS with this program ({alert:?})");
        }
        Some(Error::PeerIncompatible(_)) => {
            return "the server speaks no version or no cipher of TLS that is safe".into();
        }
        Some(error) => return format!("no TLS with the server: {error}"),
        None if is_end(error.kind()) => {
            return "the server closed the connection at once; does it speak TLS there?".into();
        }
        None => return plain(error),
    };
    let what = match why {
        // The latter when somebody else of the same name is trusted.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "is signed by nobody that is trusted here; trust its issuer with --ca FILE".into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has expired; renew it".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; is the clock right?".into()
        }
        CertificateError::NotValidForName => {
            format!("is not for '{host}'; connect to a name that it is for")
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            format!("is not for '{host}', nor for any other name; the server needs another")
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            let names = names.join(", ");
            format!("is not for '{host}'; connect to a name that it is for: {names}")
        }
        CertificateError::BadEncoding => "is damaged; the server needs another".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not made for servers; the server needs another".into()
        }
        CertificateError::UnhandledCriticalExtension
        | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "uses what is not supported here; the server needs another".into()
        }
        // See `Known`. The library has no words for these, only names of its own.
        CertificateError::Other(_) => {
            "is signed by nobody that is trusted here, or not made as a server's should be; trust this very \
             certificate with --ca FILE"
                .into()
        }
        _ => "cannot be accepted; the server needs another".into(),
    };
    format!("the server's certificate {what}, or skip the check with --insecure")
}

fn is_end(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// Takes a name out of what the library calls it: `DnsName("localhost")`, `IpAddress(127.0.0.1)`.
fn bare(name: &str) -> &str {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(name, |inner| inner.trim_matches('"'))
}

/// Those whom the system vouches for, or a certificate that was named.
#[derive(Debug)]
struct Known {
    rules: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl Known {
    fn read(files: &[PathBuf], provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let mut named = Vec::new();
        for file in files {
            named.extend(read_certificates(file).map_err(|error| error.to_string())?);
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for certificate in &named {
            roots
                .add(certificate.clone())
                .map_err(|error| format!("a certificate given with --ca is broken - {error}"))?;
        }
        let rules = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_| {
                "this system trusts no certificates: name some with --ca FILE, or skip the check with --insecure"
            })?;
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

/// Anybody who has the key of the certificate that he shows.
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
