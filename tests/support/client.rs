//! Owns a client that panics with a picture of what went wrong.
//! It must not know any single test.

use std::net::SocketAddr;

use crate::PATIENCE;
use crate::process::{LISTENERS, Process};
use crate::site::{Site, limits};
use crate::transcript::is_like;
use crate::wire::{Incoming, Wire};
pub use crate::{PING, PONG};

/// The two kinds of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lines over TCP.
    Tcp,
    /// WebSocket.
    Ws,
}

/// Both.
pub const KINDS: [Kind; 2] = [Kind::Tcp, Kind::Ws];

impl Kind {
    /// Alternates between the kinds.
    pub fn of(index: usize) -> Self {
        KINDS[index % 2]
    }
}

/// Starts the binary with further arguments.
pub fn server(arguments: &[&str]) -> Process {
    Process::start(arguments)
}

/// Serves within this process, for limits that a test wants short; ends with the test.
pub async fn embedded(changed: &[(&str, u64)]) -> Place {
    let builder = mist::Server::builder().listen(LISTENERS);
    let site = Site::start(builder.limits(limits(changed))).await;
    let place = Place {
        tcp: site.socket(0),
        ws: site.socket(1),
    };
    std::mem::forget(site);
    place
}

/// Where a server can be reached, free to be copied into tasks.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The TCP listener.
    pub tcp: SocketAddr,
    /// The WebSocket listener.
    pub ws: SocketAddr,
}

impl Place {
    /// Where a process can be reached.
    pub fn of(server: &Process) -> Self {
        Self {
            tcp: server.address("tcp"),
            ws: server.address("ws"),
        }
    }

    /// Connects over one of the kinds.
    pub async fn connect(self, kind: Kind) -> Client {
        let wire = match kind {
            Kind::Tcp => Wire::tcp(self.tcp).await,
            Kind::Ws => Wire::ws(self.ws).await,
        };
        Client {
            wire: wire.unwrap_or_else(|error| panic!("connecting over {kind:?}: {error}")),
            kind,
        }
    }

    /// Connects over TCP.
    pub async fn tcp(self) -> Client {
        self.connect(Kind::Tcp).await
    }

    /// Connects over WebSocket.
    pub async fn ws(self) -> Client {
        self.connect(Kind::Ws).await
    }

    /// Connects and presents a token.
    pub async fn admin(self, kind: Kind, token: &str) -> Client {
        let mut client = self.connect(kind).await;
        client
            .send(&format!(r#"{{"command":"auth","data":"{token}","id":0}}"#))
            .await;
        client
            .expect(r#"{"command":"auth","data":"success","id":0}"#)
            .await;
        client
    }
}

/// A connection that knows what it wants.
#[derive(Debug)]
pub struct Client {
    /// Its socket.
    pub wire: Wire,
    /// Over what.
    pub kind: Kind,
}

impl Client {
    /// Sends one message.
    pub async fn send(&mut self, message: &str) {
        let kind = self.kind;
        self.wire
            .send(message)
            .await
            .unwrap_or_else(|error| panic!("sending over {kind:?}: {error}"));
    }

    /// Writes bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.wire
            .write(bytes)
            .await
            .expect("the server takes bytes");
    }

    /// The next message as text.
    pub async fn recv(&mut self) -> String {
        match self.wire.recv().await {
            Incoming::Message(bytes) => String::from_utf8(bytes).expect("a message is UTF-8"),
            other => panic!("expected a message over {:?}, came: {other:?}", self.kind),
        }
    }

    /// Expects exactly this message next.
    pub async fn expect(&mut self, message: &str) {
        match self.wire.recv().await {
            Incoming::Message(bytes) if bytes == message.as_bytes() => {}
            Incoming::Message(bytes) => {
                let came = String::from_utf8_lossy(&bytes).into_owned();
                panic!(
                    "{:?}: expected {}, came {}",
                    self.kind,
                    start(message),
                    start(&came)
                );
            }
            other => panic!(
                "{:?}: expected {}, came {other:?}",
                self.kind,
                start(message)
            ),
        }
    }

    /// Expects a message that matches this pattern next.
    pub async fn expect_like(&mut self, pattern: &str) {
        let came = self.recv().await;
        assert!(
            is_like(pattern, &came),
            "{:?}: expected {pattern}, came {}",
            self.kind,
            start(&came)
        );
    }

    /// Expects the end, on WebSocket perhaps with a code, and nothing before it.
    pub async fn expect_closed(&mut self) -> Option<u16> {
        match self.wire.recv().await {
            Incoming::Closed(code) => code,
            other => panic!("{:?}: expected the end, came {other:?}", self.kind),
        }
    }

    /// Proves that nothing is on its way to this client.
    pub async fn barrier(&mut self) {
        self.send(PING).await;
        self.expect(PONG).await;
    }

    /// Subscribes, and waits until that has taken effect.
    pub async fn subscribe<T: AsRef<str>>(&mut self, tags: &[T]) {
        self.send(&format!(
            r#"{{"command":"subscribe","tags":{}}}"#,
            tags_json(tags)
        ))
        .await;
        self.barrier().await;
    }

    /// Publishes without waiting.
    pub async fn publish<T: AsRef<str>>(&mut self, tags: &[T], data: &str) {
        self.send(&format!(
            r#"{{"command":"publish","tags":{},"data":"{data}"}}"#,
            tags_json(tags)
        ))
        .await;
    }

    /// Everything that comes before the answer to a ping.
    pub async fn until_pong(&mut self) -> Vec<String> {
        self.send(PING).await;
        let mut messages = Vec::new();
        loop {
            let message = self.recv().await;
            if message == PONG {
                return messages;
            }
            messages.push(message);
        }
    }

    /// Leaves, and waits until the server has let go.
    pub async fn close(mut self) {
        self.wire.close().await.expect("the server closes");
    }
}

/// Proves that a server is alive and delivers, over both kinds of sockets.
pub async fn is_well(place: Place) {
    for kind in KINDS {
        let mut subscriber = place.connect(kind).await;
        subscriber.subscribe(&["is it well?"]).await;
        let mut publisher = place.connect(kind).await;
        publisher.publish(&["is it well?"], "yes").await;
        subscriber
            .expect(r#"{"command":"publish","tags":["is it well?"],"data":"yes"}"#)
            .await;
        subscriber.close().await;
        publisher.close().await;
    }
}

/// Asks again and again, with a round trip to the server between, until the answer is yes.
pub async fn eventually(place: Place, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = std::time::Instant::now();
    let mut witness = place.tcp().await;
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "it does not come true: {what}");
        witness.barrier().await;
    }
}

/// Tags as they stand in a message.
pub fn tags_json<T: AsRef<str>>(tags: &[T]) -> String {
    let tags: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
    serde_json::to_string(&tags).expect("strings can be written")
}

/// The start of a text that may be long.
pub fn start(text: &str) -> String {
    if text.len() <= 300 {
        text.to_owned()
    } else {
        format!(
            "{}… ({} bytes)",
            text.chars().take(300).collect::<String>(),
            text.len()
        )
    }
}
