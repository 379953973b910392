//! Owns the certificate of a server under test and the trust in it, in files, as an operator has it.
//! It must not know what is sent over an encrypted connection.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedKey, KeyPair, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A certificate for this machine and its key, in a folder that lives as long as this and has room for other things.
#[derive(Debug)]
pub struct Certificate {
    /// Where it lies.
    pub folder: TempDir,
    /// The certificate as it goes over the wire.
    pub der: CertificateDer<'static>,
}

impl Default for Certificate {
    fn default() -> Self {
        Self::for_names(&["localhost", "127.0.0.1"])
    }
}

impl Certificate {
    /// One for other names.
    pub fn for_names(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = generate_simple_self_signed(names).expect("a certificate");
        let certificate = Self {
            folder: tempfile::tempdir().expect("a folder"),
            der: made.cert.der().clone(),
        };
        certificate.write(&made);
        certificate
    }

    /// Writes a certificate and its key in the place of those.
    pub fn write(&self, made: &CertifiedKey<KeyPair>) {
        std::fs::write(self.file(), made.cert.pem()).expect("written");
        std::fs::write(self.key(), made.signing_key.serialize_pem()).expect("written");
    }

    /// Puts a new certificate in the place of the old one.
    pub fn renew(&mut self) {
        self.renew_with(|_| {});
    }

    /// Puts a new certificate in the place of the old one, which is for this machine unless it is changed.
    pub fn renew_with(&mut self, change: impl FnOnce(&mut CertificateParams)) {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let signing_key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&signing_key).expect("a certificate");
        self.der = cert.der().clone();
        self.write(&CertifiedKey { cert, signing_key });
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The certificate, in PEM.
    pub fn file(&self) -> PathBuf {
        self.path("cert.pem")
    }

    /// Its private key, in PEM.
    pub fn key(&self) -> PathBuf {
        self.path("key.pem")
    }

    /// Connects to a server that must show this certificate.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        self.encrypt(TcpStream::connect(address).await?).await
    }

    /// Shakes hands with a server that must show this certificate.
    pub async fn encrypt(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.encrypt_for("localhost", stream).await
    }

    /// The same with one that goes by another name.
    pub async fn encrypt_for(
        &self,
        name: &'static str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name).expect("a name");
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await
    }
}
