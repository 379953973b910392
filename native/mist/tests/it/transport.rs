//! Encrypted listeners and Unix sockets: real sockets, and certificates that each test makes for itself.

mod addresses;
mod certificates;
mod handshakes;
mod unix;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mist::client::Client;
use mist::{BindError, Handle, Limits, Server};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long anything may take before the test fails; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it took too long")
}

/// A folder with a certificate and its key, as an operator has it.
pub(crate) struct Files {
    folder: TempDir,
    der: rustls::pki_types::CertificateDer<'static>,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self::for_names(&["localhost", "127.0.0.1"])
    }

    fn for_names(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let files = Self {
            folder,
            der: made.cert.der().clone(),
        };
        files.write(&made);
        files
    }

    fn write(&self, made: &rcgen::CertifiedKey<rcgen::KeyPair>) {
        std::fs::write(self.certificate(), made.cert.pem()).expect("written");
        std::fs::write(self.key(), made.signing_key.serialize_pem()).expect("written");
    }

    /// Puts a new certificate in the place of the old one.
    pub(crate) fn renew(&mut self) {
        self.renew_with(|_| {});
    }

    /// Puts a new certificate in the place of the old one, which is for the same names unless it is changed.
    pub(crate) fn renew_with(&mut self, change: impl FnOnce(&mut rcgen::CertificateParams)) {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = rcgen::CertificateParams::new(names).expect("names");
        change(&mut params);
        let signing_key = rcgen::KeyPair::generate().expect("a key");
        let cert = params.self_signed(&signing_key).expect("a certificate");
        self.der = cert.der().clone();
        self.write(&rcgen::CertifiedKey { cert, signing_key });
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("cert.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.path("key.pem")
    }

    /// Shakes hands with a server that must show this certificate.
    async fn encrypt(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }
}

/// A server in this process.
struct Site {
    uris: Vec<String>,
    sockets: Vec<Option<SocketAddr>>,
    fingerprint: Option<String>,
    handle: Handle,
    stop: oneshot::Sender<()>,
    run: JoinHandle<()>,
}

impl Site {
    async fn start(files: &Files, listeners: &str) -> Self {
        Self::with(files, listeners, &[]).await
    }

    async fn with(files: &Files, listeners: &str, limits: &[(&str, u64)]) -> Self {
        let mut all = Limits::default();
        for (name, value) in limits {
            all.set(name, *value).expect("a limit");
        }
        let builder = Server::builder().listen(listeners).limits(all);
        let builder = builder.tls(files.certificate(), files.key());
        Self::run(builder.bind().await.expect("bound"))
    }

    fn run(server: Server) -> Self {
        let addresses = server.addresses();
        let uris = addresses.iter().map(ToString::to_string).collect();
        let sockets = addresses.iter().map(|address| address.socket()).collect();
        let fingerprint = server.fingerprint().map(str::to_owned);
        let handle = server.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self {
            uris,
            sockets,
            fingerprint,
            handle,
            stop,
            run,
        }
    }

    fn socket(&self, index: usize) -> SocketAddr {
        self.sockets[index].expect("an internet socket")
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        within(self.run).await.expect("it ends in order");
    }
}

async fn connect(uri: &str, files: &Files) -> Client {
    let connecting = Client::builder(uri).ca(files.certificate()).connect();
    within(connecting).await.expect(uri)
}

async fn refused(server: mist::ServerBuilder) -> BindError {
    server.bind().await.expect_err("it must not start")
}

