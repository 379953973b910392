//! Owns the trust in one certificate, which is known by its SHA-256; knows nothing of authorities.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

/// The SHA-256 of a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

/// Reads 64 hexadecimal digits, with or without colons between pairs.
impl FromStr for Fingerprint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str = "write the SHA-256 of the certificate: 64 hexadecimal digits, with or without colons \
                              between pairs";
        let pairs: Vec<_> = match text.trim() {
            text if text.contains(':') => text.split(':').map(str::as_bytes).collect(),
            text => text.as_bytes().chunks(2).collect(),
        };
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() {
            return Err(WANTED);
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
            let value = match (digit(0), digit(1), pair.len()) {
                (Some(high), Some(low), 2) => high << 4 | low,
                _ => return Err(WANTED),
            };
            *byte = u8::try_from(value).map_err(|_| WANTED)?;
        }
        Ok(Self(bytes))
    }
}

/// As servers and `openssl x509 -fingerprint` write it.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for byte in self.0 {
            write!(text, ":{byte:02X}")?;
        }
        f.write_str(text.trim_start_matches(':'))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a certificate is not the one that is trusted.
#[derive(Debug, thiserror::Error)]
#[error("is not the one that is trusted: its SHA-256 is {0}")]
pub(crate) struct AnotherCertificate(Fingerprint);

/// Trusts the server that has the key of one certificate, until that expires. Whom it names, and who signed it, does not
/// matter: it was chosen to the byte.
#[derive(Debug)]
pub(crate) struct OneCertificate {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OneCertificate {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(own);
        if shown != self.fingerprint {
            let why = OtherError(Arc::new(AnotherCertificate(shown)));
            return Err(CertificateError::Other(why).into());
        }
        let mut roots = RootCertStore::empty();
        roots.add(own.clone().into_owned())?;
        let rules = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&self.provider),
        );
        let rules = rules
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        // Its dates are looked at before all that does not matter.
        match rules.verify_server_cert(own, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                why @ (CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
                | CertificateError::BadEncoding),
            )) => Err(why.into()),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, own, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, own, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_people_write_it() {
        let text = ["0A"; 32].join(":");
        let read: Fingerprint = text.parse().expect("with colons");
        assert_eq!(read.to_string(), text);
        for other in ["0a".repeat(32), format!(" {}\n", text.to_lowercase())] {
            assert_eq!(other.parse(), Ok(read), "{other}");
        }
        let short = ["0A"; 31].join(":");
        for wrong in [
            "",
            &short,
            &format!("{text}:0A"),
            &text.replacen("0A", "0G", 1),
            &text.replacen("0A:", "0:A", 1),
            &"+1".repeat(32),
            "sha256",
        ] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
