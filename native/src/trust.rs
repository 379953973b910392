//! Owns whom this side trusts when it connects: for the client, and for the store that is a database. Knows nothing of
//! what is said then.

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

/// What of a server's certificate is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// Only that the server has its key: eavesdroppers are kept out, impostors are not.
    Nothing,
    /// Who has signed it.
    Authority,
    /// Who has signed it, and for which host.
    AuthorityAndName,
}

/// What the system trusts.
pub(crate) fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Trusts `roots`, and the certificates that were `named`, as far as they are `checked`.
///
/// # Errors
/// In words, when a named certificate is broken, or nobody is trusted.
pub(crate) fn client_config(
    checked: Checked,
    mut roots: RootCertStore,
    named: Vec<CertificateDer<'static>>,
) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(default_provider());
    for certificate in &named {
        roots
            .add(certificate.clone())
            .map_err(|error| format!("a certificate to trust is broken - {error}"))?;
    }
    let rules = match checked {
        Checked::Nothing => None,
        _ if roots.is_empty() => return Err("this system trusts no certificates".into()),
        _ => Some(
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| error.to_string())?,
        ),
    };
    let verifier = Arc::new(Verifier {
        checked,
        rules,
        named,
        provider: Arc::clone(&provider),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS is not available - {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Verifier {
    checked: Checked,
    rules: Option<Arc<WebPkiServerVerifier>>,
    named: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(rules) = &self.rules else {
            return Ok(ServerCertVerified::assertion());
        };
        let needs_name = self.checked == Checked::AuthorityAndName;
        match rules.verify_server_cert(own, between, name, ocsp, now) {
            // The name is looked at last, so all else is well.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !needs_name => Ok(ServerCertVerified::assertion()),
            // A certificate that may sign others is not taken for a server's own by the rules, but that is what
            // `openssl req -x509` and PostgreSQL's manual make. One that was named to the byte is meant; that its time
            // is over comes to light before this.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.named.iter().any(|named| named == own) =>
            {
                if needs_name {
                    verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
                }
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
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, own, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, own, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