#[tokio::test]
async fn every_transport_carries_messages() {
    let files = Files::new();
    let socket = format!("unix://{}", files.path("mist.sock").display());
    let listeners = format!("tls://127.0.0.1:0, wss://127.0.0.1:0, https://127.0.0.1:0, {socket}");
    let site = Site::start(&files, &listeners).await;
    assert_eq!(site.uris[3], socket);
    let mut uris = site.uris.clone();
    // A WebSocket is upgraded on an https listener, too.
    uris[2] = uris[2].replace("https", "wss");
    for uri in uris {
        let (reader, writer) = (connect(&uri, &files).await, connect(&uri, &files).await);
        let mut messages = reader.messages();
        within(reader.subscribe(["a"])).await.expect("subscribed");
        // More than one record and more than one write.
        let data = "x".repeat(1 << 20);
        let delivered = within(writer.publish_acked(["a", "b"], &data)).await;
        assert_eq!(delivered.expect("published"), 1, "{uri}");
        let message = within(messages.next()).await.expect("a message");
        assert!(message.data == data, "{uri}");
        within(writer.close()).await.expect("closed");
        within(reader.close()).await.expect("closed");
    }
    site.stop().await;
}

#[tokio::test]
async fn what_is_queued_comes_before_the_end_and_the_end_is_announced() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let files = Files::new();
    let site = Site::start(&files, "tls://127.0.0.1:0").await;
    let mut stream = within(files.encrypt(site.socket(0))).await.expect("shaken");
    let hello = b"{\"command\":\"subscribe\",\"tags\":[\"a\"],\"id\":1}\n";
    stream.write_all(hello).await.expect("written");
    stream.flush().await.expect("written");
    let mut answer = [0; 1];
    within(stream.read_exact(&mut answer))
        .await
        .expect("an answer");
    let data = "y".repeat(1 << 20);
    for _ in 0..4 {
        assert_eq!(site.handle.publish(&["a"], &data), 1);
    }
    let stopping = tokio::spawn(site.stop());
    let mut rest = Vec::new();
    // An end without close_notify would be an error.
    within(stream.read_to_end(&mut rest))
        .await
        .expect("an end in order");
    let count = rest
        .windows(9)
        .filter(|word| word == b"\"publish\"")
        .count();
    assert_eq!(count, 4);
    within(stopping).await.expect("stopped");
}

#[tokio::test]
async fn a_client_that_has_sent_everything_still_gets_its_answers() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let files = Files::new();
    let site = Site::start(&files, "tls://127.0.0.1:0").await;
    let mut stream = within(files.encrypt(site.socket(0))).await.expect("shaken");
    // The last line lacks its end.
    let input = b"{\"command\":\"ping\"}\n{\"command\":\"ping\",\"id\":2}";
    stream.write_all(input).await.expect("written");
    stream.shutdown().await.expect("close_notify");
    let mut text = String::new();
    within(stream.read_to_string(&mut text))
        .await
        .expect("an end in order");
    assert_eq!(
        text,
        "{\"command\":\"ping\",\"data\":\"pong\"}\n{\"command\":\"ping\",\"data\":\"pong\",\"id\":2}\n"
    );
    site.stop().await;
}

#[tokio::test]
async fn http_is_spoken_over_tls() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let files = Files::new();
    let site = Site::start(&files, "https://127.0.0.1:0").await;
    let address = site.socket(0);
    let ask = async |request: String, until: &str| {
        let mut stream = files.encrypt(address).await.expect("shaken");
        stream.write_all(request.as_bytes()).await.expect("written");
        stream.flush().await.expect("written");
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while !text.contains(until) {
            let count = stream.read(&mut buffer).await.expect("an answer");
            assert_ne!(count, 0, "the end instead of {until}: {text}");
            text += &String::from_utf8_lossy(&buffer[..count]);
        }
        (stream, text)
    };
    let subscribe = "GET /subscribe?tags=a HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned();
    let (mut events, _) = within(ask(subscribe, "text/event-stream")).await;
    let publish = "POST /publish?tags=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi"
        .to_owned();
    within(ask(publish, "\"delivered\":1")).await;
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains("\"data\":\"hi\"}") {
        let count = within(events.read(&mut buffer)).await.expect("an event");
        assert_ne!(count, 0, "{text}");
        text += &String::from_utf8_lossy(&buffer[..count]);
    }
    drop(events);
    site.stop().await;
}
