//! Owns where a server's certificate comes from, files or its own making; knows nothing of connections.

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

/// Why there is no certificate to encrypt with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file does not give what it should.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The key is not the one that the certificate is for.
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
    /// The certificate is damaged, or of a kind that cannot be used.
    #[error("cannot use the certificate in '{}' - {why}", path.display())]
    #[non_exhaustive]
    Unusable {
        /// The file with the certificate.
        path: PathBuf,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// The key is damaged, or of a kind that cannot be used.
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
    /// No certificate could be made, or TLS does not work at all.
    #[error("TLS is not available - {0}")]
    Unavailable(String),
}

/// Reads a certificate, with those that vouch for it, and its key; both are PEM.
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
        // Some keys do not tell which certificate they are for.
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

/// Makes a certificate for this machine itself and some hosts, which nobody vouches for.
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

/// The SHA-256 of a certificate as people compare it: pairs of digits with colons between.
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
