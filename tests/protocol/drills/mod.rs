//! The drills: crowds, floods and failures, in a short form for every day and a long one (`MIST_DRILL=long`).
//!
//! Owns what they share: how large they are, the figures they report, clients that cost little, and the server's gauges.
//! It must not know any single drill.

mod churn;
mod crowd;
mod guessing;
mod hostile;
mod log;
mod memory;
mod network;
mod rates;
mod reloading;
mod slow_writers;
mod stalled;
mod stopping;

use std::fmt::Display;
use std::process::Command;

use mist_tests::PATIENCE;
use mist_tests::http::gauges;
use mist_tests::process::{LISTENERS, Process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use mist_tests::client::{Kind, PING, PONG, Place, start, tags_json};

const MIB: u64 = 1 << 20;

/// Chooses between the two sizes of a drill.
pub(crate) fn sized<T>(short: T, long: T) -> T {
    match std::env::var("MIST_DRILL").as_deref() {
        Ok("long") => long,
        _ => short,
    }
}

/// Reports a figure; `cargo xtask drill` collects them.
pub(crate) fn figure(drill: &str, name: &str, value: impl Display) {
    eprintln!("figure | {drill} | {name} | {value}");
}

/// Starts a server that shows its gauges too.
fn server(arguments: &[&str]) -> Process {
    let listeners = format!("{LISTENERS},http://127.0.0.1:0");
    Process::start_on(&listeners, arguments)
}

/// Asks for as many descriptors as the system lets this process have, and says whether `count` is among them.
fn has_descriptors(count: usize) -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("the kernel tells");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(4));
    let hard = hard.expect("a hard limit");
    let own = std::process::id().to_string();
    let raised = Command::new("prlimit")
        .args(["--pid", &own, &format!("--nofile={hard}:")])
        .status()
        .expect("prlimit is installed");
    raised.success() && hard.parse().map_or(true, |hard: usize| hard >= count)
}

fn memory(server: &Process) -> u64 {
    server.memory()
}

/// A client without buffers of its own, for crowds. It must be told to the byte what comes.
struct Light {
    stream: TcpStream,
    kind: Kind,
}

impl Light {
    async fn open(place: Place, kind: Kind) -> Self {
        Self::open_with(place, kind, None).await
    }

    /// `room` is what the system may keep for it unread.
    async fn open_with(place: Place, kind: Kind, room: Option<u32>) -> Self {
        let address = match kind {
            Kind::Tcp => place.tcp,
            Kind::Ws => place.ws,
        };
        let socket = TcpSocket::new_v4().expect("a socket");
        if let Some(room) = room {
            socket.set_recv_buffer_size(room).expect("a socket");
        }
        let mut stream = socket.connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        if kind == Kind::Ws {
            let request = format!(
                "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.expect("taken");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("it upgrades"));
            }
            assert!(head.starts_with(b"HTTP/1.1 101"), "{head:?}");
        }
        Self { stream, kind }
    }

    /// A message as it goes over the wire.
    fn framed(&self, message: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.kind {
            Kind::Tcp => bytes.extend([message.as_bytes(), b"\n"].concat()),
            Kind::Ws => {
                // Masked with zeros.
                frame_header(&mut bytes, message.len(), 0x80);
                bytes.extend([0; 4]);
                bytes.extend(message.as_bytes());
            }
        }
        bytes
    }

    async fn send(&mut self, message: &str) {
        let bytes = self.framed(message);
        self.stream.write_all(&bytes).await.expect("taken");
    }

    async fn expect(&mut self, message: &str) {
        let mut wanted = Vec::new();
        match self.kind {
            Kind::Tcp => wanted.extend([message.as_bytes(), b"\n"].concat()),
            Kind::Ws => {
                frame_header(&mut wanted, message.len(), 0);
                wanted.extend(message.as_bytes());
            }
        }
        let mut came = vec![0; wanted.len()];
        let read = async {
            // A ping may be on its way at any time.
            let (head, rest) = came.split_at_mut(2);
            self.stream.read_exact(head).await?;
            while self.kind == Kind::Ws && *head == [0x89, 0] {
                self.stream.read_exact(head).await?;
            }
            self.stream.read_exact(rest).await
        };
        match tokio::time::timeout(PATIENCE, read).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => panic!("{} does not come: {error}", start(message)),
            Err(_) => panic!("{} does not come", start(message)),
        }
        let is_same = came == wanted;
        let came = String::from_utf8_lossy(&came);
        assert!(
            is_same,
            "expected {}, came {}",
            start(message),
            start(&came)
        );
    }

    /// Whatever comes next, if it is short.
    async fn recv(&mut self) -> String {
        let read = async {
            let mut text = Vec::new();
            match self.kind {
                Kind::Tcp => loop {
                    match self.stream.read_u8().await? {
                        b'\n' => break,
                        byte => text.push(byte),
                    }
                },
                Kind::Ws => {
                    assert_eq!(self.stream.read_u8().await?, 0x81, "a text");
                    text.resize(self.stream.read_u8().await?.into(), 0);
                    assert!(text.len() < 126, "it is not short");
                    self.stream.read_exact(&mut text).await?;
                }
            }
            std::io::Result::Ok(text)
        };
        let text = tokio::time::timeout(PATIENCE, read).await;
        let text = text.expect("something comes").expect("it is open");
        String::from_utf8(text).expect("text")
    }

    async fn barrier(&mut self) {
        self.send(PING).await;
        self.expect(PONG).await;
    }

    async fn subscribe<T: AsRef<str>>(&mut self, tags: &[T]) {
        let tags = tags_json(tags);
        self.send(&format!(r#"{{"command":"subscribe","tags":{tags}}}"#))
            .await;
        self.barrier().await;
    }
}

/// The part of a whole text frame that says how long it is.
fn frame_header(bytes: &mut Vec<u8>, length: usize, mask: u8) {
    bytes.push(0x81);
    match length {
        0..126 => bytes.push(mask | length as u8),
        126..0x1_0000 => {
            bytes.push(mask | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
}

/// A publish message as it is sent and as it arrives.
fn message(tag: &str, data: &str) -> String {
    format!(r#"{{"command":"publish","tags":["{tag}"],"data":"{data}"}}"#)
}
