//! Owns the sockets that listen, and accepting on them; knows nothing of what is spoken there.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use socket2::{SockRef, Socket, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep_until;

use super::acceptor::Acceptor;
use crate::log_limit::Kind;

/// Binds an address; for port 0 the system chooses one. `[::]` can be for IPv6 only.
pub(super) fn listen(
    address: SocketAddr,
    is_ipv6_alone: bool,
) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // On Windows this would share the port with any other program that listens there.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    // The default differs between systems.
    if address.is_ipv6() {
        SockRef::from(&socket).set_only_v6(is_ipv6_alone)?;
    }
    socket.bind(address)?;
    if IS_INHERITED {
        set_options(SockRef::from(&socket));
    }
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Takes over a socket that is already listening.
pub(super) fn inherit(socket: Socket) -> io::Result<(TcpListener, SocketAddr)> {
    socket.set_nonblocking(true)?;
    if IS_INHERITED {
        set_options(SockRef::from(&socket));
    }
    let listener = TcpListener::from_std(socket.into())?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Whether new connections inherit the options of their listener, which saves four system calls for each.
const IS_INHERITED: bool = cfg!(target_os = "linux");

/// Connections that the system queues until they are accepted.
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

/// Bytes that the system buffers before it has sent them.
///
/// By default it buffers several MiB, which are not counted anywhere, and then accepts nothing before a third of them
/// is sent: a client that reads 150 KB a second would seem to be stalled for ten seconds, and be closed.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 512 << 10;

/// Sets the options of a connection. If one cannot be set, the connection is served all the same.
fn set_options(socket: SockRef<'_>) {
    // Small messages are already written in batches; waiting for more would only delay them.
    let _ = socket.set_tcp_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15));
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_notsent_lowat(UNSENT_BYTES);
}

/// Accepts connections until the server stops. No error ends it: if the system is short of resources, it waits a
/// little.
pub(super) async fn accept_all<T>(
    acceptor: &Acceptor,
    poll: impl Fn(&mut Context<'_>) -> Poll<io::Result<T>>,
    mut serve: impl FnMut(T),
) {
    const SHORTEST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(1);
    let mut pause = SHORTEST;
    loop {
        // Connections that arrive meanwhile wait in the system's queue.
        let mut has_paused = tokio::select! {
            () = acceptor.stopped() => return,
            has_paused = until_another_may_come(acceptor) => has_paused,
        };
        let at_once = std::future::poll_fn(|cx| {
            let polled = poll(cx);
            // The connection was there before the pause was over.
            if has_paused && polled.is_ready() {
                acceptor.hub.rates.note_late_connect();
            }
            has_paused = false;
            polled
        });
        let accepted = tokio::select! {
            () = acceptor.stopped() => return,
            accepted = at_once => accepted,
        };
        match accepted {
            Ok(accepted) => {
                pause = SHORTEST;
                serve(accepted);
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                if pause == SHORTEST && acceptor.hub.log.admits(Kind::CannotAccept, None) {
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

/// Waits until the rate of connections allows another; returns whether it had to wait.
async fn until_another_may_come(acceptor: &Acceptor) -> bool {
    if let Some(seats) = &acceptor.seats {
        // It is acquired once a connection has been accepted.
        drop(seats.acquire().await);
        return false;
    }
    let mut has_paused = false;
    while let Some(due) = acceptor.hub.rates.next_connect(Instant::now()) {
        has_paused = true;
        sleep_until(due.into()).await;
    }
    has_paused
}

/// Whether the connection failed, not the listener.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_comes_before_the_server_accepts_has_the_listeners_options() {
        let any = "127.0.0.1:0".parse().expect("an address");
        let (listener, address) = listen(any, false).expect("a free port");
        let client = TcpStream::connect(address).await.expect("it listens");
        let (accepted, _) = listener.accept().await.expect("somebody came");
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().expect("an option"));
        assert!(socket.keepalive().expect("an option"));
        let (time, interval) = (Duration::from_secs(60), Duration::from_secs(15));
        assert_eq!(socket.tcp_keepalive_time().expect("an option"), time);
        let found = socket.tcp_keepalive_interval();
        assert_eq!(found.expect("an option"), interval);
        let unsent = socket.tcp_notsent_lowat();
        assert_eq!(unsent.expect("an option"), UNSENT_BYTES);
        drop(client);
    }
}
