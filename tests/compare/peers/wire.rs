//! Owns what the load generator must know of a protocol: how things are said, and which exact bytes
//! come back.
//!
//! A wire is asked while a load is set up; what it answers are templates, so that the loop which
//! moves millions of messages neither parses nor formats. It knows nothing of sockets once the
//! greeting is over.

mod mist;
mod mosquitto;
mod nats;
mod redis;
mod relay;
mod websocket;

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Result, bail};

pub(crate) use mist::MistTcp;
pub(crate) use mosquitto::Mosquitto;
pub(crate) use nats::{Nats, NatsWebSocket};
pub(crate) use redis::Redis;
pub(crate) use relay::{READY, RelayWire};
pub(crate) use websocket::MistWebSocket;

/// How many bytes of each payload number the message.
pub(crate) const STAMP: usize = 16;

/// How many bytes of a tag vary.
const TURN: usize = 8;

/// In a tag, what each message replaces by the letters of its turn.
pub(crate) const VARIABLE: &str = "\0\0\0\0\0\0\0\0";

/// The bytes of one message, with a place for its number.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where the number stands; in more than one place if a message has to be said repeatedly.
    stamps: Vec<Place<STAMP>>,
    /// Where the variable parts of tags stand.
    turns: Vec<Place<TURN>>,
}

/// A place for `N` bytes in a message.
#[derive(Clone, Copy, Debug)]
struct Place<const N: usize> {
    at: usize,
    /// What they are XORed with: WebSocket clients must mask.
    pad: [u8; N],
}

impl<const N: usize> Place<N> {
    fn at(at: usize) -> Self {
        Self { at, pad: [0; N] }
    }

    fn moved(self, by: usize) -> Self {
        let at = self.at + by;
        Self { at, ..self }
    }

    #[inline]
    fn fill(&self, bytes: &mut [u8], text: [u8; N]) {
        let mut text = text;
        for (byte, pad) in text.iter_mut().zip(self.pad) {
            *byte ^= pad;
        }
        bytes[self.at..self.at + N].copy_from_slice(&text);
    }
}

impl Template {
    /// `head`, a payload of `size` bytes, `tail`.
    pub(crate) fn around(head: &[u8], size: usize, tail: &[u8]) -> Self {
        let mut bytes = head.to_vec();
        let stamp_at = bytes.len();
        bytes.resize(stamp_at + STAMP, b'a');
        // Printable, free of anything a protocol would escape, and not all the same.
        bytes.extend((STAMP..size).map(|at| b'0' + u8::try_from(at % 75).unwrap_or(0)));
        for byte in &mut bytes[stamp_at..] {
            if matches!(*byte, b'\\' | b'"') {
                *byte = b'~';
            }
        }
        bytes.extend_from_slice(tail);
        let variable = VARIABLE.as_bytes();
        let mut turns = Vec::new();
        for (at, window) in head.windows(TURN).enumerate() {
            if window == variable {
                turns.push(Place::at(at));
            }
        }
        Self {
            bytes,
            stamps: vec![Place::at(stamp_at)],
            turns,
        }
    }

    /// Says all of these, which are not masked, under the same number.
    pub(crate) fn joined(parts: &[Self]) -> Self {
        let mut whole = Self {
            bytes: Vec::new(),
            stamps: Vec::new(),
            turns: Vec::new(),
        };
        for part in parts {
            let start = whole.bytes.len();
            let stamps = part.stamps.iter().map(|place| place.moved(start));
            whole.stamps.extend(stamps);
            let turns = part.turns.iter().map(|place| place.moved(start));
            whole.turns.extend(turns);
            whole.bytes.extend_from_slice(&part.bytes);
        }
        whole
    }

    /// Puts the number of a message into the payload, and its turn into the tags that vary.
    #[inline]
    pub(crate) fn stamp(&mut self, stamp: Stamp) -> &[u8] {
        for place in &self.stamps {
            place.fill(&mut self.bytes, stamp.number);
        }
        for place in &self.turns {
            place.fill(&mut self.bytes, stamp.turn);
        }
        &self.bytes
    }

    /// How many bytes the message has.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// What is different in each message.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    /// As it stands in the payload: publisher and running number.
    number: [u8; STAMP],
    /// As it stands in the tags that vary.
    turn: [u8; TURN],
}

/// Two letters for each byte.
const LETTERS: [[u8; 2]; 256] = {
    let mut letters = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        letters[byte] = [b'a' + (byte as u8 >> 4), b'a' + (byte as u8 & 15)];
        byte += 1;
    }
    letters
};

