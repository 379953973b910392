//! Owns how it is said that the certificate of a server, or of a database, is not accepted, and what to do.

use std::path::Path;

use rustls::CertificateError;

use crate::fingerprint::AnotherCertificate;

/// Describes the problem, in words that follow `its certificate`; `setting` names what is trusted.
pub fn words(why: &CertificateError, host: &str, setting: Option<&str>) -> String {
    let setting = setting
        .map(|setting| format!(" with {setting}"))
        .unwrap_or_default();
    match why {
        // The latter if another issuer of the same name is trusted.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("is signed by nobody that is trusted here; trust its issuer{setting}")
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
        CertificateError::Other(other) if other.0.is::<AnotherCertificate>() => other.to_string(),
        // The library has no words for these, only names of its own.
        CertificateError::Other(_) => format!(
            "is signed by nobody that is trusted here, or not made as a server's should be; trust this very \
             certificate{setting}"
        ),
        _ => "cannot be accepted; the server needs another".into(),
    }
}

/// Says that a certificate which was named to be trusted cannot be read.
pub fn damaged(file: &Path) -> String {
    format!(
        "a certificate in '{}' is damaged: it cannot be read",
        file.display()
    )
}

/// Takes a name out of what the library calls it: `DnsName("localhost")`, `IpAddress(127.0.0.1)`.
fn bare(name: &str) -> &str {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(name, |inner| inner.trim_matches('"'))
}
