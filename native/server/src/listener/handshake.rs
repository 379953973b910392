//! Owns the TLS handshakes of new connections; knows nothing of what is spoken over them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::acceptor::{Acceptor, Guest};
use super::tls::Tls;
use crate::admission::peer::Peer;
use crate::log_limit::Kind;

/// The type of a client's first record.
const HANDSHAKE: u8 = 22;

/// How long a client may take to read why it is refused.
const FAREWELL: Duration = Duration::from_secs(1);

impl Tls {
    /// Does the handshake on a task of its own, so that accepting does not wait for it, and then hands the connection
    /// to `serve`. A client that does not speak TLS gets the text of `in_plain`.
    pub(super) fn accept(
        &self,
        stream: TcpStream,
        guest: Guest,
        acceptor: &Acceptor,
        in_plain: fn() -> Vec<u8>,
        serve: impl FnOnce(&Acceptor, TlsStream<TcpStream>, Guest) + Send + 'static,
    ) {
        let acceptor = acceptor.clone();
        let tls = TlsAcceptor::from(Arc::clone(&self.config));
        acceptor.hub.tasks.clone().spawn(async move {
            let seconds = acceptor.hub.handshake_seconds();
            let shaken = tokio::select! {
                () = acceptor.stopped() => return,
                shaken = timeout(guest.patience(&acceptor.hub), shake(stream, tls, in_plain)) => shaken,
            };
            let error = match shaken {
                Ok(Ok(Some(stream))) => return serve(&acceptor, stream, guest),
                Ok(Ok(None)) => return,
                Ok(Err(error)) => error,
                Err(_) => io::Error::other(format!(
                    "it is not done after {seconds} seconds (handshake-seconds)"
                )),
            };
            let failed = &acceptor.hub.counters.failed_handshakes;
            failed.fetch_add(1, Ordering::Relaxed);
            let peer = guest.address.map(Peer::from);
            if acceptor.hub.log.admits(Kind::HandshakeFailed, peer) {
                tracing::debug!(peer = peer.map(display), %error, "a TLS handshake failed");
            }
        });
    }
}

/// Does a handshake; returns nothing if the client closes without sending anything, as port checks do.
async fn shake(
    stream: TcpStream,
    tls: TlsAcceptor,
    in_plain: fn() -> Vec<u8>,
) -> io::Result<Option<TlsStream<TcpStream>>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    if first[0] == HANDSHAKE {
        return tls.accept(stream).await.map(Some);
    }
    // A client that does not read this is not waited for.
    let _ = timeout(FAREWELL, turn_away(stream, &in_plain())).await;
    Err(io::Error::other("the client does not speak TLS"))
}

/// Sends the text, then reads to the end: closing with unread input would make the system discard the text.
async fn turn_away(mut stream: TcpStream, words: &[u8]) -> io::Result<()> {
    stream.write_all(words).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(())
}
