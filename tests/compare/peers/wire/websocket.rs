//! Owns WebSocket: mist over it, one JSON object per text frame, and how others get in and speak.
//!
//! Frames are made and recognised here and not by a library because the generator compares whole
//! streams of bytes; a library would hand out one message at a time and become the bottleneck.

use std::net::TcpStream;

use anyhow::{Result, ensure};

use super::mist::{PING, PONG, head, sorted_head, subscribe};
use super::{Interlude, Place, Role, Subscription, Template, Wire, ask};

/// mist over WebSocket.
pub(crate) struct MistWebSocket;

pub(super) const TEXT: u8 = 0x81;
const PING_FRAME: u8 = 0x89;
const PONG_FRAME: u8 = 0x8a;

/// Any mask will do for a benchmark, as long as it is not all zero.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The key and the answer of the example in RFC 6455.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The first bytes of a frame, up to the mask.
fn frame_head(kind: u8, len: usize, masked: u8) -> Vec<u8> {
    match u16::try_from(len) {
        Ok(short @ ..=125) => vec![kind, masked | short as u8],
        Ok(middle) => {
            let [high, low] = middle.to_be_bytes();
            vec![kind, masked | 126, high, low]
        }
        Err(_) => {
            let mut head = vec![kind, masked | 127];
            head.extend_from_slice(&(len as u64).to_be_bytes());
            head
        }
    }
}

fn mask(bytes: &mut [u8]) {
    for (byte, key) in bytes.iter_mut().zip(MASK.iter().cycle()) {
        *byte ^= key;
    }
}

/// A frame from a client.
pub(super) fn masked(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = frame_head(kind, body.len(), 0x80);
    frame.extend_from_slice(&MASK);
    let start = frame.len();
    frame.extend_from_slice(body);
    mask(&mut frame[start..]);
    frame
}

impl<const N: usize> Place<N> {
    /// The same place in a frame of which `before` bytes stand before the masked ones.
    fn masked(self, before: usize) -> Self {
        let mut pad = [0; N];
        for (at, byte) in pad.iter_mut().enumerate() {
            *byte = MASK[(self.at + at) % MASK.len()];
        }
        let at = before + self.at;
        Self { at, pad }
    }
}

impl Template {
    /// This message as the frame of a client.
    pub(super) fn into_client_frame(self) -> Self {
        let before = frame_head(TEXT, self.bytes.len(), 0x80).len() + MASK.len();
        let stamps = self.stamps.iter().map(|place| place.masked(before));
        let turns = self.turns.iter().map(|place| place.masked(before));
        Self {
            bytes: masked(TEXT, &self.bytes),
            stamps: stamps.collect(),
            turns: turns.collect(),
        }
    }

    /// This message as the frame of a server.
    fn into_server_frame(self) -> Self {
        let mut bytes = frame_head(TEXT, self.bytes.len(), 0);
        let before = bytes.len();
        let stamps = self.stamps.iter().map(|place| place.moved(before));
        let turns = self.turns.iter().map(|place| place.moved(before));
        bytes.extend_from_slice(&self.bytes);
        Self {
            bytes,
            stamps: stamps.collect(),
            turns: turns.collect(),
        }
    }
}

/// Turns a connection into a WebSocket; reads up to `end`.
pub(super) fn upgrade(socket: &mut TcpStream, path: &str, end: &[u8]) -> Result<()> {
    let host = socket.peer_addr()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    let answer = ask(socket, request.as_bytes(), end)?;
    let answer = String::from_utf8_lossy(&answer);
    ensure!(
        answer.starts_with("HTTP/1.1 101 ") && answer.contains(ACCEPT),
        "the upgrade was refused: {answer}"
    );
    Ok(())
}

impl Wire for MistWebSocket {
    fn has_tag_sets(&self) -> bool {
        true
    }

    fn greet(&self, socket: &mut TcpStream, _role: Role<'_>) -> Result<()> {
        upgrade(socket, "/subscribe/websocket", b"\r\n\r\n")
    }

    fn subscribe(&self, subscription: &Subscription, out: &mut Vec<u8>) {
        out.extend(masked(TEXT, subscribe(subscription).as_bytes()));
    }

    fn publish(&self, tags: &[String], size: usize) -> Template {
        Template::around(head(tags).as_bytes(), size, b"\"}").into_client_frame()
    }

    fn delivery(&self, tags: &[String], _: &Subscription, size: usize) -> Template {
        Template::around(sorted_head(tags).as_bytes(), size, b"\"}").into_server_frame()
    }

    fn ping(&self, out: &mut Vec<u8>) {
        out.extend(masked(TEXT, PING));
    }

    fn pong(&self, _role: Role<'_>) -> Vec<u8> {
        [&frame_head(TEXT, PONG.len(), 0), PONG].concat()
    }

    fn interlude(&self, bytes: &[u8]) -> Interlude {
        let [PING_FRAME, rest @ ..] = bytes else {
            return Interlude::Foreign;
        };
        // A control frame has at most 125 bytes, and a server does not mask.
        let Some((&len, rest)) = rest.split_first() else {
            return Interlude::Incomplete;
        };
        match rest.get(..usize::from(len)) {
            Some(body) => Interlude::Skip {
                len: 2 + body.len(),
                reply: masked(PONG_FRAME, body),
            },
            None => Interlude::Incomplete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Stamp, VARIABLE};
    use super::*;

    #[test]
    fn unmasking_a_publish_gives_the_delivery() {
        let tags = ["a".to_owned(), format!("b{VARIABLE}")];
        let mut sent = MistWebSocket.publish(&tags, 200);
        let to = Subscription {
            tags: tags.to_vec(),
            open: false,
        };
        let mut came = MistWebSocket.delivery(&tags, &to, 200);
        let mut sent = sent.stamp(Stamp::new(3, 77, 5)).to_vec();
        mask(&mut sent[8..]);
        assert_eq!(sent[..2], [TEXT, 0x80 | 126]);
        assert_eq!(sent[8..], came.stamp(Stamp::new(3, 77, 5))[4..]);
    }
}
