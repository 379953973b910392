//! Code of the host's own that the server runs, and that calls the server again: nothing panics and nothing locks up.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing_subscriber::layer::{Context as Around, SubscriberExt};

use super::*;

/// Known once the server is bound.
type Later = Arc<OnceLock<Handle>>;

fn publish(server: &Later, tag: &str, data: &str) {
    server.get().expect("it is bound").publish(&[tag], data);
}

/// A stream that publishes whenever it is read or written.
struct Meddler {
    pipe: DuplexStream,
    server: Later,
}

impl AsyncRead for Meddler {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        publish(&self.server, "meddled", "read");
        Pin::new(&mut self.pipe).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Meddler {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        publish(&self.server, "meddled", "written");
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        publish(&self.server, "meddled", "dropped");
    }
}

/// Serves one meddler, as coming from an address.
struct Meddling(Option<Meddler>);

impl Listener for Meddling {
    fn address(&self) -> Address {
        Address::new("meddling", "here")
    }

    fn serve(self: Box<Self>, acceptor: Acceptor) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if let Some(meddler) = self.0 {
                acceptor.accept_from(meddler, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
            }
            acceptor.stopped().await;
        })
    }
}

/// A server with a meddler at one of its listeners, whose other end this is, and with pipes at another.
async fn meddled(build: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (House, Peer, Later) {
    let server = Later::default();
    let (near, pipe) = tokio::io::duplex(64 << 10);
    let meddler = Meddler {
        pipe,
        server: Arc::clone(&server),
    };
    let house = House::with(|builder| build(builder.listener(Meddling(Some(meddler))))).await;
    let _ = server.set(house.site.handle.clone());
    (house, Peer(BufReader::new(near)), server)
}

async fn subscriber(house: &House, tag: &str) -> Peer {
    let mut subscriber = house.connect();
    let subscribe = format!(r#"{{"command":"subscribe","tags":["{tag}"],"id":1}}"#);
    subscriber.send(&subscribe).await;
    assert!(subscriber.line().await.contains("success"));
    subscriber
}

#[tokio::test]
async fn a_stream_may_publish_while_it_is_read_written_and_dropped() {
    let (house, mut meddler, _) = meddled(|builder| builder).await;
    let mut subscriber = subscriber(&house, "meddled").await;
    meddler.send(PING).await;
    meddler.expect(PONG).await;
    drop(meddler);
    for what in ["read", "written", "dropped"] {
        while !subscriber.line().await.contains(what) {}
    }
    let _ = house.site.stop.send(());
    within(house.site.run).await.expect("it ends in order");
}

/// Publishes where each line of the server's log comes from.
struct Publishing(Later);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Publishing {
    fn on_event(&self, event: &tracing::Event<'_>, _: Around<'_, S>) {
        let target = event.metadata().target();
        if target.starts_with("mist") && self.0.get().is_some() {
            publish(&self.0, "log", target);
        }
    }
}

#[tokio::test]
async fn a_layer_may_publish_what_the_server_logs() {
    let mut limits = Limits::default();
    limits.set("failed-tokens", 1).expect("a limit");
    let guarded = |builder: ServerBuilder| {
        let builder = builder.authenticator("memory://").token("s3cret");
        builder.limits(limits)
    };
    let (house, mut meddler, server) = meddled(guarded).await;
    let lines = tracing_subscriber::registry().with(Publishing(server));
    let _default = tracing::subscriber::set_default(lines);
    let mut subscriber = subscriber(&house, "log").await;
    // A line about a token is written while the broker is being changed.
    meddler.send(r#"{"command":"auth","data":"wrong"}"#).await;
    assert!(meddler.line().await.contains("not valid"));
    assert!(subscriber.line().await.contains("mist_server::hub"));
    // And one about a client that speaks TLS, in the middle of reading from it.
    let mut other = house.connect();
    let hello = [0x16, 3, 1, 0, 5];
    within(other.0.write_all(&hello)).await.expect("sent");
    assert_eq!(other.line().await, "", "it is closed");
    assert!(subscriber.line().await.contains("mist_server::connection"));
}
