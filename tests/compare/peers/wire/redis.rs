//! Owns the protocol of Redis (RESP2). A set of tags becomes one channel, `a.b`.

use std::net::TcpStream;

use anyhow::Result;

use super::{Interlude, Role, Subscription, Template, Wire};

/// Redis over TCP.
pub(crate) struct Redis;

/// An array of strings; the last one is left out and only its length written.
fn array(items: &[&str], last: usize) -> String {
    let mut text = format!("*{}\r\n", items.len() + 1);
    for item in items {
        text.push_str(&format!("${}\r\n{item}\r\n", item.len()));
    }
    text.push_str(&format!("${last}\r\n"));
    text
}

fn pattern(subscription: &Subscription) -> String {
    let mut channel = subscription.tags.join(".");
    if subscription.open {
        channel.push_str(".*");
    }
    channel
}

impl Wire for Redis {
    fn greet(&self, _socket: &mut TcpStream, _role: Role<'_>) -> Result<()> {
        Ok(())
    }

    fn subscribe(&self, subscription: &Subscription, out: &mut Vec<u8>) {
        let verb = if subscription.open {
            "PSUBSCRIBE"
        } else {
            "SUBSCRIBE"
        };
        let channel = pattern(subscription);
        out.extend_from_slice(array(&[verb], channel.len()).as_bytes());
        out.extend_from_slice(channel.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn publish(&self, tags: &[String], size: usize) -> Template {
        let head = array(&["PUBLISH", &tags.join(".")], size);
        Template::around(head.as_bytes(), size, b"\r\n")
    }

    fn delivery(&self, tags: &[String], subscription: &Subscription, size: usize) -> Template {
        let channel = tags.join(".");
        let head = if subscription.open {
            array(&["pmessage", &pattern(subscription), &channel], size)
        } else {
            array(&["message", &channel], size)
        };
        Template::around(head.as_bytes(), size, b"\r\n")
    }

    fn reply(&self, receivers: usize) -> Option<Vec<u8>> {
        Some(format!(":{receivers}\r\n").into_bytes())
    }

    fn ping(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    }

    fn pong(&self, role: Role<'_>) -> Vec<u8> {
        match role {
            Role::Publisher(_) => b"+PONG\r\n".to_vec(),
            Role::Subscriber => b"*2\r\n$4\r\npong\r\n$0\r\n\r\n".to_vec(),
        }
    }

    /// How many received a message, where that cannot be known beforehand.
    fn interlude(&self, bytes: &[u8]) -> Interlude {
        let [b':', rest @ ..] = bytes else {
            return Interlude::Foreign;
        };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match &rest[digits..] {
            [b'\r', b'\n', ..] => Interlude::Skip {
                len: 1 + digits + 2,
                reply: Vec::new(),
            },
            [] | [b'\r'] => Interlude::Incomplete,
            _ => Interlude::Foreign,
        }
    }
}
