//! Owns where a server's certificate comes from: files, or its own signature; knows nothing of connections.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use sha2::{Digest, Sha256};

use mist_net::address::Site;
use mist_net::pem::{self, PemError};

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read, or has no certificate or key.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The key does not belong to the certificate.
    #[error(
        "the key in '{}' does not belong to the certificate in '{}', whose first certificate must be the server's own",
        key.display(),
        certificate.display()
    )]
    #[non_exhaustive]
    Mismatch {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// The certificate is damaged or of an unsupported kind.
    #[error("cannot use the certificate in '{}' - {why}", path.display())]
    #[non_exhaustive]
    Unusable {
        /// The file with the certificate.
        path: PathBuf,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The key is damaged or of an unsupported kind.
    #[error(
        "cannot use the key in '{}' - it is damaged or of a kind that is not known here; RSA of 2,048 to 4,096 bits, \
         ECDSA with P-256 or P-384, and Ed25519 are",
        path.display()
    )]
    #[non_exhaustive]
    Key {
        /// The file with the key.
        path: PathBuf,
    },
    /// No certificate could be generated, or TLS is not available.
    #[error("TLS is not available - {0}")]
    Unavailable(String),
}

/// Reads a certificate, with those of its issuers, and its key from PEM files.
pub(super) fn read(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertificateError> {
    let chain = pem::read_certificates(certificate)?;
    let private = provider.key_provider.load_private_key(pem::read_key(key)?);
    let private = private.map_err(|_| CertificateError::Key {
        path: key.to_owned(),
    })?;
    let certified = CertifiedKey::new(chain, private);
    match certified.keys_match() {
        // For some kinds of key this cannot be checked.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => Err(CertificateError::Mismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        }),
        Err(error) => Err(CertificateError::Unusable {
            path: certificate.to_owned(),
            why: match error {
                Error::InvalidCertificate(rustls::CertificateError::BadEncoding) => {
                    "it is damaged".to_owned()
                }
                Error::InvalidCertificate(_) => {
                    "clients do not take such a one; make one of X.509 version 3 with the names that they connect to \
                     (subjectAltName)"
                        .to_owned()
                }
                error => error.to_string(),
            },
        }),
    }
}

/// Makes a self-signed certificate for this machine and some hosts.
pub(super) fn make(
    sites: &[&Site],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertificateError> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    for site in sites {
        let is_nobody = site.ip().is_some_and(|ip| ip.is_unspecified());
        let name = site.name();
        if !is_nobody && !names.contains(&name) {
            names.push(name);
        }
    }
    let made = || -> Result<_, rcgen::Error> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "mist");
        let key = KeyPair::generate()?;
        Ok((params.self_signed(&key)?, key))
    };
    let (certificate, key) =
        made().map_err(|error| CertificateError::Unavailable(error.to_string()))?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    CertifiedKey::from_der(vec![certificate.der().clone()], key, provider)
        .map_err(|error| CertificateError::Unavailable(error.to_string()))
}

/// The SHA-256 of a certificate, in the form that people compare: hexadecimal pairs separated by colons.
pub(super) fn fingerprint(certified: &CertifiedKey) -> String {
    let certificate = certified.cert.first().map_or(&[][..], |der| der);
    let digest = Sha256::digest(certificate);
    let mut text = String::new();
    for byte in digest {
        let colon = if text.is_empty() { "" } else { ":" };
        // Writing to a string does not fail.
        let _ = write!(text, "{colon}{byte:02X}");
    }
    text
}
