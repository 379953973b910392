//! A TCP proxy that cuts its connections, or falls silent, when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A proxy in front of a server's address.
pub(super) struct Proxy {
    pub(super) uri: String,
    cuts: watch::Sender<()>,
    silences: watch::Sender<()>,
    is_open: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(super) async fn start(server: &str) -> Self {
        let (scheme, target) = server.split_once("://").expect("a URI");
        let target = target.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (cuts, silences) = (watch::Sender::new(()), watch::Sender::new(()));
        let is_open = Arc::new(AtomicBool::new(true));
        let connections = Arc::new(AtomicUsize::new(0));
        let (cut, silence) = (cuts.subscribe(), silences.subscribe());
        let (open, count) = (is_open.clone(), connections.clone());
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                count.fetch_add(1, Ordering::SeqCst);
                if open.load(Ordering::SeqCst) {
                    let (mut cut, mut silence) = (cut.clone(), silence.clone());
                    cut.mark_unchanged();
                    silence.mark_unchanged();
                    tokio::spawn(relay(client, target.clone(), cut, silence));
                }
            }
        });
        Self {
            uri: format!("{scheme}://{address}"),
            cuts,
            silences,
            is_open,
            connections,
            task,
        }
    }

    /// Ends every connection that something has passed through.
    pub(super) fn cut(&self) {
        self.cuts.send_replace(());
    }

    /// Passes nothing on any more over every connection that something has passed through; later ones are not concerned.
    pub(super) fn silence(&self) {
        self.silences.send_replace(());
    }

    /// Says whether new connections are served or closed at once.
    pub(super) fn set_open(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::SeqCst);
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

async fn relay(
    mut client: TcpStream,
    target: String,
    mut cut: watch::Receiver<()>,
    mut silence: watch::Receiver<()>,
) {
    let mut server = TcpStream::connect(&target).await.expect("the server");
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
        _ = cut.changed() => return,
        _ = silence.changed() => {}
    }
    let _ = cut.changed().await;
}
