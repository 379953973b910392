//! Owns a server in the process of the test: where it listens, and that it ends in order.
//! It must not know what a test does with it.

use std::net::SocketAddr;

use mist::{BindError, Handle, Limits, Server, ServerBuilder};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::within;

/// A server on the runtime of the test.
#[derive(Debug)]
pub struct Site {
    /// The addresses of its listeners, in their order.
    pub uris: Vec<String>,
    sockets: Vec<Option<SocketAddr>>,
    /// What a certificate that it made itself hashes to.
    pub fingerprint: Option<String>,
    /// What a program has of it.
    pub handle: Handle,
    /// Tells it to stop.
    pub stop: oneshot::Sender<()>,
    /// Ends when it has.
    pub run: JoinHandle<()>,
}

impl Site {
    /// Starts a server that must start.
    pub async fn start(builder: ServerBuilder) -> Self {
        Self::try_start(builder).await.expect("it starts")
    }

    /// Starts a server, or says why it does not start.
    ///
    /// # Errors
    /// What `bind` says.
    pub async fn try_start(builder: ServerBuilder) -> Result<Self, BindError> {
        Ok(Self::run(within(builder.bind()).await?))
    }

    /// Runs a server that has its sockets.
    pub fn run(server: Server) -> Self {
        let addresses = server.addresses();
        let uris = addresses.iter().map(ToString::to_string).collect();
        let sockets = addresses.iter().map(|address| address.socket()).collect();
        let fingerprint = server.fingerprint();
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

    /// The socket of one of its listeners, counted from 0.
    pub fn socket(&self, index: usize) -> SocketAddr {
        self.sockets[index].expect("an internet socket")
    }

    /// Stops it and waits until it has ended.
    pub async fn stop(self) {
        drop(self.stop);
        within(self.run).await.expect("it ends in order");
    }
}

/// The default limits but for these.
pub fn limits(changed: &[(&str, u64)]) -> Limits {
    let mut limits = Limits::default();
    for (name, value) in changed {
        limits.set(name, *value).expect("the limit is known");
    }
    limits
}
