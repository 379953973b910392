//! The answer to `nodes`, and how it is written.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::session::SessionId;
#[cfg(doc)]
use super::{Broker, Long};
use crate::message::{Data, Reply, Writer, write_name, write_number, write_string, write_tags};
use crate::text::push;

/// An answer to `nodes` that is still to be put together: see [`Long::Nodes`].
#[derive(Debug)]
pub struct NodesQuery {
    pub(super) session: SessionId,
    pub(super) id: Option<String>,
}

/// A node of a cluster, as clients are told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    /// What it is called.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// Seconds since it started.
    pub uptime: u64,
    /// Connections that it has now.
    pub connections: u64,
    /// Subscriptions that they hold.
    pub subscriptions: u64,
    /// Messages that its clients have published.
    pub published: u64,
    /// Messages that it has taken from other nodes.
    pub received: u64,
    /// How long it took to answer; nothing for the node that was asked itself.
    pub round_trip: Option<Duration>,
}

impl NodesQuery {
    /// The session that asked.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Puts the answer together: one JSON object, without a line end. `silent` are the names of nodes that did not answer.
    #[must_use]
    pub fn encode(self, nodes: &[NodeInfo], silent: &[String]) -> Vec<u8> {
        let table = table(nodes, silent);
        let list: Writer<'_> = &|out| write_nodes(nodes, out);
        let names: Writer<'_> = &|out| write_tags(out, silent);
        let values = [("members", list), ("silent", names)];
        let count = if silent.is_empty() { 1 } else { 2 };
        Reply {
            command: "nodes",
            data: Data::Text(&table),
            values: &values[..count],
            id: self.id.as_deref(),
            ..Reply::default()
        }
        .encode()
    }
}

/// The form that people read: a line for each node, with tabs between the columns.
fn table(nodes: &[NodeInfo], silent: &[String]) -> String {
    let mut text = String::from(
        "NODE\tVERSION\tUPTIME\tCONNECTIONS\tSUBSCRIPTIONS\tPUBLISHED\tRECEIVED\tROUND TRIP",
    );
    for node in nodes {
        push!(&mut text, "\n", node.name, "\t", node.version, "\t");
        push!(
            &mut text,
            Duration::from_secs(node.uptime.max(1)),
            "\t",
            node.connections,
            "\t"
        );
        push!(
            &mut text,
            node.subscriptions,
            "\t",
            node.published,
            "\t",
            node.received,
            "\t"
        );
        match node.round_trip {
            Some(time) => push!(&mut text, Duration::from_micros(time.as_micros() as u64)),
            None => text.push('-'),
        }
    }
    for name in silent {
        push!(&mut text, "\n", name, "\tdoes not answer");
    }
    text
}

fn write_nodes(nodes: &[NodeInfo], out: &mut Vec<u8>) {
    for (at, node) in nodes.iter().enumerate() {
        out.extend_from_slice(if at == 0 {
            b"[{\"name\":"
        } else {
            b",{\"name\":"
        });
        write_string(out, &node.name);
        write_name(out, "version");
        write_string(out, &node.version);
        for (name, value) in [
            ("uptime", node.uptime),
            ("connections", node.connections),
            ("subscriptions", node.subscriptions),
            ("published", node.published),
            ("received", node.received),
        ] {
            write_name(out, name);
            write_number(out, value);
        }
        if let Some(time) = node.round_trip {
            write_name(out, "round_trip_us");
            write_number(out, time.as_micros() as u64);
        }
        out.push(b'}');
    }
    out.push(b']');
}
