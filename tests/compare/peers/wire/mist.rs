//! Owns mist over TCP: one JSON object per line.

use std::net::TcpStream;

use anyhow::Result;

use super::{Role, Subscription, Template, Wire};

/// mist over TCP.
pub(crate) struct MistTcp;

pub(super) const PING: &[u8] = br#"{"command":"ping"}"#;
pub(super) const PONG: &[u8] = br#"{"command":"ping","data":"pong"}"#;

/// `"tags":["a","b"]`; the tags used here need no escapes.
fn tags_field(tags: &[String]) -> String {
    format!(r#""tags":["{}"]"#, tags.join(r#"",""#))
}

/// A `subscribe` without a line end.
pub(super) fn subscribe(subscription: &Subscription) -> String {
    let tags = tags_field(&subscription.tags);
    format!(r#"{{"command":"subscribe",{tags}}}"#)
}

/// What stands before the payload of a message.
pub(super) fn head(tags: &[String]) -> String {
    let tags = tags_field(tags);
    format!(r#"{{"command":"publish",{tags},"data":""#)
}

/// What stands before the payload of a delivery, whose tags are sorted.
pub(super) fn sorted_head(tags: &[String]) -> String {
    let mut tags = tags.to_vec();
    tags.sort_unstable();
    head(&tags)
}

impl Wire for MistTcp {
    fn has_tag_sets(&self) -> bool {
        true
    }

    fn greet(&self, _socket: &mut TcpStream, _role: Role<'_>) -> Result<()> {
        Ok(())
    }

    fn subscribe(&self, subscription: &Subscription, out: &mut Vec<u8>) {
        out.extend_from_slice(subscribe(subscription).as_bytes());
        out.push(b'\n');
    }

    fn publish(&self, tags: &[String], size: usize) -> Template {
        Template::around(head(tags).as_bytes(), size, b"\"}\n")
    }

    fn delivery(&self, tags: &[String], _: &Subscription, size: usize) -> Template {
        Template::around(sorted_head(tags).as_bytes(), size, b"\"}\n")
    }

    fn ping(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(PING);
        out.push(b'\n');
    }

    fn pong(&self, _role: Role<'_>) -> Vec<u8> {
        [PONG, b"\n"].concat()
    }
}
