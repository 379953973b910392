//! A TCP proxy that cuts its connections when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A proxy in front of a server's address.
pub(super) struct Proxy {
    pub(super) uri: String,
    cuts: watch::Sender<usize>,
    is_open: Arc<AtomicBool>,
    is_deaf: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(super) async fn start(server: &str) -> Self {
        let (scheme, target) = server.split_once("://").expect("a URI");
        let target = target.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (cuts, seen) = watch::channel(0);
        let is_open = Arc::new(AtomicBool::new(true));
        let is_deaf = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let (open, deaf, count) = (is_open.clone(), is_deaf.clone(), connections.clone());
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                count.fetch_add(1, Ordering::SeqCst);
                if open.load(Ordering::SeqCst) {
                    let mut cut = seen.clone();
                    cut.mark_unchanged();
                    tokio::spawn(relay(client, target.clone(), deaf.clone(), cut));
                }
            }
        });
        Self {
            uri: format!("{scheme}://{address}"),
            cuts,
            is_open,
            is_deaf,
            connections,
            task,
        }
    }

    /// Ends every connection there is now.
    pub(super) fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// From now on, whether new connections are served or closed at once.
    pub(super) fn set_open(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::SeqCst);
    }

    /// From now on, new connections are taken but nothing is passed on, or all is again.
    pub(super) fn set_deaf(&self, is_deaf: bool) {
        self.is_deaf.store(is_deaf, Ordering::SeqCst);
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
    is_deaf: Arc<AtomicBool>,
    mut cut: watch::Receiver<usize>,
) {
    let pass = async {
        if is_deaf.load(Ordering::SeqCst) {
            let mut swallowed = [0; 1024];
            while client
                .read(&mut swallowed)
                .await
                .is_ok_and(|count| count > 0)
            {}
            return;
        }
        let mut server = TcpStream::connect(&target).await.expect("the server");
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    };
    tokio::select! {
        () = pass => {}
        _ = cut.changed() => {}
    }
}
