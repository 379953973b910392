//! Owns plain HTTP as tests of a running server need it: one question and its answer, what operators look at, and a stream
//! of events. What the requests are is tested elsewhere, byte by byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Process;
use crate::wire::{Incoming, Wire};
use crate::within;

/// Asks over a connection of its own; returns the status and the body.
pub async fn ask(address: SocketAddr, method: &str, target: &str, body: &str) -> (u16, String) {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = within(TcpStream::connect(address))
        .await
        .expect("it listens");
    within(stream.write_all(request.as_bytes()))
        .await
        .expect("taken");
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer))
        .await
        .expect("an answer, as text");
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.expect(head), body.to_owned())
}

/// What `/metrics` says, by name.
pub async fn gauges(server: &Process) -> BTreeMap<String, u64> {
    let (status, text) = ask(server.address("http"), "GET", "/metrics", "").await;
    assert_eq!(status, 200, "{text}");
    text.lines()
        .filter(|line| line.starts_with("mist_"))
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

/// A stream of events.
#[derive(Debug)]
pub struct Events(Wire);

impl Events {
    /// Opens one with these subscriptions, which are live when it is open.
    pub async fn open<T: AsRef<str>>(address: SocketAddr, subscriptions: &[Vec<T>]) -> Self {
        let escaped = |tag: &T| -> String {
            let bytes = tag.as_ref().bytes();
            bytes.map(|byte| format!("%{byte:02X}")).collect()
        };
        let tags = |set: &Vec<T>| {
            let tags: Vec<_> = set.iter().map(escaped).collect();
            format!("tags={}", tags.join(","))
        };
        let query: Vec<_> = subscriptions.iter().map(tags).collect();
        // As 1.0 has it the body comes as it is, without the lengths of its pieces.
        let head = format!(
            "GET /subscribe?{} HTTP/1.0\r\nHost: {address}\r\n\r\n",
            query.join("&")
        );
        let mut wire = Wire::tcp(address).await.expect("it listens");
        wire.write(head.as_bytes()).await.expect("taken");
        let mut events = Self(wire);
        let status = events.line().await.expect("an answer");
        assert!(status.contains(" 200 "), "{status}");
        while events.line().await.as_deref() != Some("retry:3000") {}
        events
    }

    /// The next message; none at the end.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(data) = self.line().await?.strip_prefix("data: ") {
                return Some(data.to_owned());
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        match self.0.next().await {
            Incoming::Message(line) => {
                let line = String::from_utf8(line).expect("events are text");
                Some(line.trim_end_matches('\r').to_owned())
            }
            _ => None,
        }
    }
}
