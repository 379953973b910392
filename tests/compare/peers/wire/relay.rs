//! Owns how one speaks to the relay: a line that says who one is, then anything.
//!
//! The messages are those of mist, so that the floor moves as many bytes as mist does.

use std::net::TcpStream;

use anyhow::Result;

use super::{MistTcp, Role, Subscription, Template, Wire, ask};

/// The relay over TCP.
pub(crate) struct RelayWire;

/// What the relay answers to the first line.
pub(crate) const READY: &[u8] = b"ready\n";

impl Wire for RelayWire {
    fn greet(&self, socket: &mut TcpStream, role: Role<'_>) -> Result<()> {
        if let Role::Publisher(tags) = role {
            let first = tags.first().map_or("", String::as_str);
            ask(socket, format!("P {first}\n").as_bytes(), READY)?;
        }
        Ok(())
    }

    fn subscribe(&self, subscription: &Subscription, out: &mut Vec<u8>) {
        let first = subscription.tags.first().map_or("", String::as_str);
        out.extend(format!("S {first}\n").into_bytes());
    }

    fn publish(&self, tags: &[String], size: usize) -> Template {
        MistTcp.publish(tags, size)
    }

    fn delivery(&self, tags: &[String], _: &Subscription, size: usize) -> Template {
        MistTcp.publish(tags, size)
    }

    fn ping(&self, _out: &mut Vec<u8>) {}

    fn pong(&self, role: Role<'_>) -> Vec<u8> {
        match role {
            Role::Publisher(_) => Vec::new(),
            Role::Subscriber => READY.to_vec(),
        }
    }

    fn pings_any_time(&self) -> bool {
        false
    }
}
