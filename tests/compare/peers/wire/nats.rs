//! Owns the text protocol of NATS, also over WebSocket. A set of tags becomes one subject, `a.b`.

use std::io::Write as _;
use std::net::TcpStream;

use anyhow::{Result, ensure};

use super::websocket::{TEXT, masked, upgrade};
use super::{Interlude, Role, Subscription, Template, Wire, ask};

/// NATS over TCP.
pub(crate) struct Nats;

/// NATS over WebSocket. The server puts as much into a frame as it likes, a publisher one message.
pub(crate) struct NatsWebSocket;

const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":0}\r\n";
const PING: &[u8] = b"PING\r\n";
const PONG: &[u8] = b"PONG\r\n";

/// The subject or pattern of a subscription.
fn subject(subscription: &Subscription) -> String {
    let mut subject = subscription.tags.join(".");
    if subscription.open {
        subject.push_str(".*");
    }
    subject
}

/// The name of a subscription within its connection; short for the only one.
fn sid(subscription: &Subscription) -> String {
    match subscription.tags.as_slice() {
        [_] => "1".to_owned(),
        tags => tags.concat(),
    }
}

impl Wire for Nats {
    fn greet(&self, socket: &mut TcpStream, _role: Role<'_>) -> Result<()> {
        let info = ask(socket, b"", b"\r\n")?;
        ensure!(info.starts_with(b"INFO "), "NATS did not greet");
        socket.write_all(CONNECT)?;
        Ok(())
    }

    fn subscribe(&self, subscription: &Subscription, out: &mut Vec<u8>) {
        let (subject, sid) = (subject(subscription), sid(subscription));
        out.extend(format!("SUB {subject} {sid}\r\n").into_bytes());
    }

    fn publish(&self, tags: &[String], size: usize) -> Template {
        let head = format!("PUB {} {size}\r\n", tags.join("."));
        Template::around(head.as_bytes(), size, b"\r\n")
    }

    fn delivery(&self, tags: &[String], to: &Subscription, size: usize) -> Template {
        let head = format!("MSG {} {} {size}\r\n", tags.join("."), sid(to));
        Template::around(head.as_bytes(), size, b"\r\n")
    }

    fn ping(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(PING);
    }

    fn pong(&self, _role: Role<'_>) -> Vec<u8> {
        PONG.to_vec()
    }

    /// The server pings on its own, and tells news about itself.
    fn interlude(&self, bytes: &[u8]) -> Interlude {
        let known = [PING, b"INFO ", b"+OK\r\n"];
        let Some(start) = known.iter().find(|start| {
            let common = start.len().min(bytes.len());
            start[..common] == bytes[..common]
        }) else {
            return Interlude::Foreign;
        };
        match bytes.windows(2).position(|pair| pair == b"\r\n") {
            Some(at) => Interlude::Skip {
                len: at + 2,
                reply: if *start == PING {
                    PONG.to_vec()
                } else {
                    Vec::new()
                },
            },
            None => Interlude::Incomplete,
        }
    }
}

impl Wire for NatsWebSocket {
    fn greet(&self, socket: &mut TcpStream, _role: Role<'_>) -> Result<()> {
        // The greeting may come together with the answer to the upgrade.
        upgrade(socket, "/", b"} \r\n")?;
        socket.write_all(&masked(TEXT, CONNECT))?;
        Ok(())
    }

    fn is_framed(&self) -> bool {
        true
    }

    fn subscribe(&self, subscription: &Subscription, out: &mut Vec<u8>) {
        let mut plain = Vec::new();
        Nats.subscribe(subscription, &mut plain);
        out.extend(masked(TEXT, &plain));
    }

    fn publish(&self, tags: &[String], size: usize) -> Template {
        Nats.publish(tags, size).into_client_frame()
    }

    fn delivery(&self, tags: &[String], to: &Subscription, size: usize) -> Template {
        Nats.delivery(tags, to, size)
    }

    fn ping(&self, out: &mut Vec<u8>) {
        out.extend(masked(TEXT, PING));
    }

    fn pong(&self, role: Role<'_>) -> Vec<u8> {
        Nats.pong(role)
    }

    fn interlude(&self, bytes: &[u8]) -> Interlude {
        match Nats.interlude(bytes) {
            Interlude::Skip { len, reply } if !reply.is_empty() => Interlude::Skip {
                len,
                reply: masked(TEXT, &reply),
            },
            other => other,
        }
    }
}
