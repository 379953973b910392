//! Owns certificates and keys in PEM files, and what is said of files that hold something else. It must not know what they
//! are for.

use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::file;

/// Why a file does not give what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// The file could not be read.
    #[error("cannot read '{}' - {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else than it should.
    #[error("no {wanted} in '{}' - {why}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
        /// What is there instead, and what would be right.
        why: String,
    },
}

const CERTIFICATE: &str = "certificate";
const PRIVATE_KEY: &str = "private key";

/// Reads all certificates of a PEM file, of which there must be one.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(pem::Error::NoItemsFound),
        found => found,
    }
    .map_err(|error| missing(path, CERTIFICATE, &text, &error))
}

/// Reads the first private key of a PEM file.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| missing(path, PRIVATE_KEY, &text, &error))
}

/// Reads a file as PEM, ignoring blanks around lines: a text that was copied out of another file may be
/// indented.
fn read(path: &Path) -> Result<Vec<u8>, PemError> {
    let bytes = file::read(path).map_err(|source| PemError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut text = Vec::with_capacity(bytes.len() + 1);
    for line in bytes.split(|byte| *byte == b'\n') {
        text.extend_from_slice(line.trim_ascii());
        text.push(b'\n');
    }
    Ok(text)
}

/// Says what a file holds that should be PEM with something in it.
fn missing(path: &Path, wanted: &'static str, text: &[u8], error: &pem::Error) -> PemError {
    let holds = |label: &str| memchr::memmem::find(text, label.as_bytes()).is_some();
    let why = if holds("BEGIN ENCRYPTED PRIVATE KEY") || holds("Proc-Type: 4,ENCRYPTED") {
        "the key is encrypted; `openssl pkey -in FILE -out PLAIN` asks for its passphrase and writes it without one"
            .to_owned()
    } else {
        match error {
            pem::Error::NoItemsFound => instead(wanted, text),
            pem::Error::MissingSectionEnd { .. } => {
                "it is cut off: a line -----END …----- is missing".to_owned()
            }
            pem::Error::IllegalSectionStart { .. } => {
                "it is damaged: a line that begins with -----BEGIN does not end with -----"
                    .to_owned()
            }
            pem::Error::Base64Decode(_) => {
                "it is damaged: what stands between BEGIN and END is not base64".to_owned()
            }
            error => format!("it is damaged: {error}"),
        }
    };
    PemError::Missing {
        path: path.to_owned(),
        wanted,
        why,
    }
}

/// Says what there is in the place of what was wanted.
fn instead(wanted: &str, text: &[u8]) -> String {
    let is_pem = |line: &&[u8]| line.starts_with(b"-----BEGIN ");
    let label = text.split(|byte| *byte == b'\n').find(is_pem);
    let label = label.map(|line| String::from_utf8_lossy(&line[11..]));
    match label.as_deref().map(|label| label.trim_end_matches('-')) {
        Some("CERTIFICATE") => {
            "there is a certificate; are the two files mixed up?".to_owned()
        }
        Some("PRIVATE KEY" | "EC PRIVATE KEY" | "RSA PRIVATE KEY") => {
            "there is a private key; are the two files mixed up?".to_owned()
        }
        Some(label) => format!("there is '{label}', which is something else"),
        None if text.trim_ascii().is_empty() => "it is empty".to_owned(),
        None if text.first() == Some(&0x30) => {
            "it looks like DER or PKCS#12, and must be PEM; `openssl x509 -inform der`, `openssl pkey -inform der` and \
             `openssl pkcs12 -nodes` convert it"
                .to_owned()
        }
        None => format!(
            "it must be PEM, with a line that says -----BEGIN {}-----",
            wanted.to_uppercase()
        ),
    }
}
