//! Owns how the nodes of a cluster stand in the answer to `nodes`; knows nothing of how they came to be known.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::encode::{write_name, write_number};
use super::grammar::{objects, string};
use super::string::write_string;

/// A node of a cluster, as clients are told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    /// What it is called.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Connections that it has now.
    pub connections: u64,
    /// Subscriptions that they hold.
    pub subscriptions: u64,
    /// Messages that its clients have published.
    pub published: u64,
    /// Messages that it has handed to other nodes.
    pub sent: u64,
    /// Messages that it has taken from other nodes.
    pub received: u64,
    /// Bytes of messages that wait to be handed to other nodes.
    pub waiting_bytes: u64,
    /// How long it took to answer; nothing for the node that was asked itself, and for one that has not answered.
    pub round_trip: Option<Duration>,
    /// How many seconds ago it was heard of last, if it has not answered: the figures are from then.
    pub silent_seconds: Option<u64>,
}

impl NodeInfo {
    /// The numbers that are there in any case, by their names.
    fn numbers(&mut self) -> [(&'static str, &mut u64); 7] {
        [
            ("uptime_seconds", &mut self.uptime_seconds),
            ("connections", &mut self.connections),
            ("subscriptions", &mut self.subscriptions),
            ("published", &mut self.published),
            ("sent", &mut self.sent),
            ("received", &mut self.received),
            ("waiting_bytes", &mut self.waiting_bytes),
        ]
    }
}

pub(crate) fn write_members(nodes: &[NodeInfo], out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, node) in nodes.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"name\":");
        write_string(out, &node.name);
        write_name(out, "version");
        write_string(out, &node.version);
        for (name, value) in node.clone().numbers() {
            write_name(out, name);
            write_number(out, *value);
        }
        let round_trip = node.round_trip.map(|time| time.as_micros() as u64);
        for (name, value) in [
            ("round_trip_us", round_trip),
            ("silent_seconds", node.silent_seconds),
        ] {
            if let Some(value) = value {
                write_name(out, name);
                write_number(out, value);
            }
        }
        out.push(b'}');
    }
    out.push(b']');
}

/// Reads what was written so; what is of another form is left out.
pub(super) fn read_members(text: &str) -> Vec<NodeInfo> {
    let mut nodes = Vec::new();
    objects(text, |name, value| {
        let Some(name) = name else {
            return nodes.push(NodeInfo::default());
        };
        let Some(node) = nodes.last_mut() else {
            return;
        };
        let number = value.parse::<u64>().ok();
        match name {
            "name" => node.name = string(value),
            "version" => node.version = string(value),
            "round_trip_us" => node.round_trip = number.map(Duration::from_micros),
            "silent_seconds" => node.silent_seconds = number,
            _ => {
                let mut numbers = node.numbers().into_iter();
                if let Some((_, place)) = numbers.find(|(known, _)| *known == name) {
                    *place = number.unwrap_or_default();
                }
            }
        }
    });
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let nodes = [
            NodeInfo {
                name: "a\"".into(),
                version: "0.1".into(),
                uptime_seconds: 1,
                connections: 2,
                subscriptions: 3,
                published: 4,
                sent: 5,
                received: u64::MAX,
                waiting_bytes: 7,
                round_trip: Some(Duration::from_micros(8)),
                silent_seconds: None,
            },
            NodeInfo {
                silent_seconds: Some(9),
                ..NodeInfo::default()
            },
        ];
        let mut text = Vec::new();
        write_members(&nodes, &mut text);
        let text = core::str::from_utf8(&text).expect("UTF-8");
        assert!(
            text.contains(r#""uptime_seconds":1,"connections":2"#),
            "{text}"
        );
        assert_eq!(read_members(text), nodes);
        assert_eq!(
            read_members("[{\"sent\":-1,\"x\":[]}, 7]"),
            [NodeInfo::default()]
        );
        assert_eq!(read_members("7"), []);
    }
}
