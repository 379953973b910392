//! A WebSocket listener and a client that sends anything: the request for the upgrade, frames behind it. What comes back
//! is HTTP, then frames as a server may send them, and then the end.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::runtime;

/// Far longer than an answer takes; whoever is not answered then is forgotten.
const PATIENCE: Duration = Duration::from_secs(30);

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn server() -> SocketAddr {
    static SERVER: OnceLock<SocketAddr> = OnceLock::new();
    *SERVER.get_or_init(|| {
        let mut limits = mist::Limits::default();
        for (name, value) in [("message-bytes", 4096), ("drain-seconds", 1)] {
            limits.set(name, value).expect("a known limit");
        }
        let server = mist::Server::builder()
            .listen("ws://127.0.0.1:0")
            .limits(limits)
            .bind();
        let server = runtime().block_on(server).expect("a free port");
        let address = server.addresses()[0].socket().expect("a socket");
        runtime().spawn(server.run(std::future::pending()));
        address
    })
}

pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((form, bytes)) = bytes.split_first() else {
        return;
    };
    // With the request given, all the rest is frames.
    let sent = if form & 1 == 1 {
        [REQUEST, bytes].concat()
    } else {
        bytes.to_vec()
    };
    let address = server();
    let answer = runtime().block_on(async {
        tokio::time::timeout(PATIENCE, exchange(address, &sent))
            .await
            .expect("it neither answers nor ends")
    });
    check(&answer);
}

async fn exchange(address: SocketAddr, sent: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let mut answer = Vec::new();
    let (mut reader, mut writer) = stream.split();
    let writing = async {
        // A server that has heard enough need not take the rest.
        let _ = writer.write_all(sent).await;
        let _ = writer.shutdown().await;
    };
    let reading = async {
        let _ = reader.read_to_end(&mut answer).await;
    };
    tokio::join!(writing, reading);
    // Thousands of connections a second: none may linger in the system.
    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    answer
}

fn check(answer: &[u8]) {
    if answer.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(answer);
    assert!(text.starts_with("HTTP/1."), "{text}");
    if !text.starts_with("HTTP/1.1 101") {
        return;
    }
    let head = text.find("\r\n\r\n").expect("a whole head") + 4;
    let mut rest = &answer[head..];
    let mut is_closed = false;
    while let [first, second, after @ ..] = rest {
        assert!(!is_closed, "a frame behind the closing one");
        let (length, after) = match (second, after) {
            (126, [a, b, after @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), after),
            (short @ 0..126, after) => (usize::from(*short), after),
            other => panic!("a header of {other:?}"),
        };
        let (payload, after) = after.split_at_checked(length).expect("a whole frame");
        match first {
            0x81 => {
                let message: serde_json::Value =
                    serde_json::from_slice(payload).expect("a message is JSON");
                assert!(message["command"].is_string(), "{message}");
            }
            0x88 => {
                is_closed = true;
                assert_ne!(length, 1, "half a code");
            }
            0x89 | 0x8A => assert!(length < 126, "a long pong"),
            other => panic!("a frame that begins with {other:#x}"),
        }
        rest = after;
    }
    assert!(rest.is_empty(), "half a frame");
}
