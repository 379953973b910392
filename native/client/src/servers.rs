//! Owns which servers a client connects to, and which of them is tried first; knows nothing of what is said to them.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use mist_net::connect::{ConnectError, Connector};
use mist_net::transport::Connection;

/// Servers that serve the same, at least one.
pub(crate) struct Servers {
    pub(crate) all: Vec<Connector>,
    pub(crate) connect_timeout: Duration,
    /// Whether there was an attempt already.
    pub(crate) is_again: bool,
}

/// Why no server could be connected to.
pub(crate) struct Failure {
    pub(crate) text: String,
    pub(crate) cause: Option<ConnectError>,
}

impl Servers {
    /// Connects to the first that can be: of all in their order the first time, then beginning with any of them, so that
    /// the clients of a server that is gone spread over the others.
    pub(crate) fn attempt(
        &mut self,
    ) -> impl Future<Output = Result<Connection, Failure>> + Send + use<> {
        let mut servers = self.all.clone();
        if self.is_again && servers.len() > 1 {
            let start = getrandom::u64().unwrap_or_default() % servers.len() as u64;
            servers.rotate_left(start as usize);
        }
        self.is_again = true;
        // One that does not answer must leave time for the others; a single one has all of it, as the state machine counts.
        let share = self.connect_timeout / servers.len() as u32;
        async move {
            if let [only] = &*servers {
                return only.connect().await.map_err(|cause| Failure {
                    text: cause.to_string(),
                    cause: Some(cause),
                });
            }
            let mut texts = Vec::new();
            let mut first = None;
            for server in servers {
                let text = match tokio::time::timeout(share, server.connect()).await {
                    Ok(Ok(connection)) => return Ok(connection),
                    Ok(Err(cause)) => {
                        let text = cause.to_string();
                        first = first.or(Some(cause));
                        text
                    }
                    Err(_) => format!("no connection within {share:?}"),
                };
                texts.push(format!("{}: {text}", server.endpoint));
            }
            Err(Failure {
                text: texts.join("; "),
                cause: first,
            })
        }
    }
}

/// Lists where they are.
impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, server) in self.all.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{}", server.endpoint)?;
        }
        Ok(())
    }
}
