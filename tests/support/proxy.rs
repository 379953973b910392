//! Owns a TCP proxy that cuts its connections, or falls silent, when it is told to. It must not know what passes through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A proxy in front of a server's address.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens, with the scheme of the server.
    pub uri: String,
    cuts: watch::Sender<()>,
    silences: watch::Sender<()>,
    releases: watch::Sender<()>,
    is_open: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts one in front of `scheme://address`.
    pub async fn start(server: &str) -> Self {
        let (scheme, target) = server.split_once("://").expect("a URI");
        let target = target.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (cuts, silences) = (watch::Sender::new(()), watch::Sender::new(()));
        let releases = watch::Sender::new(());
        let is_open = Arc::new(AtomicBool::new(true));
        let connections = Arc::new(AtomicUsize::new(0));
        let told = [&cuts, &silences, &releases].map(watch::Sender::subscribe);
        let (open, count) = (is_open.clone(), connections.clone());
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                count.fetch_add(1, Ordering::SeqCst);
                if open.load(Ordering::SeqCst) {
                    let mut told = told.clone();
                    told.iter_mut().for_each(watch::Receiver::mark_unchanged);
                    tokio::spawn(relay(client, target.clone(), told));
                }
            }
        });
        Self {
            uri: format!("{scheme}://{address}"),
            cuts,
            silences,
            releases,
            is_open,
            connections,
            task,
        }
    }

    /// Ends every connection, silent ones too.
    pub fn cut(&self) {
        self.cuts.send_replace(());
    }

    /// Passes nothing on any more over the connections that there are; later ones are not concerned.
    pub fn silence(&self) {
        self.silences.send_replace(());
    }

    /// Passes on over silent connections what has waited, and what follows.
    pub fn release(&self) {
        self.releases.send_replace(());
    }

    /// Says whether new connections are served or closed at once.
    pub fn set_open(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::SeqCst);
    }

    /// How many it was asked for so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

async fn relay(mut client: TcpStream, target: String, told: [watch::Receiver<()>; 3]) {
    let [mut cut, mut silence, mut release] = told;
    // Who is not there closes at once.
    let Ok(mut server) = TcpStream::connect(&target).await else {
        return;
    };
    let copying = tokio::io::copy_bidirectional(&mut client, &mut server);
    tokio::pin!(copying);
    loop {
        tokio::select! {
            _ = &mut copying => return,
            _ = cut.changed() => return,
            _ = silence.changed() => release.mark_unchanged(),
        }
        tokio::select! {
            _ = cut.changed() => return,
            _ = release.changed() => {}
        }
    }
}
