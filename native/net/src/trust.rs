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

use crate::certificate_error;
use crate::pem::read_certificates;
use crate::transport::{Io, plain};

/// What is needed to encrypt a connection; nothing for a client that does not.
#[derive(Clone, Default)]
pub struct Trust(Option<Arc<ClientConfig>>);

impl Trust {
    /// Trusts what the system trusts and the certificates in these files, or anybody.
    ///
    /// # Errors
    /// What is wrong with which file, or with this system.
    pub async fn new(files: Vec<PathBuf>, is_anybody: bool) -> Result<Self, String> {
        // The system has its certificates in files, too.
        tokio::task::spawn_blocking(move || Self::read(&files, is_anybody))
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
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
    pub(crate) async fn encrypt(&self, stream: TcpStream, host: &str) -> Result<Io, String> {
        let Some(config) = &self.0 else {
            return Err("TLS was not asked for".into());
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("'{host}' is not a name that a certificate can have"))?;
        let stream = TlsConnector::from(Arc::clone(config))
            .connect(name, stream)
            .await
            .map_err(|error| words(&error, host))?;
        Ok(Box::new(stream))
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
    let what = certificate_error::words(why, host, "--ca FILE");
    format!("the server's certificate {what}, or skip the check with --insecure")
}

fn is_end(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionReset | UnexpectedEof)
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
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for file in files {
            for certificate in read_certificates(file).map_err(|error| error.to_string())? {
                roots
                    .add(certificate.clone())
                    .map_err(|_| certificate_error::damaged(file))?;
                named.push(certificate);
            }
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
