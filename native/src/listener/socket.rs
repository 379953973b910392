//! Owns taking the address that a URI names, and accepting on it; knows nothing of what is spoken there.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{Acceptor, ListenError};

/// Host and port of a URI like `tcp://127.0.0.1:1445`.
pub(super) struct Place<'a> {
    uri: &'a str,
    pub(super) host: &'a str,
    port: u16,
}

impl<'a> Place<'a> {
    /// Reads a URI; without a port in it, it is `default_port`.
    pub(super) fn of(uri: &'a str, default_port: u16) -> Result<Self, ListenError> {
        let invalid = |why: &str| ListenError::Uri {
            uri: uri.to_owned(),
            why: why.to_owned(),
        };
        let (_, rest) = uri
            .split_once("://")
            .ok_or_else(|| invalid("no '://' behind the scheme"))?;
        let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let place = place.rsplit('@').next().unwrap_or_default();
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            _ => (place, None),
        };
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').unwrap_or(inner),
            None => host,
        };
        if host.is_empty() {
            return Err(invalid("no host and port"));
        }
        let port = match port {
            Some(port) => port
                .parse()
                .map_err(|_| invalid(&format!("'{port}' is not a port")))?,
            None => default_port,
        };
        Ok(Self { uri, host, port })
    }

    /// Takes the address.
    pub(super) async fn bind(&self) -> Result<(TcpListener, SocketAddr), ListenError> {
        let wrong = |source| ListenError::io(self.uri, source);
        let addresses = tokio::net::lookup_host((self.host, self.port))
            .await
            .map_err(wrong)?;
        let mut refused = ListenError::Uri {
            uri: self.uri.to_owned(),
            why: "the host has no address".to_owned(),
        };
        for address in addresses {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4(),
                SocketAddr::V6(_) => TcpSocket::new_v6(),
            };
            let bound = socket.and_then(|socket| {
                socket.set_reuseaddr(true)?;
                socket.bind(address)?;
                if IS_INHERITED {
                    set_options(SockRef::from(&socket));
                }
                let listener = socket.listen(BACKLOG)?;
                let address = listener.local_addr()?;
                Ok((listener, address))
            });
            match bound {
                Ok(bound) => return Ok(bound),
                Err(source) => refused = wrong(source),
            }
        }
        Err(refused)
    }
}

/// Whether connections have the options that their listener had when they came; that saves four system calls for each.
const IS_INHERITED: bool = cfg!(target_os = "linux");

/// Connections that the system takes before they are accepted.
pub(super) const BACKLOG: u32 = 4096;

/// Accepts TCP connections for as long as the server runs.
pub(super) async fn accept_tcp(
    listener: TcpListener,
    acceptor: &Acceptor,
    mut serve: impl FnMut(TcpStream, SocketAddr),
) {
    let poll = |cx: &mut Context<'_>| listener.poll_accept(cx);
    accept_all(acceptor, poll, |(stream, peer)| {
        if !IS_INHERITED {
            set_options(SockRef::from(&stream));
        }
        serve(stream, peer);
    })
    .await;
}

/// Sets what every connection has; one that cannot have it is served all the same.
fn set_options(socket: SockRef<'_>) {
    // Small messages are written in batches already; waiting for more would only delay them.
    let _ = socket.set_tcp_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15));
    let _ = socket.set_tcp_keepalive(&keepalive);
}

/// Accepts for as long as the server runs. No error ends it: where the system is short of something, it waits a little.
pub(super) async fn accept_all<T>(
    acceptor: &Acceptor,
    poll: impl Fn(&mut Context<'_>) -> Poll<io::Result<T>>,
    mut serve: impl FnMut(T),
) {
    const SHORTEST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(1);
    let mut pause = SHORTEST;
    loop {
        let accepted = tokio::select! {
            () = acceptor.stopped() => return,
            accepted = std::future::poll_fn(&poll) => accepted,
        };
        match accepted {
            Ok(accepted) => {
                pause = SHORTEST;
                serve(accepted);
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                if pause == SHORTEST {
                    tracing::error!(%error, "cannot accept connections for now; trying again");
                }
                tokio::select! {
                    () = acceptor.stopped() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST);
            }
        }
    }
}

/// Whether it was the connection that failed, not the listener.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn who_comes_before_the_server_accepts_has_the_listeners_options() {
        let place = Place::of("tcp://127.0.0.1:0", 0).expect("a place");
        let (listener, address) = place.bind().await.expect("a free port");
        let client = TcpStream::connect(address).await.expect("it listens");
        let (accepted, _) = listener.accept().await.expect("somebody came");
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().expect("an option"));
        assert!(socket.keepalive().expect("an option"));
        let (time, interval) = (Duration::from_secs(60), Duration::from_secs(15));
        assert_eq!(socket.tcp_keepalive_time().expect("an option"), time);
        let found = socket.tcp_keepalive_interval();
        assert_eq!(found.expect("an option"), interval);
        drop(client);
    }
}
