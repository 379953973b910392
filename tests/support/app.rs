//! Owns an HTTP server in the process of the test that answers whatever it is told to, and counts what it is asked; it may
//! go away and come back. It must not know what a test does with it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::certificate::Certificate;
use crate::within;

/// What it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The request line and the headers.
    pub head: String,
    /// What came behind them.
    pub body: String,
}

/// An application, or an issuer of keys.
pub struct App {
    /// Where it is.
    pub address: SocketAddr,
    state: Arc<State>,
    tls: Option<TlsAcceptor>,
    serving: Option<JoinHandle<()>>,
}

struct State {
    /// The status, further headers, and the body of its answers.
    answer: Mutex<(u16, String, String)>,
    asked: watch::Sender<Vec<Asked>>,
    connections: AtomicUsize,
    /// Whether it answers.
    is_open: watch::Sender<bool>,
}

impl App {
    /// Starts one that answers with 404.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts one that encrypts.
    pub async fn start_encrypted(certificate: &Certificate) -> Self {
        let key = PrivateKeyDer::from_pem_file(certificate.key()).expect("a key");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der.clone()], key)
            .expect("a certificate");
        Self::start_with(Some(Arc::new(config).into())).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let state = State {
            answer: Mutex::new((404, String::new(), String::new())),
            asked: watch::Sender::default(),
            connections: AtomicUsize::new(0),
            is_open: watch::Sender::new(true),
        };
        let mut app = Self {
            address: listener.local_addr().expect("an address"),
            state: Arc::new(state),
            tls,
            serving: None,
        };
        app.serve(listener);
        app
    }

    fn serve(&mut self, listener: TcpListener) {
        let (state, tls) = (Arc::clone(&self.state), self.tls.clone());
        self.serving = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                state.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(speak(stream, tls.clone(), Arc::clone(&state)));
            }
        }));
    }

    /// Sets what it answers from now on; each of the headers ends with CRLF.
    pub fn answer(&self, status: u16, headers: &str, body: &str) {
        let mut answer = lock(&self.state.answer);
        *answer = (status, headers.to_owned(), body.to_owned());
    }

    /// All that it was asked.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.borrow().clone()
    }

    /// Waits until it was asked so often.
    pub async fn was_asked(&self, times: usize) {
        let mut asked = self.state.asked.subscribe();
        let often = asked.wait_for(|asked| asked.len() >= times);
        drop(within(often).await.expect("it lives"));
    }

    /// How many connections it has had.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Takes requests and does not answer them, until it is released.
    pub fn hold(&self) {
        self.state.is_open.send_replace(false);
    }

    /// Answers what has come.
    pub fn release(&self) {
        self.state.is_open.send_replace(true);
    }

    /// Goes away, with all its connections.
    pub async fn leave(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// Comes back to where it was.
    pub async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await;
        self.serve(listener.expect("the address is free"));
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn speak(stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<State>) {
    match tls {
        None => talk(stream, state).await,
        Some(tls) => {
            // Who does not trust it hangs up.
            if let Ok(stream) = tls.accept(stream).await {
                talk(stream, state).await;
            }
        }
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<State>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let before = head.len();
            if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
            let line = head[before..].trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().expect("a number");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        let body = String::from_utf8(body).expect("UTF-8");
        state
            .asked
            .send_modify(|all| all.push(Asked { head, body }));
        let mut is_open = state.is_open.subscribe();
        if is_open.wait_for(|is_open| *is_open).await.is_err() {
            return;
        }
        let answer = {
            let (status, headers, body) = &*lock(&state.answer);
            format!(
                "HTTP/1.1 {status} Status\r\n{headers}Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}
