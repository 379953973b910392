//! Owns the certificate of a server under test and the trust in it, in files, as a user has it.
//! It must not know what is sent over an encrypted connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A certificate for `localhost` and its key, in a folder that lives as long as this.
#[derive(Debug)]
pub struct Certificate {
    folder: TempDir,
    config: Arc<ClientConfig>,
}

impl Certificate {
    /// Makes a certificate.
    ///
    /// # Errors
    /// The reason as text.
    pub fn make() -> Result<Self, String> {
        Self::try_make().map_err(|error| error.to_string())
    }

    fn try_make() -> Result<Self, Box<dyn std::error::Error>> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let certificate = Self {
            folder: tempfile::tempdir()?,
            config: Arc::new(config),
        };
        std::fs::write(certificate.file(), made.cert.pem())?;
        std::fs::write(certificate.key(), made.signing_key.serialize_pem())?;
        Ok(certificate)
    }

    /// The folder, which has room for other things of the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate, in PEM.
    pub fn file(&self) -> PathBuf {
        self.folder().join("cert.pem")
    }

    /// Its private key, in PEM.
    pub fn key(&self) -> PathBuf {
        self.folder().join("key.pem")
    }

    /// Shakes hands with a server that must show this certificate.
    ///
    /// # Errors
    /// The reason as text.
    pub async fn encrypt(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
        TlsConnector::from(Arc::clone(&self.config))
            .connect(name, stream)
            .await
            .map_err(|error| error.to_string())
    }
}