impl Stamp {
    /// The stamp of message `number` of publisher `flow`, whose tags that vary are those of `turn`.
    #[inline]
    pub(crate) fn new(flow: u32, number: u32, turn: u32) -> Self {
        let value = (u64::from(flow) << 32) | u64::from(number);
        Self {
            number: letters(value.to_be_bytes()),
            turn: letters(turn.to_be_bytes()),
        }
    }
}

/// `bytes` as text of `M` letters.
#[inline]
fn letters<const N: usize, const M: usize>(bytes: [u8; N]) -> [u8; M] {
    let mut text = [0; M];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&LETTERS[usize::from(byte)]);
    }
    text
}

/// What a connection is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role<'a> {
    /// Publishes messages with these tags (and others).
    Publisher(&'a [String]),
    /// Listens.
    Subscriber,
}

/// One set of tags to subscribe to.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    /// The tags.
    pub(crate) tags: Vec<String>,
    /// Whether the messages carry one tag more. Subjects and channels need a wildcard then.
    pub(crate) open: bool,
}

/// What stands between two deliveries.
pub(crate) enum Interlude {
    /// Something that a client skips, and what it answers.
    Skip { len: usize, reply: Vec<u8> },
    /// Its end has not come in yet.
    Incomplete,
    /// Nothing that belongs here.
    Foreign,
}

/// A protocol.
pub(crate) trait Wire {
    /// Says what a new connection must say first, and waits for the answer.
    fn greet(&self, socket: &mut TcpStream, role: Role<'_>) -> Result<()>;

    /// Asks for a subscription.
    fn subscribe(&self, subscription: &Subscription, out: &mut Vec<u8>);

    /// A message on its way in.
    fn publish(&self, tags: &[String], size: usize) -> Template;

    /// The same message on its way out to somebody who asked for `subscription`.
    fn delivery(&self, tags: &[String], subscription: &Subscription, size: usize) -> Template;

    /// Whether a message has a set of tags. Otherwise it must be published once for every set that
    /// somebody might have subscribed to.
    fn has_tag_sets(&self) -> bool {
        false
    }

    /// What a publisher hears for each message that reaches `receivers`, if anything.
    fn reply(&self, _receivers: usize) -> Option<Vec<u8>> {
        None
    }

    /// Asks for a sign of life. After `subscribe` its answer proves the subscription.
    fn ping(&self, out: &mut Vec<u8>);

    /// The answer to `ping`.
    fn pong(&self, role: Role<'_>) -> Vec<u8>;

    /// Whether what comes in is cut into WebSocket frames as the server likes. Then `delivery`,
    /// `pong` and `interlude` are about what the frames carry.
    fn is_framed(&self) -> bool {
        false
    }

    /// Whether `ping` may be said at any time.
    fn pings_any_time(&self) -> bool {
        true
    }

    /// What `bytes`, which are no delivery, start with.
    fn interlude(&self, _bytes: &[u8]) -> Interlude {
        Interlude::Foreign
    }
}

/// Says `request` and reads until `end` has come; returns all that came.
fn ask(socket: &mut TcpStream, request: &[u8], end: &[u8]) -> Result<Vec<u8>> {
    socket.write_all(request)?;
    let mut heard = Vec::new();
    let mut chunk = [0; 4096];
    while !heard.ends_with(end) {
        match socket.read(&mut chunk)? {
            0 => bail!("closed after {:?}", String::from_utf8_lossy(&heard)),
            n => heard.extend_from_slice(&chunk[..n]),
        }
    }
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_differ_and_stay_printable() {
        let one = Stamp::new(1, 255, 0).number;
        let other = Stamp::new(1, 256, 0).number;
        assert_eq!(&one, b"aaaaaaabaaaaaapp");
        assert_ne!(one, other);
    }

    #[test]
    fn templates_hold_payloads_of_the_size_asked_for() {
        let mut template = Template::around(b"<", 128, b">");
        let bytes = template.stamp(Stamp::new(0, 7, 0)).to_vec();
        assert_eq!(bytes.len(), 130);
        assert_eq!(&bytes[..17], b"<aaaaaaaaaaaaaaah");
        assert!(!bytes.contains(&b'"') && !bytes.contains(&b'\\'));
    }

    #[test]
    fn a_tag_that_varies_has_the_letters_of_the_turn() {
        let head = format!("v{VARIABLE},");
        let mut template = Template::around(head.as_bytes(), 16, b"");
        let bytes = template.stamp(Stamp::new(0, 7, 0x2f)).to_vec();
        assert_eq!(bytes, *b"vaaaaaacp,aaaaaaaaaaaaaaah");
    }
}
