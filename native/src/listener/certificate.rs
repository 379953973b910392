//! Owns where a server's certificate comes from, files or its own making; knows nothing of connections.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use crate::address::Site;

/// Why there is no certificate to encrypt with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file could not be read.
    #[error("cannot read '{}' - {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("no {wanted} in '{}' - {why}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
        /// What is there instead, and what would be right.
        why: String,
    },
    /// The key is not the one that the certificate is for.
    #[error(
        "the key in '{}' does not belong to the certificate in '{}', whose first certificate must be the server's own",
        key.display(),
        certificate.display()
    )]
    Mismatch {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// The certificate or the key is of a kind that cannot be used.
    #[error("cannot use the certificate in '{}' with its key - {why}", path.display())]
    Unusable {
        /// The file with the certificate.
        path: PathBuf,
        /// What the TLS library said.
        why: String,
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
    let chain = read_certificates(certificate)?;
    let key_der = PrivateKeyDer::from_pem_slice(&read_file(key)?);
    let key_der = key_der.map_err(|error| missing(key, "private key", &error))?;
    CertifiedKey::from_der(chain, key_der, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        },
        error => CertificateError::Unusable {
            path: certificate.to_owned(),
            why: error.to_string(),
        },
    })
}

/// Reads all certificates of a PEM file, of which there must be one.
pub(crate) fn read_certificates(
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let wrong = |error| missing(path, "certificate", &error);
    let text = read_file(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(wrong(pem::Error::NoItemsFound)),
        Ok(found) => Ok(found),
        Err(error) => Err(wrong(error)),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|source| CertificateError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Says what a file holds that should be PEM with something in it.
fn missing(path: &Path, wanted: &'static str, error: &pem::Error) -> CertificateError {
    let text = std::fs::read(path).unwrap_or_default();
    let holds = |label: &str| memchr::memmem::find(&text, label.as_bytes()).is_some();
    let why = if !matches!(error, pem::Error::NoItemsFound) {
        format!("it is broken PEM: {error}")
    } else if holds("BEGIN ENCRYPTED PRIVATE KEY") || holds("Proc-Type: 4,ENCRYPTED") {
        "the key is encrypted; write it without a passphrase, as `openssl pkey -in FILE` does"
            .to_owned()
    } else if holds("PRIVATE KEY-----") {
        "there is a private key; are the two files mixed up?".to_owned()
    } else if holds("BEGIN CERTIFICATE-----") {
        "there is a certificate; are the two files mixed up?".to_owned()
    } else if text.first() == Some(&0x30) {
        "it looks like DER, and must be PEM; `openssl x509` and `openssl pkey` convert it with -inform der".to_owned()
    } else {
        format!(
            "it must be PEM, with a line that says BEGIN {}",
            wanted.to_uppercase()
        )
    };
    CertificateError::Missing {
        path: path.to_owned(),
        wanted,
        why,
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
