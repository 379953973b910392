//! Owns how a client's connection is encrypted, and how it says that it does not trust a server; knows nothing of messages.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ClientError;
use crate::listener::read_certificates;
use crate::trust::{Checked, client_config, system_roots};

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
        let config = if is_anybody {
            client_config(Checked::Nothing, RootCertStore::empty(), Vec::new())
        } else {
            let mut named = Vec::new();
            for file in files {
                named.extend(read_certificates(file).map_err(|error| error.to_string())?);
            }
            client_config(Checked::AuthorityAndName, system_roots(), named)
        };
        let config = config.map_err(|error| {
            format!(
                "{error}: name who is trusted with --ca FILE, or skip the check with --insecure"
            )
        })?;
        Ok(Self(Some(config)))
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
        Some(error) => return format!("no TLS with the server: {error}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            return "the server closed the connection at once; does it speak TLS there?".into();
        }
        None => return error.to_string(),
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
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "is not for '{host}'; connect to a name that it is for: {}",
            presented.join(", ")
        ),
        other => format!("cannot be accepted ({other}); it needs another"),
    };
    format!("the server's certificate {what}, or skip the check with --insecure")
}
