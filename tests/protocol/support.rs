//! Owns what the tests of this binary share: a client that panics with a picture, and numbers that only look random.
//! It must not know any single test.

use std::net::SocketAddr;

use mist_tests::process::{LISTENERS, Process};
use mist_tests::transcript::is_like;
use mist_tests::wire::{Incoming, Wire};

pub(crate) const PING: &str = r#"{"command":"ping"}"#;
pub(crate) const PONG: &str = r#"{"command":"ping","data":"pong"}"#;

/// The two kinds of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Ws,
}

pub(crate) const KINDS: [Kind; 2] = [Kind::Tcp, Kind::Ws];

impl Kind {
    /// Alternates between the kinds.
    pub(crate) fn of(index: usize) -> Self {
        KINDS[index % 2]
    }
}

/// Starts the binary with further arguments.
pub(crate) fn server(arguments: &[&str]) -> Process {
    Process::start(arguments).expect("the server starts")
}

/// Serves within this process, for limits that a test wants short; ends with the test.
pub(crate) async fn embedded(limits: &[(&str, u64)]) -> Place {
    let mut all = mist::Limits::default();
    for (name, value) in limits {
        all.set(name, *value).expect("the limit is known");
    }
    let server = mist::Server::builder()
        .listen(LISTENERS)
        .limits(all)
        .bind()
        .await
        .expect("free ports");
    let socket = |index: usize| {
        server.addresses()[index]
            .socket()
            .expect("an internet socket")
    };
    let place = Place {
        tcp: socket(0),
        ws: socket(1),
    };
    tokio::spawn(server.run(std::future::pending()));
    place
}

/// Where a server can be reached, free to be copied into tasks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) tcp: SocketAddr,
    pub(crate) ws: SocketAddr,
}

impl Place {
    pub(crate) fn of(server: &Process) -> Self {
        Self {
            tcp: server.address("tcp"),
            ws: server.address("ws"),
        }
    }

    pub(crate) async fn connect(self, kind: Kind) -> Client {
        let wire = match kind {
            Kind::Tcp => Wire::tcp(self.tcp).await,
            Kind::Ws => Wire::ws(self.ws).await,
        };
        Client {
            wire: wire.unwrap_or_else(|error| panic!("connecting over {kind:?}: {error}")),
            kind,
        }
    }

    pub(crate) async fn tcp(self) -> Client {
        self.connect(Kind::Tcp).await
    }

    pub(crate) async fn ws(self) -> Client {
        self.connect(Kind::Ws).await
    }

    pub(crate) async fn admin(self, kind: Kind, token: &str) -> Client {
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
pub(crate) struct Client {
    pub(crate) wire: Wire,
    pub(crate) kind: Kind,
}

impl Client {
    pub(crate) async fn send(&mut self, message: &str) {
        let kind = self.kind;
        self.wire
            .send(message)
            .await
            .unwrap_or_else(|error| panic!("sending over {kind:?}: {error}"));
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.wire
            .write(bytes)
            .await
            .expect("the server takes bytes");
    }

    /// The next message as text.
    pub(crate) async fn recv(&mut self) -> String {
        match self.wire.recv().await {
            Incoming::Message(bytes) => String::from_utf8(bytes).expect("a message is UTF-8"),
            other => panic!("expected a message over {:?}, came: {other:?}", self.kind),
        }
    }

    pub(crate) async fn expect(&mut self, message: &str) {
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

    pub(crate) async fn expect_like(&mut self, pattern: &str) {
        let came = self.recv().await;
        assert!(
            is_like(pattern, &came),
            "{:?}: expected {pattern}, came {}",
            self.kind,
            start(&came)
        );
    }

    /// Expects the end, on WebSocket perhaps with a code, and nothing before it.
    pub(crate) async fn expect_closed(&mut self) -> Option<u16> {
        match self.wire.recv().await {
            Incoming::Closed(code) => code,
            other => panic!("{:?}: expected the end, came {other:?}", self.kind),
        }
    }

    /// Proves that nothing is on its way to this client.
    pub(crate) async fn barrier(&mut self) {
        self.send(PING).await;
        self.expect(PONG).await;
    }

    pub(crate) async fn subscribe<T: AsRef<str>>(&mut self, tags: &[T]) {
        self.send(&format!(
            r#"{{"command":"subscribe","tags":{}}}"#,
            tags_json(tags)
        ))
        .await;
        self.barrier().await;
    }

    pub(crate) async fn publish<T: AsRef<str>>(&mut self, tags: &[T], data: &str) {
        self.send(&format!(
            r#"{{"command":"publish","tags":{},"data":"{data}"}}"#,
            tags_json(tags)
        ))
        .await;
    }

    /// Everything that comes before the answer to a ping.
    pub(crate) async fn until_pong(&mut self) -> Vec<String> {
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

    pub(crate) async fn close(mut self) {
        self.wire.close().await.expect("the server closes");
    }
}

/// Proves that a server is alive and delivers, over both kinds of sockets.
pub(crate) async fn is_well(place: Place) {
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
pub(crate) async fn eventually(place: Place, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = std::time::Instant::now();
    let mut witness = place.tcp().await;
    while !holds().await {
        assert!(
            start.elapsed() < mist_tests::wire::PATIENCE,
            "it does not come true: {what}"
        );
        witness.barrier().await;
    }
}

pub(crate) fn tags_json<T: AsRef<str>>(tags: &[T]) -> String {
    let tags: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
    serde_json::to_string(&tags).expect("strings can be written")
}

pub(crate) fn start(text: &str) -> String {
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

/// A reproducible sequence of numbers (SplitMix64).
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
