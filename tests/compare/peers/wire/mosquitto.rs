//! Owns MQTT 3.1.1 as mosquitto speaks it, at most once. A set of tags becomes one topic, `a/b`.

use std::net::TcpStream;

use anyhow::Result;

use super::{Role, Subscription, Template, Wire, ask};

/// MQTT over TCP.
pub(crate) struct Mosquitto;

const CONNECT: u8 = 0x10;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const CONNECTED: &[u8] = &[0x20, 2, 0, 0];
const PING: &[u8] = &[0xc0, 0];
const PONG: &[u8] = &[0xd0, 0];

/// Starts without a past.
const CLEAN: u8 = 2;

/// The first bytes of a packet: its kind, and how many bytes follow, seven bits at a time.
fn packet_head(kind: u8, len: usize) -> Vec<u8> {
    let mut head = vec![kind];
    let mut rest = len;
    loop {
        let more = if rest > 127 { 0x80 } else { 0 };
        head.push(more | u8::try_from(rest % 128).unwrap_or(0));
        rest /= 128;
        if rest == 0 {
            return head;
        }
    }
}

/// Text with its length before it.
fn string(text: &str) -> Vec<u8> {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [&len.to_be_bytes(), text.as_bytes()].concat()
}

fn packet(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [packet_head(kind, body.len()), body].concat()
}

fn filter(subscription: &Subscription) -> String {
    let mut topic = subscription.tags.join("/");
    if subscription.open {
        topic.push_str("/+");
    }
    topic
}

impl Wire for Mosquitto {
    fn greet(&self, socket: &mut TcpStream, _role: Role<'_>) -> Result<()> {
        let version = 4;
        let never_silent_too_long = [0, 0];
        let protocol = string("MQTT");
        let (flags, name) = ([version, CLEAN], string(""));
        let connect = packet(CONNECT, &[&protocol, &flags, &never_silent_too_long, &name]);
        ask(socket, &connect, CONNECTED)?;
        Ok(())
    }

    fn subscribe(&self, subscription: &Subscription, out: &mut Vec<u8>) {
        let (number, filter, at_most_once) = ([0, 1], string(&filter(subscription)), [0]);
        out.extend(packet(SUBSCRIBE, &[&number, &filter, &at_most_once]));
    }

    fn publish(&self, tags: &[String], size: usize) -> Template {
        let topic = string(&tags.join("/"));
        let head = packet_head(PUBLISH, topic.len() + size);
        Template::around(&[head, topic].concat(), size, b"")
    }

    fn delivery(&self, tags: &[String], _: &Subscription, size: usize) -> Template {
        self.publish(tags, size)
    }

    fn ping(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(PING);
    }

    fn pong(&self, _role: Role<'_>) -> Vec<u8> {
        PONG.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_seven_bits_a_byte() {
        assert_eq!(packet_head(PUBLISH, 127), [0x30, 127]);
        assert_eq!(packet_head(PUBLISH, 128), [0x30, 0x80, 1]);
        assert_eq!(packet_head(PUBLISH, 16_384), [0x30, 0x80, 0x80, 1]);
    }

    #[test]
    fn an_open_subscription_has_a_wildcard() {
        let to = Subscription {
            tags: vec!["a".to_owned()],
            open: true,
        };
        let mut out = Vec::new();
        Mosquitto.subscribe(&to, &mut out);
        assert_eq!(out, b"\x82\x08\x00\x01\x00\x03a/+\x00");
    }
}
